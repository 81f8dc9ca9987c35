"""Decorators: functions, coroutines and generators whose calls are spans."""

import functools
import inspect
import os


def within(block, function):
    """`function`, each call of which is within a block of its own; a coroutine's whole run is."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(*args, **kwargs):
            with block():
                return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def call(*args, **kwargs):
            with block():
                return function(*args, **kwargs)

    return call


def traced(start, function, name=None, service=None, resource=None, span_type=None):
    """`function`, whose calls are spans that `start` begins: as `tracer.wrap` has it."""
    if isinstance(function, staticmethod):
        return staticmethod(traced(start, function.__func__, name, service, resource, span_type))
    name = name or _name(function)

    def begin():
        return start(name, service, resource, span_type)

    if inspect.isasyncgenfunction(function):
        return _async_generator(begin, function)
    if inspect.isgeneratorfunction(function):
        return _generator(begin, function)
    return within(begin, function)


def _name(function):
    if os.environ.get("DD_TRACE_WRAP_SPAN_NAME_INCLUDE_CLASS", "").strip().lower() in ("true", "1"):
        return f"{function.__module__}.{function.__qualname__}"
    return f"{function.__module__}.{function.__name__}"


def _generator(begin, function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        with begin():
            return (yield from function(*args, **kwargs))

    return run


def _async_generator(begin, function):
    @functools.wraps(function)
    async def run(*args, **kwargs):
        with begin():
            generator = function(*args, **kwargs)
            try:
                try:
                    value = await generator.__anext__()
                except StopAsyncIteration:
                    return
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as error:
                        try:
                            value = await generator.athrow(error)
                        except StopAsyncIteration:
                            return
                    else:
                        try:
                            value = await generator.asend(sent)
                        except StopAsyncIteration:
                            return
            finally:
                await generator.aclose()

    return run
