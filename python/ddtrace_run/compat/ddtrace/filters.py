"""Where `TraceFilter` was before."""

from ddtrace.trace import TraceFilter

__all__ = ["TraceFilter"]
