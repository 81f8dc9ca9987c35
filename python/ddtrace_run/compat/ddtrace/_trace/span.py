"""Where `Span` is in Datadog's package."""

from ddtrace.trace import Span

__all__ = ["Span"]
