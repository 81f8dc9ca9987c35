"""What begins in a task is under the span in which the task was made, also when that has ended by then.

    python tasks.py [otel]      with the OpenTelemetry API in use, or without

It fails by an assertion.
"""

import asyncio
import contextvars
import sys
import threading

from ddtrace import tracer

if "otel" in sys.argv:
    from opentelemetry import trace

    otel = trace.get_tracer("tasks")


def nothing_is_active():
    assert tracer.current_span() is None
    assert tracer.current_trace_context() is None


def under(parent):
    """Spans that begin here, one after the other and within each other, are of that trace; the span itself is over."""
    assert tracer.current_span() is None
    assert tracer.current_trace_context().span_id == parent.span_id
    for _ in range(2):
        with tracer.trace("first") as first:
            assert (first.parent_id, first.trace_id) == (parent.span_id, parent.trace_id)
            with tracer.trace("inner") as inner:
                assert inner.parent_id == first.span_id
            assert tracer.current_span() is first
    assert tracer.current_trace_context().span_id == parent.span_id
    if "otel" in sys.argv:
        with otel.start_as_current_span("otel") as span:
            assert span.parent.span_id == parent.span_id


async def works_under(parent, parents=None):
    await asyncio.sleep(0)
    under(parent or parents[0])


async def tasks():
    """However they are made."""
    loop = asyncio.get_running_loop()
    with tracer.trace("request") as request:
        made = [
            asyncio.create_task(works_under(request)),
            asyncio.ensure_future(works_under(request)),
            asyncio.gather(works_under(request), works_under(request)),
            loop.create_task(works_under(request)),
        ]
        called = loop.create_future()

        def callback():
            try:
                called.set_result(under(request))
            except BaseException as error:
                called.set_exception(error)

        loop.call_soon(callback)
        loop.call_later(0.001, lambda: None)
    nothing_is_active()
    with tracer.trace("other") as other:
        for awaited in (*made, called):
            await awaited
            assert tracer.current_span() is other


async def threads():
    """Of a pool, with a copy of the context and without one."""
    loop, gate = asyncio.get_running_loop(), threading.Event()

    def work(parent):
        gate.wait()
        under(parent)

    with tracer.trace("request") as request:
        made = [asyncio.ensure_future(loop.run_in_executor(None, work, request))]
        if sys.version_info >= (3, 9):
            made.append(asyncio.create_task(asyncio.to_thread(work, request)))
            await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*made)
    nothing_is_active()


async def grandchildren():
    """Tasks of tasks, and a request that ends between two spans of its task."""
    ended = asyncio.Event()

    async def background(parent):
        with tracer.trace("within") as within:
            assert within.parent_id == parent.span_id
            task = asyncio.create_task(works_under(within))
            await ended.wait()
        under(parent)
        await task
        under(parent)

    with tracer.trace("above"):
        with tracer.trace("request") as request:
            task = asyncio.create_task(background(request))
            await asyncio.sleep(0)
        ended.set()
        await task


async def one_after_the_other():
    """Contexts of tasks that are gone give their places in memory to others."""
    for _ in range(200):
        async def handler():
            with tracer.trace("request") as request:
                return asyncio.create_task(works_under(request))

        await (await asyncio.create_task(handler()))
        nothing_is_active()


async def ended_elsewhere():
    """Where a span was made active it is so no more when another task or thread has ended it."""
    span = tracer.trace("here")

    async def finish():
        span.finish()

    await asyncio.create_task(finish())
    nothing_is_active()
    span = tracer.trace("here")
    await asyncio.get_running_loop().run_in_executor(None, span.finish)
    nothing_is_active()
    with tracer.trace("outer") as outer:
        span = tracer.trace("inner")
        await asyncio.create_task(finish())
        assert tracer.current_span() is outer
    nothing_is_active()


async def out_of_order():
    a, b = tracer.trace("a"), tracer.trace("b")
    a.finish()
    assert tracer.current_span() is b
    b.finish()
    nothing_is_active()


def in_a_copy():
    """Without any task."""
    with tracer.trace("request") as request:
        context = contextvars.copy_context()
    context.run(under, request)
    nothing_is_active()


async def otel_spans():
    """Spans of the OpenTelemetry API, for either API."""
    with otel.start_as_current_span("request") as request:
        made = [asyncio.create_task(datadog_under(request)), asyncio.create_task(otel_under(request))]
    await asyncio.gather(*made)
    nothing_is_active()
    ended = otel.start_span("ended")
    ended.end()
    with trace.use_span(ended):
        # Made active by nothing of ours: as ever.
        with tracer.trace("root") as root:
            assert root.trace_id != ended.get_span_context().trace_id


async def datadog_under(parent):
    context = parent.get_span_context()
    for _ in range(2):
        with tracer.trace("datadog") as span:
            assert (span.parent_id, span.trace_id) == (context.span_id, context.trace_id)


async def otel_under(parent):
    for _ in range(2):
        with otel.start_as_current_span("otel") as span:
            assert span.parent.span_id == parent.get_span_context().span_id


async def failing():
    """What fails in a task has no frame of ours in its traceback."""

    async def fails():
        raise ValueError

    with tracer.trace("request"):
        task = asyncio.create_task(fails())
    try:
        await task
    except ValueError as error:
        frames = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        assert frames == ["failing", "fails"], frames


ASYNCHRONOUS = [tasks, threads, grandchildren, one_after_the_other, ended_elsewhere, out_of_order, failing]
if "otel" in sys.argv:
    ASYNCHRONOUS.append(otel_spans)

in_a_copy()
for question in ASYNCHRONOUS:
    asyncio.run(question())
    nothing_is_active()
