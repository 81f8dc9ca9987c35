"""A Flask application. `HOW` says who makes spans of its requests. `web.py PORT` is Flask's own server."""

import os
import sys
from http.client import HTTPConnection

from flask import Flask

how = os.environ["HOW"]
app = Flask(__name__)


@app.route("/")
def index():
    return "hello"


@app.route("/ids/<place>")
def ids(place):
    """What the program sees of its own spans."""
    from ddtrace import tracer

    context = tracer.current_trace_context()
    return "%032x %016x" % (context.trace_id, context.span_id) if context else "none"


@app.route("/custom")
def custom():
    from ddtrace import tracer
    from opentelemetry import trace

    with tracer.trace("datadog.work"), trace.get_tracer("here").start_as_current_span("otel.work"):
        return "hello"


@app.route("/asks/<int:back>")
def asks(back):
    connection = HTTPConnection("127.0.0.1", back)
    connection.request("GET", "/from-python")
    return connection.getresponse().read()


@app.route("/stored")
def stored():
    import psycopg2

    connection = psycopg2.connect("user=me dbname=postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 42 AS answer")
        return str(cursor.fetchone()[0])


def datadog(wsgi):
    from ddtrace import tracer

    def handle(environ, start_response):
        with tracer.trace("flask.request", span_type="web", resource="GET by hand") as span:
            span.set_tag("http.method", "GET")
            return wsgi(environ, start_response)

    return handle


def datadog_with_context(wsgi):
    from ddtrace import tracer
    from ddtrace.propagation.http import HTTPPropagator

    def handle(environ, start_response):
        headers = {name[5:].replace("_", "-").lower(): text for name, text in environ.items() if name[:5] == "HTTP_"}
        tracer.context_provider.activate(HTTPPropagator.extract(headers))
        with tracer.trace("flask.request", span_type="web", resource="GET by hand") as span:
            span.set_tag("span.kind", "server")
            return wsgi(environ, start_response)

    return handle


def otel(wsgi):
    from opentelemetry import trace
    from opentelemetry.propagate import extract

    def handle(environ, start_response):
        headers = {name[5:].replace("_", "-").lower(): text for name, text in environ.items() if name[:5] == "HTTP_"}
        tracer = trace.get_tracer("by hand", "1.0")
        attributes = {"url.path": "/set by hand"}
        with tracer.start_as_current_span(
            "GET by hand", context=extract(headers), kind=trace.SpanKind.SERVER, attributes=attributes
        ):
            return wsgi(environ, start_response)

    return handle


def elsewhere(wsgi):
    """A span for something else than this request: its context is another one's."""
    from opentelemetry import trace
    from opentelemetry.propagate import extract

    def handle(environ, start_response):
        headers = {"traceparent": "00-11111111111111111111111111111111-2222222222222222-01"}
        with trace.get_tracer("x").start_as_current_span("message", extract(headers), trace.SpanKind.SERVER):
            return wsgi(environ, start_response)

    return handle


def dropped(wsgi):
    from ddtrace import tracer

    def handle(environ, start_response):
        with tracer.trace("flask.request", span_type="web", resource="GET by hand") as span:
            if environ["PATH_INFO"] == "/":
                span.set_tag("manual.drop")
            return wsgi(environ, start_response)

    return handle


if how == "instrumented":
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    FlaskInstrumentor().instrument_app(app)
elif how != "nothing":
    app.wsgi_app = globals()[how](app.wsgi_app)

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), threaded=True)
