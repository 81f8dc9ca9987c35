"""The whole API of docs/python.md, by its types: `mypy --strict` accepts it, and what the types say is so when it runs."""

import sys
from collections.abc import Sequence
from typing import Optional

import dd_trace_api
import ddtrace_api
from ddtrace import config, patch, patch_all, tracer
from ddtrace._trace.pin import Pin
from ddtrace.constants import ERROR_MSG, MANUAL_KEEP_KEY, USER_KEEP
from ddtrace.contrib.asgi import TraceMiddleware
from ddtrace.contrib.trace_utils import set_http_meta, set_user
from ddtrace.contrib.wsgi import DDWSGIMiddleware
from ddtrace.ext import SpanTypes, http
from ddtrace.opentelemetry import TracerProvider
from ddtrace.propagation.http import HTTPPropagator
from ddtrace.runtime import RuntimeMetrics
from ddtrace.trace import BaseContextProvider, Context, Span, TraceFilter, Tracer
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode


@tracer.wrap("soup", service="kitchen", resource="cook", span_type="worker")
def cook(pieces: int) -> str:
    return "soup of %d" % pieces


@tracer.wrap()
async def serve(table: int) -> int:
    return table


class Filter(TraceFilter):
    def process_trace(self, trace: list[Span]) -> Optional[Sequence[Span]]:
        return [span for span in trace if span.get_tag(ERROR_MSG) is None]


def text(value: str) -> str:
    assert isinstance(value, str)
    return value


def number(value: float) -> float:
    assert isinstance(value, (int, float))
    return value


def datadog() -> None:
    text(cook(5))
    started: list[Span] = []
    listener = tracer.on_start_span(started.append)
    with tracer.trace("a", service="s", resource="r", span_type=SpanTypes.WEB, span_api="datadog") as span:
        text(span.name), text(span.resource), text(span.service or ""), text(span.span_type or "")
        number(span.trace_id), number(span.span_id), number(span.start), number(span.start_ns)
        span.name, span.resource, span.service, span.span_type = "b", "r", None, None
        span.set_tag("vegetable", "leek")
        span.set_tag(MANUAL_KEEP_KEY)
        span.set_tag(key=b"bytes", value={"any": "thing"})
        span.set_tags({"a": 1, "b": None})
        span.set_tag_str(http.URL, "http://shop")
        span.set_metric("pieces", 12)
        span.set_metrics({"one": 1, "half": 0.5})
        text(span.get_tag("vegetable") or ""), number(span.get_metric("pieces") or 0)
        text(span.get_tags()["vegetable"]), number(span.get_metrics()["half"])
        span.remove_tag("a")
        span.remove_metric("one")
        span.error = 1
        number(span.error)
        context: Context = span.context
        context.set_baggage_item("user", 7)
        text(context.get_baggage_item("user") or "")
        items: dict[str, str] = context.get_all_baggage_items()
        assert items == {"user": "7"}
        context.remove_baggage_item("user")
        context.remove_all_baggage_items()
        with tracer.start_span("child", child_of=span, service="s", resource="r", span_type="web", activate=True) as child:
            current, root, handed = tracer.current_span(), tracer.current_root_span(), tracer.current_trace_context()
            assert current is child and root is span and handed is not None
            child.link_span(context, {"why": "because"})
            child.set_link(trace_id=1, span_id=2, tracestate="dd=s:1", flags=1, attributes={"k": True})
            child.record_exception(ValueError("v"), {"k": [1, 2]})
            try:
                raise KeyError
            except KeyError:
                child.set_exc_info(*sys.exc_info())
                child.set_traceback(limit=5)
        number(child.duration or 0), number(child.duration_ns or 0), number(child.parent_id or 0)
        assert child.finished and not span.finished
        log: dict[str, str] = tracer.get_log_correlation_context()
        assert "dd.trace_id" in log
        headers: dict[str, str] = {}
        HTTPPropagator.inject(context, headers)
        HTTPPropagator.inject(span_context=span, headers=headers, non_active_span=None)
        came = HTTPPropagator.extract(headers)
        assert came.trace_id == span.trace_id and came.copy(None, 5).span_id == 5
    tracer.deregister_on_start_span(listener)
    assert started[0] is span
    tracer.trace("late").finish(finish_time=span.start + 60)
    tracer.start_span("alone", child_of=came).finish_with_ancestors()
    with tracer.trace("corrected") as corrected:
        corrected.start, corrected.start_ns = corrected.start - 1, corrected.start_ns - 1
        corrected.duration, corrected.duration_ns = 0.5, None
        corrected.set_tags(None)
        corrected.set_metrics(None)
    made_by_hand = Span("by.hand", service="s", trace_id=1, span_id=2, parent_id=3, start=4.5, context=came)
    assert made_by_hand.trace_id == 1 and made_by_hand.start_ns == 4_500_000_000

    provider: BaseContextProvider = tracer.context_provider
    made = Context(trace_id=7, span_id=8, sampling_priority=USER_KEEP, dd_origin="rum", baggage={"k": "v"})
    assert provider.activate(made) is made and provider.active() is made and provider() is made
    made.trace_id, made.span_id = 9, None
    made.sampling_priority, made.dd_origin, made.dd_user_id = 1, None, "me"
    number(made.sampling_priority or 0), text(made.dd_user_id or "")
    provider.activate(None)

    same: Tracer = Tracer()
    assert same is tracer and same.enabled
    same.enabled = True
    tracer.configure(trace_processors=[Filter()])
    tracer.configure(trace_processors=[])
    tracer.set_tags({"version": "7"})
    tracer.flush()
    tracer.shutdown(timeout=5)
    patch(flask=True)
    patch_all(redis=False)
    config.flask["service"] = "shop"
    config.service_mapping["a"] = "b"
    text(config.flask.service), text(config.service or "")


def beside_the_tracer() -> None:
    class Connection:
        pass

    connection = Connection()
    Pin.override(connection, service="db", tags={"a": "b"})
    pin = Pin.get_from(connection)
    assert pin is not None and pin.clone(service="other").service == "other"
    RuntimeMetrics.enable()
    with tracer.trace("request") as span:
        set_user(tracer, "u1", propagate=True)
        set_http_meta(span, config.wsgi, method="GET", status_code=404, route="/x")

    def application(environ: dict[str, object], start_response: object) -> list[bytes]:
        return [b"x"]

    async def asynchronous(scope: object, receive: object, send: object) -> None:
        pass

    DDWSGIMiddleware(application)
    TraceMiddleware(asynchronous, span_modifier=lambda span, scope: span.set_tag("a", "b"))


def stable() -> None:
    for stands in (ddtrace_api.tracer, dd_trace_api.tracer):
        with stands.trace("x", service="s") as span:
            span.set_tags({"a": "b"})
            with stands.start_span("y", child_of=span, activate=True):
                stands.current_span().set_tags({"c": "d"})
                stands.current_root_span().set_exc_info(ValueError, ValueError("v"), None)
        text(stands.wrap(service="s")(cook)(3))


def opentelemetry() -> None:
    provider = TracerProvider()
    general: trace.TracerProvider = provider
    tracer = provider.get_tracer("typed", "1", schema_url=None, attributes={"k": "v"})
    text(str(provider.resource.attributes["service.name"]))
    with tracer.start_as_current_span("checkout", kind=SpanKind.CLIENT, attributes={"b": True}) as span:
        span.set_attribute("items", 3)
        span.set_attributes({"l": [1, 2], "s": "t"})
        span.add_event("packed", {"k": 1}, timestamp=5)
        span.add_link(span.get_span_context(), {"k": 1})
        span.record_exception(KeyError("k"), escaped=False)
        span.set_status(Status(StatusCode.ERROR, "failed"))
        span.set_status(StatusCode.OK)
        span.update_name("paid")
        assert span.is_recording() and span.attributes["items"] == 3 and span.events[0].name == "packed"
        assert span.status.status_code is StatusCode.OK and span.kind is SpanKind.CLIENT and span.parent is None
        assert span.links[0].context.span_id == span.context.span_id
        text(span.to_json(indent=None)), text(span.name), number(span.start_time), number(span.end_time or 0)
        text(span.instrumentation_scope.name), number(span.dropped_attributes + span.events[0].dropped_attributes)
        of_the_api: trace.Span = span
        other = tracer.start_span("other", trace.set_span_in_context(of_the_api), start_time=1, links=[])
        other.end(end_time=2)

    @tracer.start_as_current_span("decorated")
    def decorated(price: int) -> int:
        return price

    number(decorated(5))
    general.get_tracer("other").start_span("more").end()
    assert provider.force_flush(timeout_millis=5)
    provider.shutdown()


def wrong(span: Span) -> None:
    """What a type checker is to refuse: --strict says so where it does not."""
    tracer.trace(5)  # type: ignore[arg-type]
    tracer.trace("x", nonsense=1)  # type: ignore[call-arg]
    tracer.current_span().set_tag("x")  # type: ignore[union-attr]
    span.span_id = 5  # type: ignore[misc]
    cook("five")  # type: ignore[arg-type]
    HTTPPropagator.inject(span, None)  # type: ignore[arg-type]


datadog()
beside_the_tracer()
stable()
opentelemetry()
print("the types are right")
