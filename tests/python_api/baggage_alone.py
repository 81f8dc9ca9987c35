"""A request that brings baggage and no trace: its first span shows what is to be shown, by both APIs and once."""

from opentelemetry import baggage, propagate, trace

tracer = trace.get_tracer("shop")
incoming = propagate.extract({"baggage": "user.id=7,cart=9"})
assert dict(baggage.get_all(incoming)) == {"user.id": "7", "cart": "9"}
assert trace.get_current_span(incoming) is trace.INVALID_SPAN
with tracer.start_as_current_span("served", context=incoming, kind=trace.SpanKind.SERVER):
    tracer.start_span("below").end()

# Within a span it is that span's trace that goes on.
with tracer.start_as_current_span("outer") as outer:
    more = propagate.extract({"baggage": "user.id=8"})
    with tracer.start_as_current_span("inner", context=more) as inner:
        assert inner.parent.span_id == outer.context.span_id
assert dict(baggage.get_all()) == {}
