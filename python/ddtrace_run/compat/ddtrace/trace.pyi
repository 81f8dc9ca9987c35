"""The tracer and what belongs to it."""

from collections.abc import Sequence

from ddtrace_run._native import Context, Span
from ddtrace_run._native import ContextProvider as BaseContextProvider
from ddtrace_run.tracer import Tracer, tracer

class TraceFilter:
    def process_trace(self, trace: list[Span]) -> Sequence[Span] | None: ...

__all__ = ["BaseContextProvider", "Context", "Span", "TraceFilter", "Tracer", "tracer"]
