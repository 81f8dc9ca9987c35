"""Applications of no framework, and one of Flask with something around it."""

from flask import Flask


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})


flask = Flask(__name__)


@flask.route("/users/<name>")
def user(name):
    return name


def _around(inner):
    def application(environ, start_response):
        return inner(environ, start_response)

    return application


around = _around(flask.wsgi_app)
