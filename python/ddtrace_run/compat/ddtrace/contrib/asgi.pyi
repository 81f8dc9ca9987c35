"""Traces the requests that reach an ASGI application: `app = TraceMiddleware(app)`."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from ddtrace.trace import Span

_Scope = MutableMapping[str, Any]

def span_from_scope(scope: Mapping[str, Any]) -> Span | None: ...
def _failed(exc: BaseException, span: Span) -> None: ...

class TraceMiddleware:
    app: Callable[..., Awaitable[Any]]
    integration_config: Mapping[str, Any]
    handle_exception_span: Callable[[BaseException, Span], object]
    span_modifier: Callable[[Span, _Scope], object] | None
    def __init__(
        self,
        app: Callable[..., Awaitable[Any]],
        tracer: object = None,
        integration_config: Mapping[str, Any] | None = None,
        handle_exception_span: Callable[[BaseException, Span], object] = ...,
        span_modifier: Callable[[Span, _Scope], object] | None = None,
    ) -> None: ...
    async def __call__(
        self, scope: _Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> Any: ...

__all__ = ["TraceMiddleware", "span_from_scope"]
