"""How exceptions are shown. Imported with the extension, so that nothing is imported when one is recorded."""

import _signal
import functools
import sys
import traceback

# What Datadog keeps of a text, and the frames that its tracer shows.
_MOST_CHARACTERS = 25_000
_FRAMES = 30


def _name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def is_of_a_signal(trace):
    """Whether the handler of a signal has raised what has this traceback: it is not about the code that it has interrupted."""
    handlers = {_code(handler) for handler in map(_signal.getsignal, range(1, _signal.NSIG))} - {None}
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _code(handler):
    """The code that runs when a handler is called; None for what is none, or not written in Python."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    code = getattr(handler, "__code__", None)
    return getattr(getattr(type(handler), "__call__", None), "__code__", None) if code is None else code


def _text(value):
    try:
        return str(value)
    except Exception as error:
        if is_of_a_signal(error.__traceback__):
            raise
        return f"<{type(value).__qualname__} that cannot be shown>"


def _shown_or(failed, show, value):
    try:
        return show(value)
    except Exception as error:
        if is_of_a_signal(error.__traceback__):
            raise
        return failed()


def _some_str(value):
    """As `traceback` of Python 3.9 and 3.10 has it, without dropping what comes out of `_text`."""
    return _shown_or(lambda: f"<unprintable {type(value).__name__} object>", str, value)


def _safe_string(value, what, func=str):
    """The same as of Python 3.11."""
    return _shown_or(lambda: f"<{what} {func.__name__}() failed>", func, value)


def _suppressing(suppress):
    """`contextlib.suppress` that lets out what a signal's handler has raised."""

    class Suppress(suppress):
        def __exit__(self, kind, error, trace):
            return super().__exit__(kind, error, trace) and not is_of_a_signal(trace)

    return Suppress


def _formatting():
    """`traceback.format_exception` itself, with these in place of its own.

    Its own drop what is raised while they show an exception, which is where handlers of signals run. The program's
    `traceback` stays as it is: the functions are made once more of their code, with names of their own.
    """
    own = vars(traceback)
    names = dict(own)

    def again(members):
        functions = {}
        for name, value in members.items():
            if isinstance(value, type(again)) and value.__globals__ is own:
                function = type(again)(value.__code__, names, name, value.__defaults__, value.__closure__)
                function.__kwdefaults__ = value.__kwdefaults__
                functions[name] = function
        return functions

    names.update(again(own))
    for whole in (traceback.StackSummary, traceback.TracebackException):
        names[whole.__name__] = type(whole.__name__, (whole,), again(vars(whole)))
    names.update(_some_str=_some_str, _safe_string=_safe_string)
    # Since Python 3.11, for what is marked in a line.
    if "suppress" in own:
        names["suppress"] = _suppressing(own["suppress"])
    return names["format_exception"]


def _of_the_program():
    """What backports of groups of exceptions and the like put in place of Python's own."""
    whole = traceback.TracebackException
    return traceback.format_exception, whole, whole.__init__, whole.format, whole.format_exception_only


try:
    _format_exception, _as_loaded = _formatting(), _of_the_program()
except Exception:
    # The program has put something else in the place of a part of `traceback` before.
    _format_exception = _as_loaded = None


def _formatted(*exception, limit=None):
    """As `traceback` formats it in this program."""
    is_own = _as_loaded is not None and _of_the_program() == _as_loaded
    formatting = _format_exception if is_own else traceback.format_exception
    return "".join(formatting(*exception, limit=limit))


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
            text = _formatted(kind, value, trace, limit=-limit)
        except Exception as error:
            if is_of_a_signal(error.__traceback__):
                raise
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
        shown = _formatted(kind, exception, exception.__traceback__)
    except Exception as error:
        if is_of_a_signal(error.__traceback__):
            raise
        shown = _bare(kind, exception, exception.__traceback__)
    return name, _text(exception), shown
