"""How exceptions are shown. Imported with the extension, so that nothing is imported when one is recorded."""

import sys
import traceback

# What Datadog keeps of a text, and the frames that its tracer shows.
_MOST_CHARACTERS = 25_000
_FRAMES = 30


def _name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def _text(value):
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__qualname__} that cannot be shown>"


def described(kind, value, trace, limit=None):
    """Type, message and stack of an exception, by the rules of Datadog's API."""
    if value is not None and not isinstance(value, BaseException):
        value = None
    limit = _FRAMES if limit is None else limit
    name = _name(kind) if isinstance(kind, type) else _text(kind)
    return name, "" if value is None else _text(value), _stack(kind, value, trace, limit)


def _stack(kind, value, trace, limit):
    while True:
        try:
            # The newest frames: those of the highest numbers.
            lines = traceback.format_exception(kind, value, trace, limit=-limit)
            text = "".join(lines)
        except Exception:
            return _bare(kind, value, trace)
        if len(text) <= _MOST_CHARACTERS or limit <= 1:
            return text
        limit //= 2


def _bare(kind, value, trace):
    """The same without the source: when a program ends or has no descriptors left, `traceback` may fail."""
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}\n')
        trace = trace.tb_next
    return "".join(["Traceback (most recent call last):\n", *frames[-_FRAMES:], f"{_name(kind)}: {_text(value)}\n"])


def stack(limit=None):
    """Where the program is."""
    limit = _FRAMES if limit is None else limit
    return "".join(traceback.format_stack(sys._getframe(1), limit=limit + 1))


def event(exception, is_datadog=False):
    """Type, message and stack of an exception, as events have them: in one API types that are built in have a module."""
    kind = type(exception)
    name = kind.__qualname__ if kind.__module__ == "builtins" and not is_datadog else _name(kind)
    try:
        shown = "".join(traceback.format_exception(kind, exception, exception.__traceback__))
    except Exception:
        shown = _bare(kind, exception, exception.__traceback__)
    return name, _text(exception), shown
