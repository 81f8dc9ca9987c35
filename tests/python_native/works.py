"""Asks others for things, with and without spans around that. `works.py PORT WHAT`: of a server at that port."""

import asyncio
import concurrent.futures
import contextvars
import os
import sys
import threading
from http.client import HTTPConnection

from ddtrace import tracer

port, what = int(sys.argv[1]), sys.argv[2]


def ask(path):
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/" + path)
    assert connection.getresponse().read() is not None


def spans():
    from opentelemetry import context, trace

    otel = trace.get_tracer("here")
    ask("before")
    with tracer.trace("load"):
        ask("in-load")
        with otel.start_as_current_span("inner"):
            ask("in-inner")
        ask("in-load-again")
        by_hand = otel.start_span("by hand")
        ask("beside-by-hand")
        with trace.use_span(by_hand, end_on_exit=True):
            ask("in-by-hand")
        token = context.attach(context.Context())
        ask("in-nothing")
        context.detach(token)
        ask("in-load-at-last")
    ask("after")
    tracer.trace("left open")
    tracer.context_provider.activate(None)
    ask("deactivated")


def threads():
    def work(name):
        ask("outside-" + name)
        with tracer.trace(name):
            ask("in-" + name)

    with tracer.trace("main"):
        all_of_them = [threading.Thread(target=work, args=("thread%d" % number,)) for number in range(2)]
        for each in all_of_them:
            each.start()
        for each in all_of_them:
            each.join()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(work, "pooled").result()
        ended_elsewhere = tracer.trace("ended elsewhere")
        closer = threading.Thread(target=ended_elsewhere.finish)
        closer.start()
        closer.join()
        ask("after-ended-elsewhere")
    ask("at-the-end")


def loops():
    async def task(name, turns):
        with tracer.trace(name):
            for turn in range(2):
                turns.append(name)
                await asyncio.sleep(0)
                ask("%s-%d" % (name, turn))

    async def main():
        turns = []
        await asyncio.gather(task("one", turns), task("two", turns))
        assert turns[:2] == ["one", "two"]
        done = asyncio.Event()

        def of_no_task():
            ask("of-no-task")
            done.set()

        asyncio.get_running_loop().call_soon(of_no_task, context=contextvars.Context())
        await done.wait()

    with tracer.trace("around the loop"):
        asyncio.run(main())
    ask("after-the-loop")
    with tracer.trace("later"):
        ask("in-later")
    # What somebody else runs in a context of his own is not certain.
    with tracer.trace("outer"):
        copy = contextvars.copy_context()
    copy.run(lambda: tracer.trace("left open in there"))
    ask("after-the-copy")


def greenlets():
    import gevent

    def work(name):
        with tracer.trace(name):
            gevent.sleep(0)
            ask("in-" + name)

    with tracer.trace("main"):
        gevent.joinall([gevent.spawn(work, "one"), gevent.spawn(work, "two")])
        ask("after-them")


def forks():
    with tracer.trace("parent"):
        pid = os.fork()
        if pid == 0:
            with tracer.trace("child"):
                ask("in-child")
            tracer.current_span().finish()
            ask("in-child-after")
            os._exit(0)
        os.waitpid(pid, 0)
        ask("in-parent")


def databases():
    import psycopg2
    import redis

    with tracer.trace("connects"):
        connection = psycopg2.connect("host=%s user=me dbname=postgres" % os.environ["PGHOST"])
        cursor = connection.cursor()
        store = redis.Redis(port=int(os.environ["REDIS_PORT"]))
        store.get("first")
    with tracer.trace("asks"):
        cursor.execute("SELECT 1 AS one")
        store.get("second")
    cursor.execute("SELECT 1 AS two")


def clients():
    import psycopg2
    import redis
    from opentelemetry import trace
    from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.propagate import inject

    connection = psycopg2.connect("host=%s user=me dbname=postgres" % os.environ["PGHOST"])
    connection.autocommit = True
    store = redis.Redis(port=int(os.environ["REDIS_PORT"]))
    store.ping()
    with tracer.trace("by hand"):
        with tracer.trace("statement", span_type="sql"):
            connection.cursor().execute("SELECT 1 AS absorbed")
        with tracer.trace("command") as span:
            span.set_tag("span.kind", "client")
            store.get("absorbed")
        with tracer.trace("no client"):
            store.get("command")
        with trace.get_tracer("here").start_as_current_span("request", kind=trace.SpanKind.CLIENT):
            ask("absorbed")
            with trace.get_tracer("here").start_as_current_span("below"):
                ask("below")
            headers = {}
            inject(headers)
            other = HTTPConnection("127.0.0.1", port)
            other.request("GET", "/with-headers", headers=headers)
            other.getresponse().read()
    Psycopg2Instrumentor().instrument(skip_dep_check=True)
    RedisInstrumentor().instrument()
    connection = psycopg2.connect("host=%s user=me dbname=postgres" % os.environ["PGHOST"])
    connection.autocommit = True
    with tracer.trace("instrumented"):
        connection.cursor().execute("SELECT 1 AS traced")
        store.get("traced")


def tasks_of_uvloop():
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    tasks()


def tasks():
    import redis.asyncio
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    stores = []

    def store(number):
        while len(stores) <= number:
            # Nothing but commands of our own.
            stores.append(
                redis.asyncio.Redis(
                    port=int(os.environ["REDIS_PORT"]), protocol=2, driver_info=None, maint_notifications_config=None
                )
            )
        return stores[number]

    async def asks(number):
        with tracer.trace("task-%d" % number):
            await asyncio.sleep(0)
            await store(number).get("task-%d" % number)
        with tracer.trace("by hand %d" % number, span_type="redis"):
            await asyncio.sleep(0)
            await store(number).get("absorbed")

    async def is_instrumented(number):
        with tracer.trace("instrumented-%d" % number):
            await asyncio.sleep(0)
            await store(number).get("absorbed")

    async def main():
        with tracer.trace("around"):
            await asyncio.gather(*[asks(number) for number in range(20)])
        await store(0).get("nobody's")
        RedisInstrumentor().instrument()
        await asyncio.gather(*[is_instrumented(number) for number in range(20)])
        for each in stores:
            await each.aclose()

    asyncio.run(main())


globals()[what]()
