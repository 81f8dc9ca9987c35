"""What applications do behind their answers: FastAPI's `app`, with one of Starlette in it, and `starlette`, that one by itself."""

import asyncio
import functools
import sqlite3

from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = FastAPI()
ran = asyncio.Event()


def counts(number):
    sqlite3.connect(":memory:").execute("SELECT %d" % number)


async def waits():
    await asyncio.sleep(0)
    counts(2)


class Sends:
    async def __call__(self):
        ran.set()


async def breaks():
    ran.set()
    raise ValueError("behind the answer")


@app.get("/several")
async def several(tasks: BackgroundTasks):
    tasks.add_task(counts, 1)
    tasks.add_task(waits)
    tasks.add_task(functools.partial(counts, 3))
    tasks.add_task(Sends())
    return "several"


@app.get("/fails")
async def fails(tasks: BackgroundTasks):
    tasks.add_task(breaks)
    tasks.add_task(counts, 1)
    return "fails"


async def of_starlette(request):
    return PlainTextResponse("one", background=BackgroundTask(waits))


async def fails_in_starlette(request):
    return PlainTextResponse("one", background=StarletteTasks([BackgroundTask(breaks)]))


@app.get("/ran")
async def has_run():
    await ran.wait()
    ran.clear()
    # Its span ends behind that.
    await asyncio.sleep(0.2)


async def has_run_in_starlette(request):
    await has_run()
    return PlainTextResponse("ran")


starlette = Starlette(
    routes=[Route("/one", of_starlette), Route("/fails", fails_in_starlette), Route("/ran", has_run_in_starlette)]
)
app.mount("/starlette", starlette)


class Around(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


around = FastAPI(middleware=[])
around.add_middleware(Around)
around.mount("/", app)
