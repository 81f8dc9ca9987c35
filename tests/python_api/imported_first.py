"""The order in which tools sort imports: Datadog's module has the API imported, and ours stands in all the same."""

from ddtrace.opentelemetry import TracerProvider  # isort: skip
from ddtrace import tracer
from opentelemetry import trace

with trace.get_tracer("x").start_as_current_span("otel") as span:
    assert span.is_recording() and type(span).__module__ == "ddtrace_run.otel", type(span)
with tracer.trace("datadog") as span:
    assert trace.get_current_span().get_span_context().span_id == span.span_id
assert isinstance(trace.get_tracer_provider(), TracerProvider)
