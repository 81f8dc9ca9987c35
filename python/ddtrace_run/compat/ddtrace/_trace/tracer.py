"""Where `Tracer` is in Datadog's package."""

from ddtrace.trace import Tracer

__all__ = ["Tracer"]
