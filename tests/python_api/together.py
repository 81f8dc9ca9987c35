"""One trace, made through every API that there is."""

import concurrent.futures

from ddtrace import tracer as datadog
from dd_trace_api import tracer as stable
from opentelemetry import baggage, context, trace

otel = trace.get_tracer("together")


def in_pool():
    assert trace.get_current_span().get_span_context().trace_flags & 1
    with otel.start_as_current_span("in.pool") as span:
        return span.parent.span_id, baggage.get_baggage("handed"), datadog.current_span().context.get_baggage_item("handed")


with datadog.trace("datadog") as outer:
    assert trace.get_current_span().get_span_context().span_id == outer.span_id
    trace.get_current_span().set_attribute("by.otel", "yes")
    outer.context.set_baggage_item("from.datadog", "d")
    assert baggage.get_baggage("from.datadog") == "d"
    with otel.start_as_current_span("otel") as span:
        assert datadog.current_span().span_id == span.get_span_context().span_id
        assert datadog.current_root_span() is outer
        datadog.current_span().set_tag("by.datadog", "yes")
        token = context.attach(baggage.set_baggage("from.otel", "o"))
        assert datadog.current_span().context.get_baggage_item("from.otel") == "o"
        with stable.trace("stable"):
            with otel.start_as_current_span("inner") as inner:
                assert trace.get_current_span() is inner
                assert baggage.get_baggage("from.otel") == "o"
                with datadog.trace("innermost"):
                    pass
                assert trace.get_current_span() is inner
        context.detach(token)
        assert trace.get_current_span() is span
    assert datadog.current_span() is outer
    with datadog.trace("operation", resource="resource") as span:
        shown = trace.get_current_span()
        shown.update_name("renamed")
        assert (span.name, span.resource) == ("operation", "renamed")
        shown.set_status(trace.StatusCode.ERROR, "bad")
        assert (span.error, span.get_tag("error.message"), span.get_tags()["error.message"]) == (1, "bad", "bad")
    with concurrent.futures.ThreadPoolExecutor() as pool, otel.start_as_current_span("submits") as span:
        token = context.attach(baggage.set_baggage("handed", "on"))
        assert pool.submit(in_pool).result() == (span.get_span_context().span_id, "on", "on")
        context.detach(token)
    with otel.start_as_current_span("failed") as shown:
        shown.set_status(trace.StatusCode.ERROR, "worse")
        assert datadog.current_span().get_tag("error.message") == "worse"
assert datadog.current_span() is None and trace.get_current_span() is trace.INVALID_SPAN
