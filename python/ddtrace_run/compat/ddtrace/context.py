"""Where `Context` was before."""

from ddtrace.trace import Context

__all__ = ["Context"]
