"""Websockets: FastAPI's `app`, and of no framework `asgi`."""

import asyncio
import os
import signal
import sqlite3

from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute

app, shop = FastAPI(), APIRouter(prefix="/shop")


@app.websocket("/echo/{number:int}")
async def echo(socket: WebSocket, number: int):
    await socket.accept()
    text = await socket.receive_text()
    sqlite3.connect(":memory:").execute("SELECT 1")
    await socket.send_text(text)
    await socket.close()


@app.websocket("/fails")
async def fails(socket: WebSocket):
    await socket.accept()
    raise ValueError("on purpose")


@app.websocket("/breaks")
async def breaks(socket: WebSocket):
    raise KeyError("before it is accepted")


@app.websocket("/leaves")
async def leaves(socket: WebSocket):
    pass


@app.websocket("/killed")
async def killed(socket: WebSocket):
    await socket.accept()
    await socket.receive_text()
    os.kill(os.getpid(), signal.SIGKILL)


async def tick():
    while True:
        await asyncio.sleep(0.1)


@app.websocket("/groups")
async def groups(socket: WebSocket):
    await socket.accept()

    async def read():
        async with asyncio.TaskGroup() as group:
            group.create_task(listens_on(socket))
            group.create_task(tick())

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(tick())


@app.websocket("/mixes")
async def mixes(socket: WebSocket):
    await socket.accept()
    try:
        await listens_on(socket)
    except WebSocketDisconnect as left:
        raise ExceptionGroup("both", [left, ExceptionGroup("one", [ValueError("on purpose")])])


@app.websocket("/denies")
async def denies(socket: WebSocket):
    await socket.close()


@app.websocket("/answers")
async def answers(socket: WebSocket):
    await socket.send_denial_response(PlainTextResponse("a teapot", 418))


@app.websocket("/listens")
async def listens(socket: WebSocket):
    await socket.accept()
    await listens_on(socket)


async def listens_on(socket):
    while True:
        await socket.send_text(await socket.receive_text())


@shop.websocket("/{name:path}")
async def thing(socket: WebSocket, name: str):
    await socket.accept()
    await socket.send_text(name)
    await socket.close()


async def within(socket):
    await socket.accept()
    await socket.send_text("within")
    await socket.close()


app.include_router(shop, prefix="/api")
app.mount("/of/{tenant}", Starlette(routes=[WebSocketRoute("/within/{name}", within)]))


async def asgi(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-made-by", b"hand")]})
    if scope["path"] == "/fails":
        raise ValueError("on purpose")
    message = await receive()
    await send({"type": "websocket.send", "text": message["text"]})
    await send({"type": "websocket.close"})
