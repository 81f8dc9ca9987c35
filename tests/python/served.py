"""One request is one span, whatever server runs it: WSGI, ASGI and Celery."""

import time

from ddtrace import tracer


def wsgi(environ, start_response):
    with tracer.trace("request", resource=environ["PATH_INFO"]):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"ok\n"]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    with tracer.trace("request", resource=scope["path"]):
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok\n"})


def test_one():
    with tracer.trace("test", resource="one"):
        time.sleep(0)


def test_two():
    with tracer.trace("test", resource="two"):
        time.sleep(0)
