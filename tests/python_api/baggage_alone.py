"""A request that brings baggage and no trace: its first span shows what is to be shown, by both APIs and once."""

from opentelemetry import baggage, context, propagate, trace

tracer = trace.get_tracer("shop")
incoming = propagate.extract({"baggage": "user.id=7,cart=9"})
assert dict(baggage.get_all(incoming)) == {"user.id": "7", "cart": "9"}
assert trace.get_current_span(incoming) is trace.INVALID_SPAN
with tracer.start_as_current_span("served", context=incoming, kind=trace.SpanKind.SERVER):
    tracer.start_span("below").end()

# It stays when a trace comes in after it, from another carrier.
incoming = propagate.extract({"baggage": "user.id=7"}, context=context.Context())
header = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
both = propagate.extract(header, context=incoming)
assert dict(baggage.get_all(both)) == {"user.id": "7"}, baggage.get_all(both)
headers = {}
propagate.inject(headers, context=both)
assert headers["baggage"] == "user.id=7", headers

# Within a span it is that span's trace that goes on.
with tracer.start_as_current_span("outer") as outer:
    more = propagate.extract({"baggage": "user.id=8"})
    with tracer.start_as_current_span("inner", context=more) as inner:
        assert inner.parent.span_id == outer.context.span_id
assert dict(baggage.get_all()) == {}
