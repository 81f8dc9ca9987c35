"""A child takes part in the trace that was active as it was forked, and both say the same of whether that is kept. Rules drop
what is called `GET /health`."""

import os

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator
from opentelemetry import trace


def priority(span):
    headers = {}
    HTTPPropagator.inject(span.context, headers)
    return headers["x-datadog-sampling-priority"]


def forks():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with tracer.trace("job") as span:
            os.write(writer, priority(span).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    told = os.read(reader, 100).decode()
    assert told == priority(tracer.current_span()) == "-1", told


with tracer.trace("web.request", resource="GET /health"):
    forks()
with trace.get_tracer("t").start_as_current_span("GET /health"):
    forks()
os.close(0)  # Nothing is active: nothing to decide, and no harm.
if os.fork() == 0:
    os._exit(0)
assert os.wait()[1] == 0
print("both say the same")
