"""Requests that end in what is no `Exception`. `app` is for a server; as a program it asks itself."""

import asyncio
import threading

from fastapi import FastAPI
from flask import Flask, Response
from greenlet import GreenletExit
from werkzeug.test import create_environ, run_wsgi_app

app = Flask(__name__)
of_asgi = FastAPI()


class Own(BaseException):
    pass


ENDS = {"exits": SystemExit(0), "interrupts": KeyboardInterrupt(), "own": Own("own"), "killed": GreenletExit()}


@app.route("/hangs")
def hangs():
    threading.Event().wait()


@app.route("/ends/<how>")
def ends(how):
    raise ENDS[how]


@app.route("/closed")
def closed():
    def parts():
        while True:
            yield "part"

    return Response(parts())


@of_asgi.get("/ends")
async def exits():
    raise SystemExit(3)


@of_asgi.get("/cancelled")
async def cancelled():
    await asyncio.Event().wait()


async def by_asgi(path):
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asked = asyncio.create_task(of_asgi(scope, None, None))
    await asyncio.sleep(0.01)
    asked.cancel()
    await asked


if __name__ == "__main__":
    for how in ENDS:
        try:
            run_wsgi_app(app, create_environ(f"/ends/{how}"))
        except BaseException as error:
            print(type(error).__name__)
    parts, _, _ = run_wsgi_app(app, create_environ("/closed"))
    print(next(iter(parts)))
    parts.close()
    for path in "/ends", "/cancelled":
        try:
            asyncio.run(by_asgi(path))
        except BaseException as error:
            print(type(error).__name__)
