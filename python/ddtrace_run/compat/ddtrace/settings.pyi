"""`ddtrace.config`: what the configuration says, and a place for what integrations are told."""

from typing import Any

class _Http:
    trace_query_string: bool | None
    def trace_headers(self, whitelist: str | list[str]) -> None: ...

class _Integration(dict[str, Any]):
    def __init__(self, name: str) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: object) -> None: ...

class Config:
    service: str | None
    env: str | None
    version: str | None
    tags: dict[str, str]
    service_mapping: dict[str, str]
    def __setattr__(self, name: str, value: Any) -> None: ...
    def __getattr__(self, name: str) -> _Integration: ...

config: Config
