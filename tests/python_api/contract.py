"""The contract of the OpenTelemetry API's Span, Tracer and TracerProvider: each question, and what the provider answers.

Run bare, the provider is the OpenTelemetry SDK's; under the launcher it is ours. The answers are the same, but for those
that the test knows of. It is long, as it is one list of questions: each is a few lines and depends on no other.
"""

import asyncio
import contextvars
import json
import os
import sys
import threading
import warnings

import logging

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

IS_SDK = len(sys.argv) > 1 and sys.argv[1] == "sdk"
if IS_SDK:
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())

provider = trace.get_tracer_provider()
tracer = trace.get_tracer("contract", "1.2")
answers = {}


def ask(question):
    """Has a function answer a question: what it gives, or what it raises."""
    def asked(function):
        try:
            answer = function()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        assert question.__name__ if callable(question) else question not in answers
        answers[question] = answer
        return function

    return asked


def shown(span):
    """What a span has to show."""
    return {
        "name": span.name,
        "kind": str(span.kind),
        "attributes": {key: repr(value) for key, value in span.attributes.items()},
        "events": [(event.name, {k: repr(v) for k, v in event.attributes.items()}) for event in span.events],
        "links": [(hex(link.context.trace_id), {k: repr(v) for k, v in link.attributes.items()}) for link in span.links],
        "status": (span.status.status_code.name, span.status.description),
    }


@ask("classes")
def _():
    with tracer.start_as_current_span("x") as span:
        return [
            isinstance(span, trace.Span),
            isinstance(tracer, trace.Tracer),
            isinstance(provider, trace.TracerProvider),
            issubclass(type(span), trace.Span),
            trace.get_current_span() is span,
        ]


@ask("tracers of equal scopes are equal")
def _():
    return [
        trace.get_tracer("contract", "1.2") == tracer,
        trace.get_tracer("contract", "1.3") == tracer,
        isinstance(trace.get_tracer(""), trace.Tracer),
        isinstance(trace.get_tracer("x", "1", None, "https://schema"), trace.Tracer),
    ]


@ask("a root")
def _():
    span = tracer.start_span("root", context=context.Context())
    span_context = span.get_span_context()
    return [
        span.parent,
        span_context.is_valid,
        span_context.is_remote,
        span_context.trace_flags & 1,
        span_context.trace_id > 0 and span_context.span_id > 0,
        trace.get_current_span() is INVALID_SPAN,
        span.end(),
        span.is_recording(),
    ]


@ask("a child")
def _():
    with tracer.start_as_current_span("parent") as parent:
        child = tracer.start_span("child")
        child.end()
        return [
            child.get_span_context().trace_id == parent.get_span_context().trace_id,
            child.get_span_context().span_id != parent.get_span_context().span_id,
            child.parent == parent.get_span_context(),
            trace.get_current_span() is parent,
        ]


@ask("an explicit context comes before the current one")
def _():
    other = tracer.start_span("other")
    with tracer.start_as_current_span("current") as current:
        under = tracer.start_span("under", context=trace.set_span_in_context(other))
        root = tracer.start_span("root", context=trace.set_span_in_context(INVALID_SPAN))
        return [under.parent == other.get_span_context(), root.parent, root.get_span_context().trace_id != current.get_span_context().trace_id]


@ask("a remote parent")
def _():
    state = TraceState([("vendor", "v")])
    remote = SpanContext(0xAA << 64 | 0xBB, 0xCC, True, TraceFlags(1), state)
    span = tracer.start_span("under", context=trace.set_span_in_context(NonRecordingSpan(remote)))
    got = span.get_span_context()
    return [
        hex(got.trace_id),
        got.trace_flags & 1,
        got.is_remote,
        got.trace_state.get("vendor"),
        span.parent == remote,
        span.parent.is_remote,
        span.is_recording(),
    ]


@ask("a parent that is not sampled")
def _():
    remote = SpanContext(0xAA << 64 | 0xBB, 0xCC, True, TraceFlags(0))
    span = tracer.start_span("under", context=trace.set_span_in_context(NonRecordingSpan(remote)))
    got = span.get_span_context()
    return [hex(got.trace_id), got.trace_flags & 1, got.span_id != 0xCC, span.is_recording()]


@ask("attributes")
def _():
    span = tracer.start_span("x", attributes={"given": "g", "none": None})
    for key, value in {
        "str": "s",
        "bool": True,
        "int": 5,
        "float": 1.5,
        "negative": -1,
        "strings": ["a", "b"],
        "bools": (True, False),
        "ints": [1, 2],
        "floats": [1.5, 2.5],
        "empty": [],
        "umlaut": "äöü€",
    }.items():
        span.set_attribute(key, value)
    span.set_attributes({"more": 1, "str": "again"})
    return shown(span)


@ask("odd attributes")
def _():
    span = tracer.start_span("x")
    span.set_attribute("", "no key")
    span.set_attribute(5, "no text")
    span.set_attribute(None, "none")
    span.set_attribute("object", object)
    span.set_attribute("set", {1})
    span.set_attribute("big", 1 << 80)
    span.set_attribute("ok", 1)
    return sorted(key for key in span.attributes if isinstance(key, str) and key)


@ask("values that are no attributes by the specification")
def _():
    span = tracer.start_span("x")
    for key, value in {
        "bytes": b"by",
        "mapping": {"a": [1, None], "b": {"c": "d"}},
        "mixed": [1, "a", True, 1.5],
        "with none": [1, None, 2],
        "texts with none": ["a", None],
        "nested": [[1], ["a"]],
        "big": 1 << 70,
        "set": {1},
    }.items():
        span.set_attribute(key, value)
    return {key: repr(value) for key, value in span.attributes.items()}


@ask("attributes given as none")
def _():
    span = tracer.start_span("x", attributes=None, links=None)
    span.add_event("e", None)
    span.add_event("f", {})
    return shown(span)


@ask("what is shown cannot be changed")
def _():
    span = tracer.start_span("x", attributes={"a": 1})
    span.add_event("e", {"k": 1})
    problems = []
    for change in (
        lambda: span.attributes.__setitem__("b", 2),
        lambda: span.events[0].attributes.__setitem__("b", 2),
        lambda: span.events.__setitem__(0, None),
        lambda: span.links.__setitem__(0, None),
    ):
        try:
            change()
            problems.append("changed")
        except (TypeError, AttributeError):
            problems.append("refused")
    return problems


@ask("a copied list")
def _():
    span = tracer.start_span("x")
    items = ["a"]
    span.set_attribute("list", items)
    items.append("b")
    return repr(span.attributes["list"])


@ask("events")
def _():
    span = tracer.start_span("x")
    span.add_event("first", {"int_val": 1, "string_val": "two", "int_array": [3, 4], "string_array": ["5", "6"], "bool_array": [True, False]})
    span.add_event("second", timestamp=123)
    span.add_event("third", {"a": "b"}, 456)
    return [shown(span)["events"], [event.timestamp for event in span.events][1:]]


@ask("times")
def _():
    span = tracer.start_span("x", start_time=1_000)
    before = span.end_time
    span.end(end_time=2_000)
    span.end(end_time=3_000)
    return [span.start_time, before, span.end_time, type(span.start_time).__name__]


@ask("times that are not whole")
def _():
    span = tracer.start_span("x", start_time=1.5e18)
    span.add_event("e", timestamp=1.6e18)
    span.end(1.7e18)
    return [int(span.start_time), int(span.events[0].timestamp), int(span.end_time)]


@ask("an end before the start")
def _():
    times = []
    for end in (0, 4_000):
        span = tracer.start_span("x", start_time=5_000)
        span.end(end)
        times.append((span.start_time, span.end_time))
    return times


@ask("the parent is the very context")
def _():
    with tracer.start_as_current_span("parent") as parent:
        child = tracer.start_span("child")
    explicit = tracer.start_span("child", context=trace.set_span_in_context(parent))
    remote = SpanContext(0xAA, 0xBB, True, TraceFlags(1))
    under = tracer.start_span("x", context=trace.set_span_in_context(NonRecordingSpan(remote)))
    context = parent.get_span_context()
    return [child.parent is context, explicit.parent is context, parent.context is context, under.parent is remote]


@ask("the flags of a root")
def _():
    return int(tracer.start_span("x").get_span_context().trace_flags)


@ask("the scope")
def _():
    told = []
    for given in (("n",), ("n", "1"), ("n", "1", "https://schema"), ("n", "1", None, {"a": 1})):
        scope = provider.get_tracer(*given).start_span("x").instrumentation_scope
        told.append((scope.name, scope.version, scope.schema_url, dict(scope.attributes)))
    return told


@ask("after the end")
def _():
    span = tracer.start_span("x", attributes={"a": 1})
    span.end()
    span.set_attribute("b", 2)
    span.set_attributes({"c": 3})
    span.add_event("late")
    span.update_name("late")
    span.set_status(StatusCode.ERROR, "late")
    span.record_exception(ValueError("late"))
    span.add_link(SpanContext(1, 2, False))
    return [span.is_recording(), shown(span)]


@ask("names and kinds")
def _():
    kinds = []
    for kind in SpanKind:
        with tracer.start_as_current_span("x", kind=kind) as span:
            kinds.append([span.kind is kind, span.name])
    span = tracer.start_span("before")
    span.update_name("after")
    return [kinds, span.name]


@ask("status")
def _():
    said = []
    for steps in (
        [],
        [(Status(StatusCode.OK),)],
        [(StatusCode.OK,)],
        [(StatusCode.OK, "description")],
        [(StatusCode.ERROR,)],
        [(StatusCode.ERROR, "why")],
        [(Status(StatusCode.ERROR, "why"),)],
        [(Status(StatusCode.ERROR, "why"), "ignored")],
        [(StatusCode.ERROR, "why"), (StatusCode.UNSET,)],
        [(StatusCode.ERROR, "why"), (StatusCode.OK,)],
        [(StatusCode.ERROR, "why"), (StatusCode.ERROR, "other")],
        [(StatusCode.OK,), (StatusCode.ERROR, "late")],
        [(StatusCode.OK,), (StatusCode.UNSET,)],
    ):
        span = tracer.start_span("x")
        for step in steps:
            span.set_status(*step)
        said.append((span.status.status_code.name, span.status.description, span.status.is_ok))
    return said


@ask("links")
def _():
    one = SpanContext(0x11, 0x22, False, TraceFlags(1), TraceState([("a", "b")]))
    span = tracer.start_span("x", links=[Link(one), Link(one, {"k": "v", "l": [1, 2]})])
    span.add_link(SpanContext(0x33, 0x44, True), {"later": True})
    span.add_link(None)
    span.add_link(trace.INVALID_SPAN_CONTEXT)
    return [
        shown(span)["links"],
        [(hex(link.context.span_id), link.context.trace_flags & 1, link.context.trace_state.to_header(), link.context.is_remote) for link in span.links],
    ]


class Own(Exception):
    class Inner(Exception):
        pass


def exceptions(span):
    return [
        (
            event.name,
            event.attributes["exception.type"],
            event.attributes["exception.message"],
            event.attributes["exception.stacktrace"].startswith("Traceback"),
            event.attributes["exception.stacktrace"].strip().splitlines()[-1],
            event.attributes.get("exception.escaped"),
            {k: v for k, v in event.attributes.items() if not k.startswith("exception.")},
        )
        for event in span.events
    ]


@ask("a span that ends while it is current stays so")
def _():
    said = []

    def look(span):
        told = {}
        propagate.inject(told)
        said.append([trace.get_current_span() is span, told["traceparent"][3:52] == span_id(span)])
        for options in {}, {"context": context.get_current()}:
            child = tracer.start_span("below", **options)
            said.append([child.parent.span_id == span.get_span_context().span_id])
            child.end()

    def span_id(span):
        got = span.get_span_context()
        return f"{got.trace_id:032x}-{got.span_id:016x}"

    for outer in trace.INVALID_SPAN, tracer.start_span("outer"):
        with trace.use_span(outer):
            span = tracer.start_span("used")
            with trace.use_span(span, end_on_exit=False):
                before = context.get_current()
                span.end()
                said.append(context.get_current() is before)
                look(span)
            with tracer.start_as_current_span("as current") as span:
                span.end()
                look(span)
            span = tracer.start_span("attached")
            token = context.attach(trace.set_span_in_context(span))
            span.end()
            look(span)
            context.detach(token)
            said.append(trace.get_current_span() is outer)
    return said


@ask("recorded exceptions")
def _():
    span = tracer.start_span("x")
    span.record_exception(ValueError("outside"))
    try:
        raise Own.Inner("nested")
    except Own.Inner as error:
        span.record_exception(error, {"status": "failed"}, 789)
        span.record_exception(error, {"exception.message": "mine"}, escaped=True)
    try:
        try:
            raise KeyError("cause")
        except KeyError as cause:
            raise Own("effect") from cause
    except Own as error:
        span.record_exception(error)
        caused = "KeyError: 'cause'" in span.events[-1].attributes["exception.stacktrace"]
    return [exceptions(span), span.events[1].timestamp, caused, span.status.status_code.name]


@ask("exceptions that leave the current span")
def _():
    told = []
    for error in (ValueError("v"), Own("o"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()):
        for options in ({}, {"record_exception": False}, {"set_status_on_exception": False}):
            try:
                with tracer.start_as_current_span("x", **options) as span:
                    raise error
            except BaseException as raised:
                told.append([raised is error, exceptions(span), span.status.status_code.name, span.status.description])
    return told


@ask("exceptions that leave a span that is a context manager")
def _():
    told = []
    for error in (ValueError("v"), SystemExit(1), GeneratorExit()):
        for options in ({}, {"record_exception": False}, {"set_status_on_exception": False}):
            try:
                with tracer.start_span("x", **options) as span:
                    raise error
            except BaseException as raised:
                told.append([raised is error, exceptions(span), span.status.status_code.name, span.status.description])
    return told


@ask("exceptions of a child reach the parent")
def _():
    try:
        with tracer.start_as_current_span("parent") as parent:
            with tracer.start_as_current_span("child", record_exception=False, set_status_on_exception=False) as child:
                raise ValueError("both")
    except ValueError:
        pass
    return [len(parent.events), len(child.events), parent.status.status_code.name, child.status.status_code.name]


@ask("a status that was set stays")
def _():
    try:
        with tracer.start_as_current_span("x") as span:
            span.set_status(StatusCode.OK)
            raise ValueError("late")
    except ValueError:
        pass
    return shown(span)["status"]


@ask("not ended on exit")
def _():
    with tracer.start_as_current_span("x", end_on_exit=False) as span:
        pass
    recording = span.is_recording()
    span.end()
    return [recording, span.is_recording(), trace.get_current_span() is INVALID_SPAN]


@ask("use_span")
def _():
    span = tracer.start_span("x")
    with trace.use_span(span) as used:
        same = used is span and trace.get_current_span() is span
    recording = span.is_recording()
    try:
        with trace.use_span(span, end_on_exit=True):
            raise ValueError("v")
    except ValueError:
        pass
    return [same, recording, span.is_recording(), shown(span)["status"], trace.get_current_span() is INVALID_SPAN]


@ask("decorators")
def _():
    spans = []

    @tracer.start_as_current_span("function")
    def function(a, b=2):
        """Its words."""
        spans.append(trace.get_current_span())
        return a + b

    @tracer.start_as_current_span("coroutine")
    async def coroutine():
        await asyncio.sleep(0)
        spans.append(trace.get_current_span())
        return trace.get_current_span().is_recording()

    results = [function(1), function(1, b=5), asyncio.run(coroutine())]
    return [
        results,
        [span.name for span in spans],
        len({span.get_span_context().span_id for span in spans}),
        [span.is_recording() for span in spans],
        function.__name__,
        function.__doc__,
        asyncio.iscoroutinefunction(coroutine),
    ]


@ask("tasks and threads")
def _():
    async def leaf():
        with tracer.start_as_current_span("leaf") as span:
            await asyncio.sleep(0)
            return trace.get_current_span() is span and span.parent.span_id

    async def main():
        with tracer.start_as_current_span("main") as span:
            return [each == span.get_span_context().span_id for each in await asyncio.gather(leaf(), leaf())]

    seen = []
    with tracer.start_as_current_span("main") as span:
        thread = threading.Thread(target=lambda: seen.append(trace.get_current_span() is INVALID_SPAN))
        thread.start()
        thread.join()
        copied = contextvars.copy_context()
    seen.append(copied.run(trace.get_current_span) is span)
    return [asyncio.run(main()), seen]


@ask("baggage and context stay what they were")
def _():
    token = context.attach(baggage.set_baggage("k", "v"))
    with tracer.start_as_current_span("x"):
        inside = dict(baggage.get_all())
        with tracer.start_as_current_span("y"):
            nested = dict(baggage.get_all())
    context.detach(token)
    return [inside, nested, dict(baggage.get_all()), trace.get_current_span() is INVALID_SPAN]


@ask("propagation")
def _():
    with tracer.start_as_current_span("x", context=baggage.set_baggage("k", "v", context.Context())) as span:
        headers = {}
        propagate.inject(headers, context=trace.set_span_in_context(span, baggage.set_baggage("k", "v")))
    came = propagate.extract(headers)
    got = trace.get_current_span(came).get_span_context()
    parent = span.get_span_context()
    return [
        headers["traceparent"].split("-")[1] == f"{parent.trace_id:032x}",
        headers["traceparent"].split("-")[2] == f"{parent.span_id:016x}",
        headers["baggage"],
        got.trace_id == parent.trace_id,
        got.span_id == parent.span_id,
        got.is_remote,
        dict(baggage.get_all(came)),
        trace.get_current_span(propagate.extract({})) is INVALID_SPAN,
    ]


@ask("limits")
def _():
    span = tracer.start_span("x")
    for index in range(200):
        span.set_attribute(f"key.{index}", index)
        span.add_event(f"event.{index}")
        span.add_link(SpanContext(index + 1, 1, False))
    return [len(span.attributes), len(span.events), len(span.links), span.dropped_attributes > 0]


@ask("attributes of details that find no room")
def _():
    many = {f"key.{index}": index for index in range(200)}
    span = tracer.start_span("x", links=[Link(SpanContext(1, 1, False), many), Link(SpanContext(2, 2, False), {"a": 1})])
    span.add_event("e", many)
    span.add_event("f", {"a": 1})
    return [
        [(len(event.attributes), event.dropped_attributes) for event in span.events],
        [(len(link.attributes), link.dropped_attributes) for link in span.links],
    ]


@ask("which details find no room")
def _():
    span = tracer.start_span("x")
    for index in range(129):
        span.add_event(f"event.{index}")
        span.add_link(SpanContext(index + 1, 1, False))
    return [span.events[0].name, span.events[-1].name, span.links[0].context.trace_id, span.links[-1].context.trace_id]


@ask("json")
def _():
    with tracer.start_as_current_span("parent"):
        with tracer.start_as_current_span("x", kind=SpanKind.SERVER, attributes={"a": [1, 2]}) as span:
            span.add_event("e", {"k": "v"})
            span.set_status(StatusCode.ERROR, "why")
    told = json.loads(span.to_json())
    return [sorted(told), told["kind"], told["status"], told["attributes"], told["name"], sorted(told["context"]), len(told["parent_id"]), told["end_time"][-1]]


@ask("processors")
def _():
    calls = []

    class Processor:
        def on_start(self, span, parent_context=None):
            calls.append(("start", span.name, span.is_recording()))
            span.set_attribute("by.processor", 1)

        def _on_ending(self, span):
            calls.append(("ending", span.name, span.is_recording()))

        def on_end(self, span):
            calls.append(("end", span.name, dict(span.attributes), span.end_time is not None))

        def shutdown(self):
            calls.append("shutdown")

        def force_flush(self, timeout_millis=30000):
            calls.append("flush")
            return True

    trace.get_tracer_provider().add_span_processor(Processor())
    with tracer.start_as_current_span("x", attributes={"a": 1}):
        pass
    return [calls, trace.get_tracer_provider().force_flush(), "service.name" in trace.get_tracer_provider().resource.attributes]


print(json.dumps(answers, indent=1, default=repr))
