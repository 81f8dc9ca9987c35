"""A program that has put a function in the place of a class of `traceback`. It fails by an assertion."""

import traceback

TracebackException = traceback.TracebackException
traceback.TracebackException = lambda *args, **kwargs: TracebackException(*args, **kwargs)

from ddtrace import tracer  # noqa: E402

try:
    with tracer.trace("job") as span:
        raise ValueError("broken")
except ValueError:
    pass
assert span.get_tag("error.stack").endswith("ValueError: broken\n"), span.get_tag("error.stack")
