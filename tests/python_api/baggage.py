"""Baggage, which belongs to a trace in the one API and to a context in the other. It fails by an assertion."""

import asyncio
import threading

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator
from ddtrace.trace import Context
from opentelemetry import baggage, context, propagate, trace

otel = trace.get_tracer("baggage")


def sent(headers):
    items = filter(None, headers.get("baggage", "").split(","))
    return dict(item.split("=") for item in items)


def is_everywhere(expected):
    """What is said and what is sent, by either API, from here."""
    current = tracer.current_trace_context()
    assert current.get_all_baggage_items() == expected, current.get_all_baggage_items()
    assert all(current.get_baggage_item(key) == value for key, value in expected.items())
    assert dict(baggage.get_all()) == expected, dict(baggage.get_all())
    datadog, other = {}, {}
    HTTPPropagator.inject(current, datadog)
    propagate.inject(other)
    assert sent(datadog) == expected, datadog
    assert sent(other) == expected, other


def nothing_is_left():
    assert dict(baggage.get_all()) == {}, dict(baggage.get_all())
    headers = {}
    propagate.inject(headers)
    assert headers == {}, headers
    with tracer.trace("next"):
        is_everywhere({})


def one_sets_and_the_other_changes():
    with tracer.trace("d") as d:
        token = context.attach(baggage.set_baggage("k", "v"))
        is_everywhere({"k": "v"})
        context.detach(token)
        is_everywhere({})

        d.context.set_baggage_item("a", 1)
        is_everywhere({"a": "1"})
        token = context.attach(baggage.set_baggage("a", "2"))
        is_everywhere({"a": "2"})
        d.context.set_baggage_item("a", 3)
        is_everywhere({"a": "3"})
        context.detach(token)

        token = context.attach(baggage.remove_baggage("a"))
        is_everywhere({})
        context.detach(token)
        token = context.attach(baggage.clear())
        is_everywhere({})
        d.context.set_baggage_item("c", 3)
        is_everywhere({"c": "3"})
        context.detach(token)
        d.context.remove_all_baggage_items()
        is_everywhere({})

        d.context.set_baggage_item("a", 1)
        token = context.attach(baggage.set_baggage("b", "2"))
        d.context.remove_baggage_item("a")
        is_everywhere({"b": "2"})
        d.context.remove_baggage_item("b")
        is_everywhere({})


def what_was_attached_is_not_kept():
    with tracer.trace("d") as d:
        token = context.attach(baggage.set_baggage("secret", "s"))
        assert d.context.get_baggage_item("secret") == "s"
        d.context.set_baggage_item("a", 1)
        is_everywhere({"secret": "s", "a": "1"})
        with tracer.trace("inner"):
            is_everywhere({"secret": "s", "a": "1"})
            with otel.start_as_current_span("innermost"):
                is_everywhere({"secret": "s", "a": "1"})
        context.detach(token)
        assert d.context.get_all_baggage_items() == {"a": "1"}
        headers = {}
        HTTPPropagator.inject(d.context, headers)
        assert sent(headers) == {"a": "1"}
        with tracer.trace("later"):
            is_everywhere({"a": "1"})


def spans_of_the_other_api():
    with otel.start_as_current_span("o"):
        tracer.current_span().context.set_baggage_item("a", 1)
        is_everywhere({"a": "1"})
        with otel.start_as_current_span("inner"):
            is_everywhere({"a": "1"})
            tracer.current_span().context.set_baggage_item("b", 2)
            is_everywhere({"a": "1", "b": "2"})
        # It is of the trace, whose spans all have it.
        assert tracer.current_span().context.get_all_baggage_items() == {"a": "1", "b": "2"}
        headers = {}
        propagate.inject(headers)
        assert sent(headers) == {"a": "1", "b": "2"}


def what_is_there_before():
    token = context.attach(baggage.set_baggage("k", "v"))
    with tracer.trace("d") as d:
        is_everywhere({"k": "v"})
        d.context.set_baggage_item("a", 1)
        is_everywhere({"k": "v", "a": "1"})
    assert dict(baggage.get_all()) == {"k": "v"}
    context.detach(token)


def what_comes_in():
    headers = {"x-datadog-trace-id": "5", "x-datadog-parent-id": "6", "baggage": "in=1,more=2"}
    tracer.context_provider.activate(HTTPPropagator.extract(headers))
    is_everywhere({"in": "1", "more": "2"})
    with tracer.trace("server"):
        token = context.attach(baggage.remove_baggage("in"))
        is_everywhere({"more": "2"})
        with tracer.trace("inner"):
            is_everywhere({"more": "2"})
        context.detach(token)
        is_everywhere({"in": "1", "more": "2"})
    tracer.context_provider.activate(None)
    token = context.attach(propagate.extract(headers))
    is_everywhere({"in": "1", "more": "2"})
    context.detach(token)
    tracer.context_provider.activate(Context(trace_id=7, span_id=8, baggage={"made": "1"}))
    is_everywhere({"made": "1"})
    tracer.context_provider.activate(None)


def elsewhere():
    """Other tasks and threads have the trace's baggage, and not what is attached to a context that they do not have."""

    async def task(d):
        d.context.set_baggage_item("task", 1)
        is_everywhere({"k": "v", "task": "1"})

    async def main():
        with tracer.trace("d") as d:
            token = context.attach(baggage.set_baggage("k", "v"))
            await asyncio.ensure_future(task(d))
            assert d.context.get_all_baggage_items() == {"k": "v", "task": "1"}
            with tracer.trace("later"):
                is_everywhere({"k": "v", "task": "1"})
            context.detach(token)

    asyncio.run(main())

    def work(handed):
        tracer.context_provider.activate(handed)
        with tracer.trace("in.thread"):
            is_everywhere({"a": "1"})
        tracer.current_trace_context().set_baggage_item("thread", 2)
        is_everywhere({"a": "1", "thread": "2"})
        done.append(True)

    done = []
    with tracer.trace("d") as d:
        d.context.set_baggage_item("a", 1)
        token = context.attach(baggage.set_baggage("k", "v"))
        thread = threading.Thread(target=work, args=(d.context,))
        thread.start()
        thread.join()
        assert done == [True]
        assert d.context.get_all_baggage_items() == {"a": "1", "thread": "2", "k": "v"}
        context.detach(token)


def properties():
    """They are passed on behind the value; a semicolon of the program's own is a part of it."""
    came = propagate.extract({"baggage": "k=v;prop=1;more,own=w"})
    assert dict(baggage.get_all(came)) == {"k": "v;prop=1;more", "own": "w"}
    headers = {}
    propagate.inject(headers, baggage.set_baggage("own", "w;x", came))
    assert headers["baggage"] == "k=v;prop=1;more,own=w%3Bx", headers
    headers = {}
    HTTPPropagator.inject(HTTPPropagator.extract({"x-datadog-trace-id": "1", "x-datadog-parent-id": "2", "baggage": "k=v;prop=1"}), headers)
    assert headers["baggage"] == "k=v;prop=1", headers


for check in (
    properties,
    one_sets_and_the_other_changes,
    what_was_attached_is_not_kept,
    spans_of_the_other_api,
    what_is_there_before,
    what_comes_in,
    elsewhere,
):
    check()
    nothing_is_left()
print("all is as it should be")
