"""Where `Span` was before."""

from ddtrace.trace import Span

__all__ = ["Span"]
