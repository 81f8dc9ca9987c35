"""`ddtrace.config`: what the configuration says, and a place for what integrations are told."""

from typing import Any

class _Integration(dict[str, Any]):
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: object) -> None: ...

class Config:
    service: str | None
    env: str | None
    version: str | None
    tags: dict[str, str]
    service_mapping: dict[str, str]
    def __getattr__(self, name: str) -> _Integration: ...

config: Config
