"""A span that is finished in another thread is active for no API any more. It fails by an assertion."""

import threading

from ddtrace import tracer
from opentelemetry import context, propagate, trace

otel = trace.get_tracer("elsewhere")


def finished_elsewhere(name):
    span = tracer.trace(name)
    thread = threading.Thread(target=span.finish)
    thread.start()
    thread.join()
    assert span.finished
    return span


def nothing_above():
    gone = finished_elsewhere("gone")
    kept = context.get_current()
    assert tracer.current_span() is None and tracer.current_trace_context() is None
    # The API looks into its context itself: what it finds there has ended.
    assert not trace.get_current_span().is_recording()
    headers = {}
    propagate.inject(headers)
    assert not headers, headers
    with otel.start_as_current_span("of.otel") as span:
        assert span.parent is None and span.get_span_context().trace_id != gone.trace_id
    with tracer.trace("of.datadog") as span:
        assert span.parent_id is None and span.trace_id != gone.trace_id
    # Whoever has kept the context may still say so.
    with otel.start_as_current_span("said", context=kept) as span:
        assert span.parent.span_id == gone.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


def below_a_span():
    with tracer.trace("outer") as outer:
        finished_elsewhere("gone")
        with otel.start_as_current_span("of.otel") as span:
            assert span.parent.span_id == outer.span_id
        headers = {}
        propagate.inject(headers)
        assert headers["x-datadog-parent-id"] == str(outer.span_id)
        assert tracer.current_span() is outer


def below_a_context():
    came = propagate.extract({"x-datadog-trace-id": "7", "x-datadog-parent-id": "8"})
    token = context.attach(came)
    finished_elsewhere("gone")
    with otel.start_as_current_span("of.otel") as span:
        assert (span.parent.trace_id, span.parent.span_id, span.parent.is_remote) == (7, 8, True)
    context.detach(token)
    assert tracer.current_span() is None


for check in (nothing_above, below_a_span, below_a_context):
    check()
    tracer.context_provider.activate(None)
print("all is as it should be")
