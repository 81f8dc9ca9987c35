"""The same by FastAPI and httpx under uvicorn, without a line of tracing code."""

import socket

import httpx
import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/test")
async def test(request: Request):
    async with httpx.AsyncClient() as client:
        for call in await request.json():
            await client.post(call["url"])


listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([listener])
