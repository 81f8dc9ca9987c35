"""Requests with a trace but no span to hang under are continued by either API, under the decision that came with them. It fails by
an assertion."""

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator
from opentelemetry import propagate, trace

for headers, priority in [
    ({"x-datadog-trace-id": "77", "x-datadog-sampling-priority": "-1"}, "-1"),
    ({"x-datadog-trace-id": "78", "x-datadog-parent-id": "0", "x-datadog-sampling-priority": "-1"}, "-1"),
    ({"x-datadog-trace-id": "79", "x-datadog-sampling-priority": "2", "x-datadog-origin": "rum"}, "2"),
]:
    context = propagate.extract(headers)
    sent = {}
    with trace.get_tracer("t").start_as_current_span("otel", context=context, kind=trace.SpanKind.SERVER):
        propagate.inject(sent)
    expected = (headers["x-datadog-trace-id"], priority, headers.get("x-datadog-origin"))
    names = ("x-datadog-trace-id", "x-datadog-sampling-priority", "x-datadog-origin")
    assert tuple(map(sent.get, names)) == expected, sent

    sent = {}
    with tracer.start_span("datadog", child_of=HTTPPropagator.extract(headers), activate=True) as span:
        HTTPPropagator.inject(span.context, sent)
    assert tuple(map(sent.get, names)) == expected, sent
