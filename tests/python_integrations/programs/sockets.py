"""Websockets: FastAPI's `app`, and of no framework `asgi`."""

import sqlite3

from fastapi import APIRouter, FastAPI, WebSocket
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


@app.websocket("/denies")
async def denies(socket: WebSocket):
    await socket.close()


@app.websocket("/answers")
async def answers(socket: WebSocket):
    await socket.send_denial_response(PlainTextResponse("a teapot", 418))


@app.websocket("/listens")
async def listens(socket: WebSocket):
    await socket.accept()
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
