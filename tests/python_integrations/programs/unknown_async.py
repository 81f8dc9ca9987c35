"""An application of FastAPI that uses what has no integration: see `unknown.py`."""

import asyncio
import os

from fastapi import Depends, FastAPI
from unknown import asks, statement

app = FastAPI()


async def asks_in_task(path):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["BACK"]))
    writer.write(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
    await reader.read()
    writer.close()


def in_thread():
    asks("in-thread")
    statement("SELECT 1 AS in_thread")


def of_anyio():
    asks("sync")
    statement("SELECT 1 AS sync")


@app.get("/works")
async def works(_: None = Depends(of_anyio)):
    from starlette.responses import PlainTextResponse

    await asks_in_task("plain")
    await asyncio.gather(asks_in_task("gathered0"), asks_in_task("gathered1"))
    await asyncio.to_thread(in_thread)
    return PlainTextResponse("ok")
