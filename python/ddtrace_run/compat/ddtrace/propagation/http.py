"""Contexts in the headers of requests."""

from ddtrace_run._native import http_extract, http_inject


class HTTPPropagator:
    """Writes contexts into headers and reads them from there, in every style that the configuration names."""

    @staticmethod
    def inject(span_context, headers, non_active_span=None):
        """Writes the context of a span, or a context, into a dictionary of headers."""
        http_inject(span_context, headers, non_active_span)

    @staticmethod
    def extract(headers):
        """The context that headers bring; an empty one where they bring none."""
        return http_extract(headers)


__all__ = ["HTTPPropagator"]
