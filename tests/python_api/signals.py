"""What a signal's handler raises comes out, whatever of the APIs it has interrupted: Ctrl-C, alarms, limits of time.

    python signals.py interrupt|limit

It fails by an assertion.
"""

import os
import random
import signal
import sys
import time

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator
from opentelemetry import propagate, trace

TIMES = 500


class Limit(Exception):
    """As those who set limits of time have it: an exception that a program may take for its own."""


class Name:
    """Shown by code of the program's."""

    def __str__(self):
        return "".join(["na", "med"])


RAISED = {"interrupt": KeyboardInterrupt, "limit": Limit}[sys.argv[1]]
otel = trace.get_tracer("signals")
ran = 0

def handler(*_):
    global ran
    ran += 1
    raise RAISED


def otel_span():
    otel.start_span("otel").end()


def otel_span_by_name():
    otel.start_span(Name(), attributes={"key": "value"}).end()


def otel_current():
    with otel.start_as_current_span("otel") as span:
        span.set_attribute("key", [1, "mixed"])


def datadog_span():
    with tracer.trace("datadog", resource="resource") as span:
        span.set_tag("list", (1, 2.5, "text", [None]))


def datadog_span_by_name():
    tracer.start_span(Name()).finish()


open_span, open_otel_span = tracer.start_span("datadog"), otel.start_span("otel")


def tags():
    open_span.set_tag("key", "value")
    open_span.set_tag("name", Name())
    open_span.set_tags({"number": 1, "bytes": b"bytes"})


def attributes():
    open_otel_span.set_attribute("key", "value")
    open_otel_span.set_attribute("name", Name())
    open_otel_span.set_attribute("mapping", {"key": Name()})


def names():
    open_otel_span.update_name("otel")
    open_span.name = "datadog"
    open_span.resource = Name()


def exceptions():
    try:
        raise ValueError(Name())
    except ValueError as error:
        open_otel_span.record_exception(error)
        open_span.set_exc_info(*sys.exc_info())


def headers():
    with otel.start_as_current_span("otel"):
        carried = {}
        propagate.inject(carried)
        propagate.extract(carried)
        HTTPPropagator.inject(tracer.current_trace_context(), carried)
        HTTPPropagator.extract(carried)


def failing():
    try:
        with otel.start_as_current_span("otel"), tracer.trace("datadog"):
            raise ValueError(Name())
    except ValueError:
        pass


WORK = [
    otel_span,
    otel_span_by_name,
    otel_current,
    datadog_span,
    datadog_span_by_name,
    tags,
    attributes,
    names,
    exceptions,
    headers,
    failing,
]


def swallowed(work):
    """Works until the handler has run; if what it raises comes out, this does not return."""
    before = ran
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0002, 0.0015))
    while ran == before:
        work()
    return work.__name__


signal.signal(signal.SIGALRM, handler)
for work in WORK:
    work()
lost = []
for number in range(TIMES):
    before = ran
    try:
        try:
            lost.append(swallowed(WORK[number % len(WORK)]))
        except RAISED:
            pass
    except RAISED:
        # It has come when the work was over.
        pass
    assert ran == before + 1
    tracer.context_provider.activate(None)
assert not lost, "swallowed %d of %d: %s" % (len(lost), ran, lost)
assert ran == TIMES


class Slow(Exception):
    """Shown by code that takes its time; at the time with this number the signal comes."""

    shown = 0

    def __init__(self, interrupted):
        self.interrupted = interrupted

    def __str__(self):
        Slow.shown += 1
        if Slow.shown == self.interrupted:
            signal.raise_signal(signal.SIGALRM)
            time.sleep(0)
        return "slow"


class Noted(Slow):
    """The same, below what it has caused."""

    def __init__(self, interrupted):
        super().__init__(interrupted)
        self.__cause__ = Slow(interrupted)


def within(begin, error):
    with begin("named"):
        raise error


def recorded(error):
    open_otel_span.record_exception(error)
    open_span.record_exception(error)


def set_on_a_span(error):
    try:
        raise error
    except Slow:
        open_span.set_exc_info(*sys.exc_info())


def is_interrupted(tell, error):
    """Whether what the handler raises comes out; or it has not run, as the exception is not shown that often."""
    before, Slow.shown = ran, 0
    try:
        tell(error)
    except RAISED:
        assert ran == before + 1
        return True
    except Slow:
        pass
    assert ran == before, "swallowed: %s of %s" % (Slow.shown, tell)
    return False


TELLING = [
    recorded,
    set_on_a_span,
    lambda error: within(tracer.trace, error),
    lambda error: within(otel.start_as_current_span, error),
]
for tell in TELLING:
    for kind in (Slow, Noted):
        times = 1
        while is_interrupted(tell, kind(times)):
            times += 1
        assert times > 2, "shown as a message and in a stack"
        tracer.context_provider.activate(None)


def given_up(begin, raised):
    """A span that is not given to whoever began it has never been."""
    try:
        begin("abandoned")
    except raised:
        assert tracer.current_span() is None
    else:
        raise AssertionError("swallowed")


@tracer.on_start_span
def listener(span):
    if span.name == "abandoned" or span.resource == "abandoned":
        raise SystemExit


for begin in (tracer.trace, tracer.start_span, otel.start_span):
    given_up(begin, SystemExit)
tracer.deregister_on_start_span(listener)


class Processor:
    def on_start(self, span, parent_context=None):
        if span.name == "abandoned":
            raise SystemExit

    def on_end(self, span):
        pass


provider = trace.get_tracer_provider()
provider.add_span_processor(Processor())
given_up(otel.start_span, SystemExit)
given_up(lambda name: otel.start_as_current_span(name).__enter__(), SystemExit)
os._exit(0)
