"""A FastAPI application with other applications in it. With `MIDDLEWARE` in the environment it has one around it all."""

import os
import tempfile

from fastapi import FastAPI
from flask import Flask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.wsgi import WSGIMiddleware
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles

app, sub, flask = FastAPI(), FastAPI(), Flask(__name__)


class Around(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


if "MIDDLEWARE" in os.environ:
    app.add_middleware(Around)


@flask.route("/users/<name>")
def user(name):
    return name


@flask.route("/fails")
def flask_fails():
    raise ValueError("no such thing")


@sub.get("/fails")
async def fails():
    raise KeyError("no such thing")


@app.get("/within")
def within():
    return flask.test_client().get("/users/other").text


static = tempfile.mkdtemp()
with open(os.path.join(static, "file"), "w") as file:
    file.write("file")

app.mount("/static", StaticFiles(directory=static))
app.mount("/sub", sub)
app.mount("/of/{tenant}", WSGIMiddleware(flask))
app.mount("/plain", PlainTextResponse("plain"))
app.mount("/", WSGIMiddleware(flask))
