"""Events of structlog that say of which span they are, for all processors, however they are configured. What is not rendered but
kept for itself, as tests do, is left as it is."""

import types

from ddtrace_run.contrib.logging import fields, is_wanted


#: Where the processors are from that keep events for who tests a program, and drop them.
_OF_TESTS = ("structlog.testing", "pytest_structlog")


def are_rendered(processors):
    """Whether what goes through these may be shown."""
    if not processors:
        return False
    last = processors[-1]
    return all(kind.__module__ not in _OF_TESTS for kind in type(getattr(last, "__self__", last)).__mro__)


def take_back(added, arguments=(), event=None, *_):
    """What no processor has rendered is called with as it was given: the logger below gets no more names than that."""
    if arguments or not isinstance(event, dict):
        return
    for name, value in added.items():
        if event.get(name) is value:
            del event[name]


def imported(structlog):
    """`structlog` has been imported."""
    if not is_wanted("structlog"):
        return
    from structlog._base import BoundLoggerBase

    process = BoundLoggerBase._process_event

    def _process_event(self, method_name, event, event_kw):
        if not are_rendered(self._processors):
            return process(self, method_name, event, event_kw)
        known = self._context
        event_kw = dict(event_kw)
        added = {name: value for name, value in fields().items() if name not in known and name not in event_kw}
        event_kw.update(added)
        result = process(self, method_name, event, event_kw)
        take_back(added, *result)
        return result

    # Who looks for the line that an event is of goes up to the first frame that is not structlog's.
    names = dict(globals(), __name__=BoundLoggerBase.__module__)
    ours = types.FunctionType(_process_event.__code__, names, "_process_event", None, _process_event.__closure__)
    ours.__doc__, ours.__qualname__, ours.__module__ = process.__doc__, process.__qualname__, process.__module__
    BoundLoggerBase._process_event = ours
