"""What is active in greenlets, in a program that gevent has patched. It fails by an assertion."""

from gevent import monkey

monkey.patch_all()

import contextvars
import gc
import socket
import sys
import threading
import traceback
import weakref

import gevent
import gevent.pool
import gevent.queue

from ddtrace import tracer

if "otel" in sys.argv:
    # From here on what is active is kept in the context of this API.
    from opentelemetry import trace

    otel = trace.get_tracer(__name__)
else:
    otel = None


def each_has_its_own():
    seen = set()

    def work(number):
        assert tracer.current_span() is None
        with tracer.trace("request", resource=str(number)) as span:
            gevent.sleep(0)
            assert tracer.current_span() is span
            with tracer.trace("part") as part:
                gevent.sleep(0.001)
                assert tracer.current_span() is part and part.parent_id == span.span_id
                if otel:
                    with otel.start_as_current_span("by.otel"):
                        gevent.sleep(0)
                        assert tracer.current_span() is not part and tracer.current_root_span() is span
            gevent.sleep(0)
            assert tracer.current_span() is span
        seen.add(span.trace_id)
        assert tracer.current_span() is None

    gevent.joinall([gevent.spawn(work, number) for number in range(50)], raise_error=True)
    assert len(seen) == 50


def what_is_handed_on():
    def work(number=None):
        assert tracer.current_span() is span
        with tracer.trace("in.greenlet") as inner:
            gevent.sleep(0)
            return gevent.spawn(lambda: tracer.trace("in.its.greenlet").finish() or inner.parent_id).get()

    class Worker(gevent.Greenlet):
        def _run(self):
            return work()

    pool = gevent.pool.Pool(3)
    waits = gevent.spawn(lambda: tracer.current_span())
    with tracer.trace("spawns") as span:
        made = [gevent.spawn(work), gevent.spawn_later(0.001, work, 1), gevent.Greenlet.spawn(work, number=2)]
        made += [Worker.spawn(), gevent.Greenlet(work)]
        made[-1].start()
        assert [greenlet.get() for greenlet in made] == [span.span_id] * 5
        for run in pool.map, pool.imap, pool.imap_unordered:
            assert list(run(work, range(3))) == [span.span_id] * 3
        assert pool.apply(work) == span.span_id and tracer.current_span() is span
        # What begins later is under it as well, as in a task.
        late = gevent.Greenlet(lambda: tracer.trace("late"))
        # A thread is a greenlet here, and starts as a thread does.
        found = []
        thread = threading.Thread(target=lambda: found.append(tracer.current_span()))
        thread.start()
        thread.join()
        assert found == [None]
    late.start()
    with late.get() as begun:
        assert begun.parent_id == span.span_id
    assert waits.get() is None
    # They are what they were.
    from gevent._gevent_cgreenlet import Greenlet

    assert type(made[0]) is gevent.Greenlet is gevent.greenlet.Greenlet is Greenlet
    assert all("run" not in vars(greenlet) for greenlet in made) and isinstance(made[3], Greenlet)
    try:
        gevent.spawn_later(1)
    except TypeError:
        pass
    else:
        raise AssertionError("there is nothing to spawn")
    gevent.get_hub().NOT_ERROR += (ZeroDivisionError,)
    with tracer.trace("fails"):
        failing = gevent.spawn(lambda: 1 / 0)
        failing.join()
    entries = traceback.extract_tb(failing.exc_info[2])
    assert [entry.name for entry in entries][-1] == "<lambda>" and "ddtrace" not in str(entries), entries
    frame, spawned_by = failing.spawning_stack, []
    while frame is not None:
        spawned_by.append(frame.f_code.co_name)
        frame = frame.f_back
    assert spawned_by == ["what_is_handed_on", "<module>"], spawned_by


def what_the_program_gives_a_greenlet():
    with tracer.trace("first") as first:
        copied = contextvars.copy_context()
    with tracer.trace("second") as second:
        contexts = [None, copied, contextvars.Context()]
        greenlets = [gevent.Greenlet(lambda: tracer.trace("below").finish() or tracer.current_span()) for _ in contexts]
        for greenlet, context in zip(greenlets, contexts):
            if context is not None:
                greenlet.gr_context = context
            greenlet.start()
        gevent.joinall(greenlets, raise_error=True)
    # That of a span that has ended is its context, and nothing is the current span.
    assert [greenlet.value for greenlet in greenlets] == [second, None, None] and first.finished

    class Watched(gevent.Greenlet):
        seen = []

        def __setattr__(self, name, value):
            self.seen.append(name)
            super().__setattr__(name, value)

    with tracer.trace("watched"):
        Watched.spawn(lambda: None).join()
    assert "gr_context" not in Watched.seen, Watched.seen

    class Request:
        pass

    # Nobody holds on to what a greenlet was given.
    with tracer.trace("holds"):
        request = Request()
        request.greenlets = [gevent.spawn(lambda request: None, request)]
        gevent.joinall(request.greenlets)
    gone = weakref.ref(request)
    del request, greenlets, greenlet
    gc.collect()
    assert gone() is None


def what_is_activated_by_hand():
    def work(context):
        tracer.context_provider.activate(context)
        with tracer.trace("in.greenlet") as span:
            gevent.sleep(0)
        return span.parent_id

    with tracer.trace("spawns") as span:
        pool = gevent.pool.Pool(3)
        assert pool.map(work, [tracer.current_trace_context()] * 9) == [span.span_id] * 9
        assert tracer.current_span() is span


def one_that_is_killed():
    def work():
        with tracer.trace("killed") as span:
            spans.put(span)
            gevent.sleep(60)

    spans = gevent.queue.Queue()
    greenlet = gevent.spawn(work)
    span = spans.get()
    assert not span.finished
    greenlet.kill()
    assert span.finished and span.get_tag("error.type").endswith("GreenletExit")
    try:
        with gevent.Timeout(0.01), tracer.trace("too.long") as late:
            gevent.sleep(60)
    except gevent.Timeout:
        pass
    assert late.finished and late.error == 1
    assert tracer.current_span() is None


def one_that_waits_for_a_socket():
    here, there = socket.socketpair()

    def answer():
        with tracer.trace("answers"):
            there.sendall(there.recv(10))

    greenlet = gevent.spawn(answer)
    with tracer.trace("asks") as span:
        here.sendall(b"hello")
        assert here.recv(10) == b"hello" and tracer.current_span() is span
    greenlet.get()


def finished_elsewhere():
    span = tracer.trace("here")
    gevent.spawn(span.finish).join()
    assert span.finished and tracer.current_span() is None
    # A thread that is none of gevent's.
    assert gevent.get_hub().threadpool.spawn(tracer.current_span).get() is None


for check in (
    each_has_its_own,
    what_is_handed_on,
    what_the_program_gives_a_greenlet,
    what_is_activated_by_hand,
    one_that_is_killed,
    one_that_waits_for_a_socket,
    finished_elsewhere,
):
    check()
    assert tracer.current_span() is None, check
print("all is as it should be")
