"""The tracer and what belongs to it."""

from ddtrace_run._native import Context, Span
from ddtrace_run._native import ContextProvider as BaseContextProvider
from ddtrace_run.tracer import Tracer, tracer


class TraceFilter:
    """Looks at a finished trace before it is recorded: `tracer.configure(trace_processors=[...])`."""

    def process_trace(self, trace):
        """The trace, or None to drop it."""
        raise NotImplementedError


__all__ = ["BaseContextProvider", "Context", "Span", "TraceFilter", "Tracer", "tracer"]
