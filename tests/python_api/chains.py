"""Work that goes on from where it has ended, over and over: what has ended is let go of. It fails by an assertion."""

import asyncio
import gc
import threading
import weakref

from ddtrace import tracer
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor

otel = trace.get_tracer("chains")
#: Many more than a stack has room for, if each lets go of the one before within itself.
LONG = 20_000


def many_are_kept(spans):
    return sum(span() is not None for span in spans) > 3


def finished_spans():
    spans, before = [], None
    for _ in range(LONG):
        span = tracer.start_span("link", child_of=before)
        assert before is None or span._parent is before and span._local_root is spans[0]()
        span.finish()
        spans.append(weakref.ref(span))
        before = span
    assert before._local_root is spans[0]() and before.parent_id
    assert not many_are_kept(spans), "what has ended stays"


def active_spans():
    """The same where each is active while the next one starts, and ends before that does."""
    spans, before = [], None
    for _ in range(LONG // 10):
        span = tracer.start_span("active", child_of=before, activate=True)
        spans.append(weakref.ref(span))
        if before is not None:
            before.finish()
        before = span
    before.finish()
    assert tracer.current_span() is None and tracer.context_provider.active() is None
    del span
    assert not many_are_kept(spans), "what has ended stays"


def open_spans():
    """Nobody finishes these: they go when the last one does."""
    last = None
    for _ in range(LONG):
        last = tracer.start_span("open", child_of=last)
    first = weakref.ref(last._local_root)
    del last
    assert first() is None


def messages():
    spans, before = [], None
    for _ in range(LONG // 10):
        with otel.start_as_current_span("message", context=before and trace.set_span_in_context(before)) as span:
            assert before is None or span.parent == before.get_span_context()
        spans.append(weakref.ref(span._ddspan))
        before = span
    assert not many_are_kept(spans), "what has ended stays"


def tasks():
    spans = []
    ended = asyncio.Event()

    async def poll(left, above):
        with otel.start_as_current_span("poll") as span:
            assert above is None or span.parent.span_id == above
            spans.append(weakref.ref(span._ddspan))
            if left:
                asyncio.get_running_loop().create_task(poll(left - 1, span.get_span_context().span_id))
            # It is open when the next one starts.
            await asyncio.sleep(0)
        if not left:
            ended.set()

    async def main():
        await poll(LONG // 10, None)
        await ended.wait()

    asyncio.run(main())
    gc.collect()
    assert not many_are_kept(spans), "what has ended stays"


def told_at_the_end():
    """What a span was under is told when both have ended."""
    parents = []

    class Processor(SpanProcessor):
        def on_end(self, span):
            parents.append(span.parent)

    provider = trace.get_tracer_provider()
    provider.add_span_processor(Processor())
    top = otel.start_span("top")
    above = otel.start_span("above", context=trace.set_span_in_context(top))
    below = otel.start_span("below", context=trace.set_span_in_context(above))
    for span in (above, top, below):
        span.end()
    told = [above.get_span_context(), top.get_span_context()]
    assert parents == [told[1], None, told[0]] and below.parent == told[0], parents
    assert below.parent.trace_state == told[0].trace_state and below.parent.trace_flags == told[0].trace_flags
    assert below._ddspan._local_root is top._ddspan


# Threads of many programs have less of a stack.
threading.stack_size(256 * 1024)
for part in (finished_spans, active_spans, open_spans, messages, tasks, told_at_the_end):
    failed = []

    def run():
        try:
            part()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
print("all is as it should be")
