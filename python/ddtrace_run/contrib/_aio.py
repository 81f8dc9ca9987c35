"""Coroutines that are traced."""

import functools

from ddtrace_run._native import guarded


def traced(name, function, begin, end=None):
    """`function`, a coroutine function: `begin` is called with its arguments and gives what is traced of the call, or None;
    `end` with that and the result."""

    @functools.wraps(function)
    async def call(*args, **kwargs):
        traced = guarded(name, begin, *args, **kwargs)
        if traced is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
            if end is not None:
                guarded(name, end, traced, result)
            return result
        except BaseException as error:
            traced.fail(error)
            raise
        finally:
            traced.end()

    return call
