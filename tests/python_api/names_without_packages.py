"""A program with an SDK of its own, under OTEL_PROPAGATORS=b3,baggage without the package that brings `b3`. It fails by an
assertion."""

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

came = {"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1", "baggage": "a=b"}
context.attach(propagate.extract(came))
context.attach(baggage.set_baggage("c", "d"))

# A span of none of the tracers: what is in its context is passed on with it.
sent = {}
span = NonRecordingSpan(SpanContext(0x1234 << 64, 0x56, False, TraceFlags(1)))
propagate.inject(sent, trace.set_span_in_context(span))
assert sent == {"b3": f"{0x1234 << 64:032x}-{0x56:016x}-1", "baggage": "a=b,c=d"}, sent

trace.set_tracer_provider(TracerProvider())
with trace.get_tracer("program").start_as_current_span("work") as span:
    sent = {}
    propagate.inject(sent)
told = span.get_span_context()
assert told.trace_id == 0x80F198EE56343BA864FE8B2A57D3EFF7
assert sent == {"b3": f"{told.trace_id:032x}-{told.span_id:016x}-1", "baggage": "a=b,c=d"}, sent
print("passed on")
