"""What is active in greenlets, in a program that gevent has patched. It fails by an assertion."""

from gevent import monkey

monkey.patch_all()

import socket
import sys
import threading

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
    def work(context):
        tracer.context_provider.activate(context)
        with tracer.trace("in.greenlet") as span:
            gevent.sleep(0)
        return span.parent_id

    with tracer.trace("spawns") as span:
        pool = gevent.pool.Pool(3)
        assert pool.map(work, [tracer.current_trace_context()] * 9) == [span.span_id] * 9
        assert tracer.current_span() is span
        # A thread is a greenlet here, and starts as a thread does.
        found = []
        thread = threading.Thread(target=lambda: found.append(tracer.current_span()))
        thread.start()
        thread.join()
        assert found == [None]


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


for check in (each_has_its_own, what_is_handed_on, one_that_is_killed, one_that_waits_for_a_socket, finished_elsewhere):
    check()
    assert tracer.current_span() is None, check
print("all is as it should be")
