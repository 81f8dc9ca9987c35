"""Traces the requests that reach a WSGI application: `application = DDWSGIMiddleware(application)`."""

from collections.abc import Callable, Iterable
from typing import Any

from ddtrace.trace import Span

def default_wsgi_span_modifier(span: Span, environ: dict[str, Any]) -> None: ...

class DDWSGIMiddleware:
    app: Callable[..., Iterable[bytes]]
    span_modifier: Callable[[Span, dict[str, Any]], object]
    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        tracer: object = None,
        span_modifier: Callable[[Span, dict[str, Any]], object] = ...,
        app_is_iterator: bool = False,
    ) -> None: ...
    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]: ...

__all__ = ["DDWSGIMiddleware"]
