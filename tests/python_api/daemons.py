"""Daemon threads that are in the middle of a span, in all ways that lead into code of Python's, when the interpreter ends."""

import sys
import threading
import time

from ddtrace import tracer


def fail_for_ever(_pause):
    while True:
        try:
            with tracer.trace("failing"):
                raise ValueError("x")
        except ValueError:
            pass


@tracer.wrap("job")
def job():
    raise ValueError("x")


def work(pause):
    while True:
        try:
            job()
        except ValueError:
            pass
        time.sleep(pause)


def send_on(_pause):
    from opentelemetry import propagate, trace

    otel = trace.get_tracer("daemons")
    while True:
        with otel.start_as_current_span("sent"):
            propagate.inject({})


ways = {"fail": fail_for_ever, "work": work, "send": send_on}
for _ in range(2):
    threading.Thread(target=ways[sys.argv[1]], args=(0.0005,), daemon=True).start()
time.sleep(0.1)
