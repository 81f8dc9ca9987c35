"""The same for event loops. `asgi_app.py PORT` is served by uvicorn; `HOW` says which framework it is."""

import os
import sys

import aiohttp
import httpx
import uvicorn

how = os.environ["HOW"]


async def ask(root):
    async with httpx.AsyncClient() as client:
        await client.get(root + "/users/httpx")
    async with aiohttp.ClientSession() as session:
        async with session.get(root + "/users/aiohttp") as response:
            await response.text()


async def work():
    """What is done behind an answer."""


if how == "fastapi":
    from fastapi import BackgroundTasks, FastAPI, Request

    app = FastAPI()

    @app.get("/users/{name}")
    async def user(name: str):
        return {"name": name}

    @app.get("/threads/{name}")
    def user_in_a_thread(name: str):
        return {"name": name}

    @app.get("/clients")
    async def clients(request: Request):
        await ask(str(request.base_url).rstrip("/"))
        return {}

    @app.get("/fails")
    async def fails():
        raise ValueError("on purpose")

    @app.get("/behind")
    async def behind(tasks: BackgroundTasks):
        tasks.add_task(work)
        return {}

else:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def user(request):
        return PlainTextResponse(request.path_params["name"])

    async def clients(request):
        await ask(str(request.base_url).rstrip("/"))
        return PlainTextResponse("done")

    async def fails(request):
        raise ValueError("on purpose")

    async def behind(request):
        return PlainTextResponse("done", background=BackgroundTask(work))

    app = Starlette(
        routes=[
            Route("/users/{name}", user),
            Route("/threads/{name}", user),
            Route("/clients", clients),
            Route("/fails", fails),
            Route("/behind", behind),
        ]
    )

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
