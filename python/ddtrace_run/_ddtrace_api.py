"""The stable API (package `ddtrace-api`, which does nothing by itself), carried out by the program's tracer."""

from ddtrace_run import _finder, _native
from ddtrace_run import tracer as _tracer


class _Spans(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, _native.Span) or super().__instancecheck__(instance)


class Span(metaclass=_Spans):
    """A span of the stable API: the tracer's own are such, and one that is made by itself does nothing.

    That is also what is given for an active span where there is none: the API says that there always is one.
    """

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        return None

    def _nothing(self, *_, **__):
        """Does nothing."""

    set_exc_info = set_traceback = set_tags = finish = finish_with_ancestors = _nothing


class Tracer(_tracer.Tracer):
    """Starts spans, by the calls of the stable API."""

    def __new__(cls, *_, **__):
        return _native.Tracer.__new__(cls)

    def current_span(self):
        """The active span; one that does nothing where there is none."""
        return super().current_span() or Span()

    def current_root_span(self):
        """The first span of the trace in this process; one that does nothing where there is none."""
        return super().current_root_span() or Span()


tracer = Tracer()


def imported(module):
    """The package has been imported: its names stand for ours from now on, unless Datadog's own tracer is there."""
    if _finder.is_lent(module) or _finder.real_ddtrace() is not None:
        return
    module.Span, module.Tracer, module.tracer = Span, Tracer, tracer
    if hasattr(module, "span"):
        module.span.Span = Span
