"""An application of FastAPI's whose state knows its requests and websockets: nothing of that is to stay once it is collected."""

import asyncio
import gc
import weakref

import aiohttp
from fastapi import FastAPI, Request, WebSocket

app = FastAPI()
made = []


class State:
    def __init__(self, known):
        self.known = known
        made.append(weakref.ref(self))


@app.get("/knows")
async def knows(request: Request):
    request.state.own = State(request)


@app.websocket("/knows")
async def knows_socket(socket: WebSocket):
    socket.state.own = State(socket)
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


@app.get("/abandons")
def abandons():
    """A request of aiohttp's that its own task waits for, in a loop that is closed in the midst of it."""

    async def ask(port):
        state = State(asyncio.current_task())
        async with aiohttp.ClientSession() as session:
            await session.get(f"http://127.0.0.1:{port}/")
        return state

    async def leave():
        has_come = asyncio.Event()
        listening = await asyncio.start_server(lambda reader, writer: has_come.set(), "127.0.0.1", 0)
        asyncio.create_task(ask(listening.sockets[0].getsockname()[1]))
        await has_come.wait()
        listening.close()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()


@app.get("/alive")
def alive():
    for _ in range(3):
        gc.collect()
    return [len(made), sum(kept() is not None for kept in made)]
