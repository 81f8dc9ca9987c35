"""Exceptions are shown as `traceback` shows them, of every kind, whatever their own code does.

It fails by an assertion.
"""

import sys
import traceback

from ddtrace_run._errors import event


class Failing(Exception):
    def __str__(self):
        raise ValueError("not shown")


class Nameless(Exception):
    __module__ = None


class Several(Exception):
    def __str__(self):
        return "one\ntwo\n"


def syntax():
    compile("a = = 1\n", "source.py", "exec")


def suggested():
    sys.exut  # noqa: B018


def chained():
    try:
        try:
            raise Failing
        except Failing:
            raise KeyError("k")
    except KeyError as error:
        raise Several from error


def suppressed():
    try:
        raise KeyError("k")
    except KeyError:
        raise OSError(2, "not there", "file") from None


def noted():
    error = ValueError("v")
    if hasattr(error, "add_note"):
        error.add_note("first\nsecond")
        error.__notes__.append(Failing())
    raise error


def wrongly_noted():
    error = ValueError("v")
    error.__notes__ = Failing()
    raise error


def grouped():
    if sys.version_info < (3, 11):
        raise ValueError
    caught = []
    for work in (chained, syntax, noted):
        try:
            work()
        except Exception as error:
            caught.append(error)
    raise ExceptionGroup("several", [*caught, ExceptionGroup("within", [Failing(), ValueError()])])  # noqa: F821


def deep(left=50):
    if left:
        deep(left - 1)
    raise ValueError("deep")


def marked():
    return (1 + 1) / (1 - 1)


def plain():
    raise ValueError


def failing():
    raise Failing


def nameless():
    raise Nameless("n")


def round_and_round():
    error = ValueError("v")
    error.__cause__ = KeyError("k")
    error.__cause__.__context__ = error
    raise error


WORK = [
    syntax,
    suggested,
    chained,
    suppressed,
    noted,
    wrongly_noted,
    grouped,
    deep,
    marked,
    plain,
    failing,
    nameless,
    round_and_round,
]
for work in WORK:
    try:
        work()
    except Exception as error:
        told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        shown = event(error)[2]
        assert shown == told, (work.__name__, told, shown)
        if "-v" in sys.argv:
            print(shown)

# What the program has put in the place of Python's own counts.
format_of_python = traceback.TracebackException.format
traceback.TracebackException.format = lambda self, **_: iter(["of the program's"])
assert event(ValueError())[2] == "of the program's"
traceback.TracebackException.format = format_of_python
assert event(ValueError())[2] == "ValueError\n"
