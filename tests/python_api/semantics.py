"""What is active, where, and when: threads, tasks, generators, forks, handlers, finalizers. It fails by an assertion."""

import asyncio
import concurrent.futures
import contextvars
import gc
import inspect
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
import weakref

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator
from ddtrace.trace import Context, Span, TraceFilter, Tracer


def nothing_is_active():
    assert tracer.current_span() is None
    assert tracer.current_root_span() is None
    assert tracer.current_trace_context() is None
    assert tracer.context_provider.active() is None


def nesting():
    nothing_is_active()
    with tracer.trace("outer") as outer:
        assert tracer.current_span() is outer and tracer.current_root_span() is outer
        assert outer.parent_id is None or os.environ.get("DD_TRACE_PROCESS_SPANS") != "false"
        with tracer.trace("inner", service="other") as inner:
            assert inner.parent_id == outer.span_id and inner.trace_id == outer.trace_id
            assert tracer.current_span() is inner and tracer.current_root_span() is outer
            with tracer.trace("innermost") as innermost:
                assert innermost.service == "other"
        assert tracer.current_span() is outer
    nothing_is_active()
    assert outer.finished and outer.duration > 0 and outer.duration_ns >= inner.duration_ns
    assert Tracer() is tracer


def out_of_order():
    a = tracer.trace("a")
    b = tracer.trace("b")
    c = tracer.trace("c")
    b.finish()
    assert tracer.current_span() is c
    c.finish()
    assert tracer.current_span() is a
    d = tracer.start_span("d", child_of=a)
    assert tracer.current_span() is a and d.parent_id == a.span_id
    d.finish()
    loose = tracer.start_span("loose")
    assert loose.trace_id != a.trace_id or os.environ.get("DD_TRACE_PROCESS_SPANS") != "false"
    loose.finish()
    active = tracer.start_span("active", child_of=a, activate=True)
    assert tracer.current_span() is active
    active.finish_with_ancestors()
    assert a.finished
    nothing_is_active()


def finished_elsewhere():
    span = tracer.trace("here")
    thread = threading.Thread(target=span.finish)
    thread.start()
    thread.join()
    assert span.finished
    nothing_is_active()
    span.finish()
    span.set_tag("late", 1)
    assert span.get_metric("late") is None


def threads():
    seen = []
    with tracer.trace("main") as main:

        def work(context):
            nothing_is_active()
            tracer.context_provider.activate(context)
            with tracer.trace("in.thread") as span:
                seen.append((span.trace_id, span.parent_id))
            tracer.context_provider.activate(None)

        some = [threading.Thread(target=work, args=(main.context,)) for _ in range(4)]
        [thread.start() for thread in some]
        [thread.join() for thread in some]
        assert seen == [(main.trace_id, main.span_id)] * 4
        with concurrent.futures.ThreadPoolExecutor() as pool:
            context = contextvars.copy_context()
            assert pool.submit(context.run, lambda: tracer.current_span() is main).result()


def pools():
    """Work takes along what is active where it is handed in, and is else what it was."""
    pool = concurrent.futures.ThreadPoolExecutor(1)

    def work():
        with tracer.trace("in.pool") as span:
            return span.trace_id, span.parent_id, span.context.get_all_baggage_items()

    def fails():
        raise KeyError(sys._getframe(1).f_code.co_name, sys._getframe(2).f_code.co_name)

    def frames(future):
        error = future.exception()
        return error.args, [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    pool.submit(nothing_is_active).result()
    unchanged = frames(pool.submit(fails))
    with tracer.trace("main") as main:
        main.context.set_baggage_item("k", "v")
        expected = (main.trace_id, main.span_id, {"k": "v"})
        assert pool.submit(work).result() == expected
        assert list(pool.map(lambda _: work(), range(3))) == [expected] * 3
        assert asyncio.run(in_executor(pool, work)) == [expected] * 2
        assert frames(pool.submit(fails)) == unchanged
        context = pool.submit(tracer.current_trace_context).result()
        assert (context.trace_id, context.span_id) == (main.trace_id, main.span_id)
        with tracer.trace("inner") as inner:
            waits = threading.Event()
            late = pool.submit(lambda: waits.wait() and work())
            also = pool.submit(work)
    waits.set()
    # What they are under has ended by now.
    assert late.result()[:2] == also.result()[:2] == (main.trace_id, inner.span_id)
    pool.submit(nothing_is_active).result()
    tracer.context_provider.activate(Context(trace_id=7, span_id=8))
    assert pool.submit(work).result()[:2] == (7, 8)
    tracer.context_provider.activate(None)

    class Argument:
        pass

    with tracer.trace("main"):
        argument = Argument()
        gone = weakref.ref(argument)
        pool.submit(id, argument).result()
        pool.submit(id, None).result()
        del argument
        assert gone() is None
    pool.shutdown()
    assert str(inspect.signature(concurrent.futures.ThreadPoolExecutor.submit)) == "(self, fn, /, *args, **kwargs)"
    assert "_WorkItem" in inspect.getsource(concurrent.futures.ThreadPoolExecutor.submit)


async def in_executor(pool, work):
    loop = asyncio.get_running_loop()
    return [await loop.run_in_executor(pool, work), await loop.run_in_executor(None, work)]


def many_threads_one_span():
    with tracer.trace("shared") as shared:

        def work(number):
            for index in range(200):
                shared.set_tag(f"key.{number}", index)
                with tracer.start_span("part", child_of=shared) as part:
                    part.set_tag("number", number)

        some = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        [thread.start() for thread in some]
        [thread.join() for thread in some]
        assert all(shared.get_metric(f"key.{number}") == 199 for number in range(8))


def tasks():
    async def leaf(name):
        with tracer.trace(name) as span:
            await asyncio.sleep(0)
            assert tracer.current_span() is span
            return span

    @tracer.wrap("decorated")
    async def decorated():
        span = tracer.current_span()
        assert span.name == "decorated"
        await asyncio.sleep(0)
        assert not span.finished and tracer.current_span() is span
        return span

    async def cancelled():
        with tracer.trace("cancelled") as span:
            main.span = span
            await asyncio.sleep(60)

    async def main():
        with tracer.trace("main") as root:
            spans = await asyncio.gather(*(leaf(f"leaf.{number}") for number in range(5)))
            assert {span.parent_id for span in spans} == {root.span_id}
            assert (await decorated()).finished
            task = asyncio.ensure_future(cancelled())
            await asyncio.sleep(0.01)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            assert main.span.finished and main.span.error == 1
            assert tracer.current_span() is root
        nothing_is_active()

    asyncio.run(main())


def generators():
    @tracer.wrap("generator")
    def numbers():
        span = tracer.current_span()
        got = yield 1
        assert got == "sent"
        yield 2
        return span

    generator = numbers()
    assert next(generator) == 1 and generator.send("sent") == 2
    try:
        next(generator)
    except StopIteration as stop:
        assert stop.value.finished and stop.value.error == 0
    nothing_is_active()

    numbers()
    closed = numbers()
    next(closed)
    span = tracer.current_span()
    closed.close()
    assert span.finished and span.get_tag("error.type") == "builtins.GeneratorExit"

    @tracer.wrap("async.generator")
    async def letters():
        try:
            yield "a"
        except KeyError:
            yield "caught"

    async def main():
        letter = letters()
        assert await letter.__anext__() == "a"
        assert await letter.athrow(KeyError()) == "caught"
        assert [each async for each in letters()] == ["a"]
        await letter.aclose()

    asyncio.run(main())


def decorators():
    class Kitchen:
        @tracer.wrap(resource="r")
        def cook(self, dish):
            """Cooks."""
            return tracer.current_span(), dish

        @staticmethod
        @tracer.wrap()
        def clean():
            return tracer.current_span()

    span, dish = Kitchen().cook("soup")
    assert dish == "soup" and span.name == f"{__name__}.cook" and span.resource == "r"
    assert Kitchen.cook.__doc__ == "Cooks." and Kitchen.clean().name == f"{__name__}.clean"


def values():
    class Broken:
        def __str__(self):
            raise RuntimeError("never shown")

    class Reentrant:
        def __str__(self):
            span.set_tag("within", "yes")
            tracer.current_span().set_tag("also", 1)
            return "shown"

    with tracer.trace("values") as span:
        span.set_tag("broken", Broken())
        span.set_tag("reentrant", Reentrant())
        assert span.get_tag("reentrant") == "shown" and span.get_tag("within") == "yes"
        span.set_tag("surrogate", "\ud800x")
        span.set_tag("\ud800", "x")
        span.set_tag(5, "ignored")
        span.set_tag(b"bytes", "x")
        assert span.get_tag("bytes") == "x"
        span.set_tag("nul", "a\0b")
        assert span.get_tag("nul") == "a\0b"
        span.set_tag("long", "ä" * 300_000)
        for index in range(100):
            span.set_tag(f"many.{index}", index)
        span.resource = "x" * 100_000
        span.set_metric("text", "3.5")
        span.set_metric("no", "number")
        assert span.get_metric("text") == 3.5 and span.get_metric("no") is None
        span.set_tag("kind", "text")
        span.set_tag("kind", 5)
        assert span.get_tag("kind") is None and span.get_metric("kind") == 5
        assert isinstance(span.get_tags(), dict) and isinstance(span.get_metrics(), dict)
        span.error = 1
        assert span.error == 1
        span.error = 0
        assert span.error == 0
    for wrong in (lambda: tracer.trace(), lambda: tracer.trace("x", nonsense=1)):
        try:
            wrong()
        except TypeError:
            pass
        else:
            raise AssertionError("accepted")


def contexts():
    with tracer.trace("a") as span:
        context = span.context
        assert context is span.context and context.trace_id == span.trace_id and context.span_id == span.span_id
        context.set_baggage_item("k", "v")
        with tracer.trace("b") as inner:
            assert inner.context.get_baggage_item("k") == "v"
            inner.context.set_baggage_item("k2", 2)
        assert context.get_all_baggage_items() == {"k": "v", "k2": "2"}
        headers = {}
        HTTPPropagator.inject(span.context, headers)
        assert headers["x-datadog-trace-id"] == str(span.trace_id & (1 << 64) - 1)
        assert headers["baggage"] == "k=v,k2=2"
    came = HTTPPropagator.extract({k.upper().replace("-", "_"): v for k, v in headers.items()} and headers)
    assert (came.trace_id, came.span_id) == (span.trace_id, span.span_id)
    assert came.get_all_baggage_items() == {"k": "v", "k2": "2"}
    again = pickle.loads(pickle.dumps(came))
    assert again == came
    wsgi = HTTPPropagator.extract({"HTTP_X_DATADOG_TRACE_ID": "5", "HTTP_X_DATADOG_PARENT_ID": "6"})
    assert (wsgi.trace_id, wsgi.span_id) == (5, 6)
    for nothing in ({}, {"x": None}, {1: 2}, None, 5):
        assert HTTPPropagator.extract(nothing).trace_id is None
    tracer.context_provider.activate(again)
    assert tracer.current_span() is None and tracer.current_trace_context() is again
    with tracer.trace("server") as server:
        assert (server.trace_id, server.parent_id) == (came.trace_id, came.span_id)
    tracer.context_provider.activate(None)
    made = Context(trace_id=7, span_id=8, sampling_priority=2)
    with tracer.start_span("under", child_of=made) as under:
        assert under.trace_id == 7 and under.parent_id == 8
    assert made.sampling_priority == 2


def forks():
    with tracer.trace("parent") as parent:
        parent.set_tag("before", 1)
        child = os.fork()
        if child == 0:
            assert tracer.current_span() is parent
            parent.set_tag("not.ours", 1)
            with tracer.trace("in.child") as span:
                assert span.trace_id == parent.trace_id and span.parent_id == parent.span_id
            parent.finish()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    context = multiprocessing.get_context("fork")
    with tracer.trace("parent.of.process"):
        process = context.Process(target=in_process)
        process.start()
        process.join()
        assert process.exitcode == 0
    held = threading.Event()

    def hold():
        with tracer.trace("held"):
            held.set()
            done.wait()

    done = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        with tracer.trace("child.of.threads"):
            pass
        os._exit(0)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def in_process():
    with tracer.trace("in.process"):
        pass


def handlers():
    count = 0

    def handle(number, frame):
        nonlocal count
        count += 1
        with tracer.trace("handler") as span:
            span.set_tag("count", count)
            current = tracer.current_root_span()
            current.set_tag("handled", count)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while count < 50:
            with tracer.trace("work") as span:
                span.set_tag("a", "b")
                with tracer.trace("more"):
                    pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    nothing_is_active()


def finalizers():
    class Closing:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            with tracer.trace("finalizer") as span:
                span.set_tag("deleted", True)

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Closing()
            with tracer.trace("collecting") as span:
                span.set_tags({str(key): [key] for key in range(3)})
                span._add_event("event", {"a": [1, 2]})
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    nothing_is_active()


def memory():
    with tracer.trace("gone") as span:
        reference = weakref.ref(span)
    del span
    assert reference() is None
    gc.collect()


def filters():
    class Drops(TraceFilter):
        def process_trace(self, trace):
            assert all(isinstance(span, Span) for span in trace)
            seen.append(sorted(span.name for span in trace))
            if trace[0].name == "drop":
                return None
            for span in trace:
                span.set_tag("filtered", "yes")
            return trace

    seen = []
    tracer.configure(trace_processors=[Drops()])
    with tracer.trace("filtered.root"):
        with tracer.trace("filtered.child"):
            pass
    with tracer.trace("drop"):
        pass
    tracer.configure(trace_processors=[])
    assert seen == [["filtered.child", "filtered.root"], ["drop"]]
    heard = []
    tracer.on_start_span(heard.append)
    with tracer.trace("heard"):
        pass
    tracer.deregister_on_start_span(heard.append)
    assert [span.name for span in heard] == ["heard"]


def logs():
    with tracer.trace("logged") as span:
        shown = tracer.get_log_correlation_context()
    assert shown["dd.trace_id"] == f"{span.trace_id:032x}" and shown["dd.span_id"] == str(span.span_id)


def is_quiet():
    """Nothing is imported and nothing is changed that the program could trip over."""
    assert "ddtrace.auto" not in sys.modules
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
    assert threading.active_count() == 1


for check in (
    nesting,
    out_of_order,
    finished_elsewhere,
    threads,
    pools,
    many_threads_one_span,
    tasks,
    generators,
    decorators,
    values,
    contexts,
    forks,
    handlers,
    finalizers,
    memory,
    filters,
    logs,
    is_quiet,
):
    check()
    nothing_is_active()
print("all is as it should be")
