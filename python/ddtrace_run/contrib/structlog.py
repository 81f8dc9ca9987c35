"""Events of structlog that say of which span they are, for all processors, however they are configured."""

import types

from ddtrace_run.contrib.logging import fields, is_wanted


def imported(structlog):
    """`structlog` has been imported."""
    if not is_wanted("structlog"):
        return
    from structlog._base import BoundLoggerBase

    process = BoundLoggerBase._process_event

    def _process_event(self, method_name, event, event_kw):
        known = self._context
        event_kw = dict(event_kw)
        for name, value in fields().items():
            if name not in known:
                event_kw.setdefault(name, value)
        return process(self, method_name, event, event_kw)

    # Who looks for the line that an event is of goes up to the first frame that is not structlog's.
    names = dict(globals(), __name__=BoundLoggerBase.__module__)
    ours = types.FunctionType(_process_event.__code__, names, "_process_event", None, _process_event.__closure__)
    ours.__doc__, ours.__qualname__, ours.__module__ = process.__doc__, process.__qualname__, process.__module__
    BoundLoggerBase._process_event = ours
