"""FastAPI under uvicorn with asyncio's loop. `upload_app.py PORT`; once it takes an upload in, asyncio reads on in a copy of the
context of that request."""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI, Request

api = FastAPI()


@api.post("/upload")
async def upload(request: Request):
    return len(await request.body())


@api.get("/users/{name}")
async def user(name: str):
    return name


class App:
    """Waits until the server reads no more of a body."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        while scope["type"] == "http" and scope["method"] == "POST" and not receive.__self__.flow.read_paused:
            await asyncio.sleep(0.001)
        await self.app(scope, receive, send)


app = App(api)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="asyncio", log_level="critical")
