"""What spans of OpenTelemetry's API show to those who read them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, type_check_only

from opentelemetry import trace as _trace_api
from opentelemetry.trace.status import Status
from opentelemetry.util.types import Attributes, AttributeValue

from ddtrace_run import _native

@type_check_only
class _Event(NamedTuple):
    name: str
    timestamp: int
    attributes: Mapping[str, AttributeValue]
    dropped_attributes: int = 0

class Event(_Event): ...

class _Compared:
    schema_url: str
    attributes: Mapping[str, AttributeValue]
    def __init__(
        self, attributes: Mapping[str, AttributeValue] | Iterable[tuple[str, AttributeValue]] = (), schema_url: str = ""
    ) -> None: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

class InstrumentationScope(_Compared):
    name: str
    version: str
    def __init__(
        self,
        name: str,
        version: str = "",
        schema_url: str = "",
        attributes: Mapping[str, AttributeValue] | Iterable[tuple[str, AttributeValue]] = (),
    ) -> None: ...
    def to_json(self, indent: int | None = 4) -> str: ...

class Resource(_Compared):
    def to_json(self, indent: int | None = 4) -> str: ...

def attributes(pairs: Iterable[tuple[str, AttributeValue]]) -> Mapping[str, AttributeValue]: ...
def events(given: Iterable[tuple[str, int, Iterable[tuple[str, AttributeValue]], int]]) -> tuple[Event, ...]: ...
def links(
    given: Iterable[tuple[_trace_api.SpanContext, Iterable[tuple[str, AttributeValue]], int]],
) -> tuple[_trace_api.Link, ...]: ...
def status(code: int, description: str | None) -> Status: ...
def scope(given: tuple[str, str | None, str | None, Attributes] | None) -> InstrumentationScope: ...
def resource() -> Resource: ...
def to_json(span: _native.OtelSpan, indent: int | None = 4) -> str: ...
