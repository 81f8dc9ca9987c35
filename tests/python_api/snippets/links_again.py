from ddtrace import tracer
from ddtrace.trace import Context

other = Context(trace_id=5, span_id=6, sampling_priority=1)
with tracer.trace("linked") as span:
    span.link_span(other, {"first": "1"})
    span.set_link(1, 2, attributes={"between": "2"})
    span.link_span(other, {"second": "2"})
    # Told apart by the span alone.
    span.set_link(7, 2, attributes={"another": "trace"})
