"""Exceptions that are hard to tell of: the program sees its own, and the span that one leaves ends. It fails by an assertion."""

import resource
import sys

from ddtrace import tracer
from opentelemetry import trace

otel = trace.get_tracer("in.trouble")


def datadog(name):
    return tracer.trace(name)


def scope(name):
    return otel.start_as_current_span(name)


def block(name):
    return trace.use_span(otel.start_span(name), end_on_exit=True)


def nothing_is_active():
    assert tracer.current_span() is None, tracer.current_span()
    assert trace.get_current_span() is trace.INVALID_SPAN, trace.get_current_span()


def left_by(error, begin, name):
    """What leaves a block that `error` is raised in."""
    try:
        with begin(name) as span:
            raise error
    except BaseException as left:
        seen = left
    nothing_is_active()
    assert not span.is_recording() if hasattr(span, "is_recording") else span.finished
    return seen


class Ends(Exception):
    """One that ends the program when it is shown."""

    def __str__(self):
        raise KeyboardInterrupt


def texts():
    error = ValueError("\udc80 bad name")
    for begin in (datadog, scope, block):
        assert left_by(error, begin, "text." + begin.__name__) is error
    with otel.start_span("text.span") as span:
        span.record_exception(error)
    with tracer.trace("text.handled") as span:
        try:
            raise error
        except ValueError:
            span.set_traceback()
            span.record_exception(error)
    # What the program raises to be ended by is its own.
    for begin in (datadog, scope):
        seen = left_by(Ends(), begin, "ends." + begin.__name__)
        assert isinstance(seen, (Ends, KeyboardInterrupt)), seen


def descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    for begin in (datadog, scope):
        opened = []
        try:
            with begin("descriptors." + begin.__name__):
                while True:
                    opened.append(open("/dev/null"))
        except BaseException as left:
            seen = left
        for file in opened:
            file.close()
        assert isinstance(seen, OSError) and seen.filename == "/dev/null", repr(seen)
        nothing_is_active()


globals()[sys.argv[1]]()
print("all is as it should be")
