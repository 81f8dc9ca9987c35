"""Spans of OpenTelemetry's API that end while they are current, with spans of Datadog's API within. It fails by an assertion."""

from ddtrace import tracer as datadog
from opentelemetry import trace

otel = trace.get_tracer("ended")

with otel.start_as_current_span("request") as ended:
    ended.end()
    with datadog.trace("within"):
        pass
    assert trace.get_current_span() is ended and datadog.current_span() is None
    with otel.start_as_current_span("after") as below:
        assert below.parent.span_id == ended.get_span_context().span_id
with datadog.trace("above") as above:
    with otel.start_as_current_span("ends") as ended:
        ended.end()
        with datadog.trace("within") as within:
            assert within.parent_id == above.span_id
        with otel.start_as_current_span("after") as below:
            assert below.parent.span_id == ended.get_span_context().span_id
    assert datadog.current_span() is above
assert datadog.current_span() is None and trace.get_current_span() is trace.INVALID_SPAN
