"""Makes one span of what the arguments say, as tests/apps/described.c does, by OpenTelemetry's API."""

import os
import signal
import sys

from opentelemetry import propagate, trace

how, kind, *said = sys.argv[1:]
said = [each.split("=", 2) for each in said]
headers = {name: value for what, name, value in said if what == "header"}
context = propagate.extract(headers) if headers else None
of_type = {"text": str, "integer": int, "number": float, "truth": lambda value: value == "true"}

# What is said of a span before it starts is recorded at once.
attributes = {name: of_type[what](value) for what, name, value in said if what in of_type}
tracer = trace.get_tracer("described")
span = tracer.start_span("unnamed", context=context, kind=trace.SpanKind[kind.upper()], attributes=attributes)
for what, name, value in said:
    if what == "error":
        span.record_exception(type(name, (Exception,), {"__module__": "builtins"})(value))
        span.set_status(trace.StatusCode.ERROR, "said by the status")
if how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "injected":
    propagate.inject({}, trace.set_span_in_context(span))
span.end()
