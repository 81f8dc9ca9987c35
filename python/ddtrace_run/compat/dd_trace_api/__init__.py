"""The stable API, by the name that Datadog's pages give it."""

from ddtrace_api import Span, Tracer, tracer

__all__ = ["Span", "Tracer", "tracer"]
