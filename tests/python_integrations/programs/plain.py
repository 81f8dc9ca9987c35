"""Applications of no framework: `wsgi` and `asgi`. `plain.py PORT` is the server of `wsgiref`."""

import sys


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("no such thing")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/fails":
        raise ValueError("no such thing")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", int(sys.argv[1]), wsgi).serve_forever()
