"""Contexts in the headers of requests."""

from ddtrace_run._native import Context, Span, _Headers, _Items

class HTTPPropagator:
    @staticmethod
    def inject(
        span_context: Span | Context, headers: _Headers, non_active_span: Span | Context | None = None
    ) -> None: ...
    @staticmethod
    def extract(headers: _Items[str | bytes, object] | None) -> Context: ...

__all__ = ["HTTPPropagator"]
