"""The stable API, where the package `ddtrace-api` is not installed."""

from ddtrace_run._ddtrace_api import Span, Tracer, tracer

__all__ = ["Span", "Tracer", "tracer"]
