"""The API of `ddtrace` as programs use it beyond what its pages show. What is printed is the same with Datadog's own tracer."""

import asyncio
import importlib
import json
import logging
import threading
from wsgiref.util import setup_testing_defaults

logging.disable(logging.CRITICAL)

import ddtrace
from ddtrace import config, tracer
from ddtrace.propagation.http import HTTPPropagator
from ddtrace.trace import Context, Span, TraceFilter


def say(name, *answers):
    print(name, json.dumps(answers, default=repr, sort_keys=True))


def switched_off():
    with tracer.trace("on") as root:
        tracer.enabled = False
        with tracer.trace("off.below") as below:
            same_trace = below.trace_id == root.trace_id and below.parent_id == root.span_id
        tracer.enabled = True
    tracer.enabled = False
    with tracer.trace("off") as span:
        span.set_tag("k", "v")
        say("switched off", tracer.enabled, tracer.current_span() is span, span.get_tag("k"), same_trace)
        below = tracer.trace("off.again")
        tracer.enabled = True
        with tracer.trace("on.again") as again:
            say("switched on", tracer.enabled, again.parent_id == below.span_id)
        tracer.enabled = False
        below.finish()
    tracer.enabled = True
    ends_off = tracer.trace("ends.off")
    tracer.enabled = False
    ends_off.finish()
    tracer.enabled = True


def by_hand():
    one = Span("x")
    say("Span(name)", one.service, one.resource, one.span_type, one.parent_id, one.error, one.duration, one.finished)
    say("its ids", one.trace_id > 0, one.span_id > 0, one.context.trace_id == one.trace_id)
    one.set_tag("k", "v")
    one.set_metric("n", 5)
    one.error = 1
    one.finish()
    say("finished", one.get_tags(), one.get_metrics(), one.error, one.finished)
    span = Span(
        name="y", service="s", resource="r", span_type="web", trace_id=1 << 100, span_id=2, parent_id=3, start=5.5
    )
    say("all of it", span.name, span.service, span.resource, span.span_type, span.trace_id, span.span_id, span.parent_id)
    say("its start", span.start, span.start_ns, span.context.trace_id, span.context.span_id)

    class Own(Span):
        def __init__(self, name, extra):
            super().__init__(name)
            self.extra = extra

    own = Own("own", 7)
    say("subclass", own.name, own.extra, isinstance(own, Span))


def nothing_to_set():
    with tracer.trace("nothing") as span:
        say("None", span.set_tags(None), span.set_metrics(None), span.set_tags({}))


def times():
    with tracer.trace("times") as root, tracer.trace("times.below") as below:
        for span in (root, below):
            span.start = 100.5
            say("start", span.start_ns)
            span.start_ns = 1_000_000_007
            say("start_ns", span.start)
    for span in (root, below):
        span.duration = 2.5
        say("duration", span.duration_ns, span.finished)
        span.duration_ns = 9
        say("duration_ns", span.duration)


    # Datadog's tracer would never send this one.
    lasting = tracer.start_span("lasting")
    lasting.duration = 2.5
    lasting.finish()


def contexts():
    context = Context()
    context.trace_id, context.span_id = 5, 6
    say("ids", context.trace_id, context.span_id)
    tracer.context_provider.activate(context)
    with tracer.trace("continued") as span:
        say("continued", span.trace_id, span.parent_id)
    tracer.context_provider.activate(None)

    class Own(Context):
        pass

    say("subclass", Own(trace_id=1, span_id=2).trace_id)


def settings():
    say("known", [hasattr(config, name) for name in ("flask", "requests", "asgi", "wsgi", "sqlite", "service", "tags")])
    say("unknown", [hasattr(config, name) for name in ("nosuch", "psycopg2", "_nosuch")])
    say("of one", config.flask["service"], config.flask.service_name, hasattr(config.flask, "nosuch"))
    config.flask["service"], config.mine = "shop", 5
    say("set", config.flask.service, config.mine)


def pins():
    from ddtrace._trace.pin import Pin

    class Connection:
        pass

    one, other = Connection(), Connection()
    Pin.override(one, service="db", tags={"a": "b"})
    pin = Pin.get_from(one)
    Pin.override(one, service="other")
    say("pin", pin.service, pin.tags, repr(pin), pin.enabled(), Pin.get_from(other), Pin.get_from(one).tags)
    Pin(service="class").onto(Connection)
    Pin.get_from(one).remove_from(one)
    say("of the class", Pin.get_from(one).service, Pin.get_from(other) is Pin.get_from(Connection))
    try:
        pin.tags = {}
    except AttributeError:
        say("cannot be changed")
    Pin.override(5, service="no object that has attributes")


def names():
    """The names of tags, and what else is a plain value."""
    for name in """aws aws_durable azure_eventhubs azure_servicebus ci consul db elasticsearch git http kafka kombu memcached
        mongo net redis schema sql test user valkey websocket""".split():
        module = importlib.import_module("ddtrace.ext." + name)
        texts = {key: value for key, value in vars(module).items() if key.isupper() and key[0] != "_" and isinstance(value, str)}
        say(name, texts)
    from ddtrace.ext.test import Status
    from ddtrace.runtime import RuntimeMetrics

    say("statuses", [status.value for status in Status])
    RuntimeMetrics.disable()


class Requests(TraceFilter):
    """Prints what is found of the requests, and has nothing sent."""

    def process_trace(self, trace):
        root = trace[0]
        # Datadog's tracer has several spans of a WSGI request, of which any may have failed.
        error, types = max(span.error for span in trace), {span.get_tag("error.type") for span in trace} - {None}
        tags = root.get_tags()
        shown = [key for key in tags if key.startswith(("http.", "asgi.", "component", "span.kind", "usr."))]
        say("request", root.name, root.resource, root.span_type, error, sorted(types), {key: tags[key] for key in shown})
        say("continues", root.trace_id == 7, root.parent_id)
        return []


def wsgi():
    from ddtrace.contrib.wsgi import DDWSGIMiddleware

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/breaks":
            raise KeyError("broken")
        start_response("404 Not Found" if path == "/gone" else "500 Sorry" if path == "/sorry" else "200 OK", [])
        return [b"whole"] if path == "/whole" else parts(path)

    def parts(path):
        with tracer.trace("parts"):
            yield path.encode()
        if path == "/late":
            raise ValueError("too late")

    traced = DDWSGIMiddleware(application)
    for path, query in (("/whole", ""), ("/parts", "a=b"), ("/gone", ""), ("/sorry", ""), ("/breaks", ""), ("/late", "")):
        environ = {"PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": "shop:81"}
        if path == "/parts":
            environ.update(HTTP_X_DATADOG_TRACE_ID="7", HTTP_X_DATADOG_PARENT_ID="8")
        setup_testing_defaults(environ)
        told = []
        try:
            response = traced(environ, lambda status, headers, exc_info=None: told.append(status))
            body = b"".join(response)
            getattr(response, "close", int)()
        except (KeyError, ValueError) as error:
            body = repr(error)
        say("response", path, told, str(body))
        tracer.context_provider.activate(None)


def asgi():
    from ddtrace.contrib.asgi import TraceMiddleware, span_from_scope

    async def application(scope, receive, send):
        if scope["type"] != "http":
            return say("no request", scope["type"])
        if scope["path"] == "/breaks":
            raise KeyError("broken")
        span_from_scope(scope).set_tag("http.own", "yes")
        status = 500 if scope["path"] == "/sorry" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    async def main():
        traced = TraceMiddleware(application)
        for path in ("/", "/sorry", "/breaks", "/continued"):
            headers = [(b"host", b"shop"), (b"user-agent", b"me")]
            if path == "/continued":
                headers += [(b"x-datadog-trace-id", b"7"), (b"x-datadog-parent-id", b"8")]
            scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
            scope.update(asgi={"version": "3.0"}, http_version="1.1", scheme="http", server=("s", 80))
            sent = []

            async def send(message):
                sent.append(message["type"])

            try:
                await traced(scope, None, send)
            except KeyError as error:
                sent.append(repr(error))
            say("sent", path, sent)
            tracer.context_provider.activate(None)
        await traced({"type": "lifespan"}, None, None)

    asyncio.run(main())


def users():
    from ddtrace.contrib.trace_utils import set_user

    with tracer.trace("of.user") as root, tracer.trace("below"):
        set_user(tracer, "u1", name="N", email="e@x", role="r", scope="s", session_id="i", propagate=True)
    headers = {}
    HTTPPropagator.inject(root.context, headers)
    say("user", root.context.dd_user_id, "_dd.p.usr.id=dTE=" in headers["x-datadog-tags"].split(","))
    root.context.dd_origin = "too late"
    with tracer.trace("origin") as span:
        span.context.dd_origin = "rum"
        HTTPPropagator.inject(span.context, headers)
    say("origin", span.context.dd_origin, headers["x-datadog-origin"])
    set_user(tracer, "nobody")


def incoming():
    """What came in is active until the span that continues it has ended: a next request may have brought nothing."""

    def active():
        active = tracer.context_provider.active()
        return active and (type(active).__name__, active.trace_id)

    came_in = Context(trace_id=7, span_id=8, sampling_priority=-1)
    tracer.context_provider.activate(came_in)
    with tracer.trace("first") as first:
        with tracer.trace("below"):
            pass
        say("incoming", first.trace_id, first.parent_id, tracer.current_span() is first)
    say("after the first", active())
    with tracer.start_span("given", child_of=came_in, activate=True) as given:
        say("given", given.trace_id, active())
    say("after the given", active())
    tracer.context_provider.activate(came_in)
    finished, last = tracer.trace("finished"), tracer.trace("last")
    finished.finish()
    say("in the last", active())
    last.finish()
    say("after the last", active())
    tracer.context_provider.activate(came_in)
    thread = threading.Thread(target=tracer.trace("elsewhere").finish)
    thread.start()
    thread.join()
    say("finished elsewhere", active())


switched_off()
by_hand()
incoming()
nothing_to_set()
times()
contexts()
settings()
pins()
names()
tracer.configure(trace_processors=[Requests()])
for api in (wsgi, asgi, users):
    api()
