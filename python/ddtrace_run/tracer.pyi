"""The program's tracer, by Datadog's API."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from typing_extensions import Self

from ddtrace_run import _native

_F = TypeVar("_F", bound=Callable[..., Any])

class Tracer(_native.Tracer):
    SHUTDOWN_TIMEOUT: int
    context_provider: _native.ContextProvider
    def __new__(cls, *_: object, **__: object) -> Self: ...
    def __init__(self, *_: object, **__: object) -> None: ...
    def wrap(
        self,
        name: str | None = None,
        service: str | None = None,
        resource: str | None = None,
        span_type: str | None = None,
    ) -> Callable[[_F], _F]: ...
    def configure(
        self,
        *_: object,
        trace_processors: Iterable[_native._TraceProcessor] | None = None,
        context_provider: object = None,
        **__: object,
    ) -> None: ...
    @property
    def agent_trace_url(self) -> None: ...

tracer: Tracer
