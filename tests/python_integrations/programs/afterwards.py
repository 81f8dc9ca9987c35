"""What applications do for a request once its answer is out: FastAPI's `app`, with one of Starlette in it, around which a class
of ASGI does something, and each says of which span it is."""

import asyncio
import logging
import os
import sqlite3
import sys

if "OTEL" in os.environ:
    import opentelemetry.trace  # noqa: F401

from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

logger = logging.getLogger("shop")
handler = logging.FileHandler(os.environ["LINES"])
handler.setFormatter(logging.Formatter("%(message)s %(dd.trace_id)s %(dd.span_id)s"))
logger.addHandler(handler)
done = asyncio.Event()


def does(what):
    sqlite3.connect(":memory:").execute("SELECT '%s'" % what)
    logger.warning(what)


async def session():
    yield "session"
    does("commits")


async def task():
    await asyncio.sleep(0)
    does("task")


async def parts():
    for part in ("a", "b"):
        await asyncio.sleep(0)
        yield part


app = FastAPI()


@app.get("/plain")
async def plain(tasks: BackgroundTasks, db=Depends(session)):
    tasks.add_task(task)
    return "plain"


@app.get("/stream")
async def stream(db=Depends(session)):
    return StreamingResponse(parts(), background=BackgroundTask(task))


@app.get("/file")
async def file(db=Depends(session)):
    return FileResponse(__file__, background=BackgroundTask(task))


@app.get("/done")
async def is_done():
    await done.wait()
    done.clear()
    return "done"


async def of_starlette(request):
    return StreamingResponse(parts(), background=BackgroundTask(task))


app.mount("/starlette", Starlette(routes=[Route("/stream", of_starlette)]))


class Around:
    """In a task of its own, as `asyncio.wait_for` has it before Python 3.12, or in that of the server."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] == "/done":
            return await self.app(scope, receive, send)
        if scope["query_string"] == b"task":
            await asyncio.create_task(self.app(scope, receive, send))
        else:
            await self.app(scope, receive, send)
        does("around")
        done.set()


app.add_middleware(Around)
