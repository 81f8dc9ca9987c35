"""Where `Context` is in Datadog's package."""

from ddtrace.trace import Context

__all__ = ["Context"]
