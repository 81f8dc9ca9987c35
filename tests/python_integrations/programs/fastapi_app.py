"""A FastAPI application, and one of Starlette in it. Requests below `/asks` go to the application itself."""

import asyncio

import httpx
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

app = FastAPI()
shop = APIRouter(prefix="/shop")
done = asyncio.Event()


@app.get("/users/{number}")
async def user(number: int):
    return {"number": number}


@shop.get("/{name}")
def thing(name: str):
    return {"name": name}


@app.get("/asks/{number}")
async def asks(number: int, request: Request):
    async with httpx.AsyncClient(base_url=str(request.base_url)) as client:
        one, two = await asyncio.gather(client.get(f"/users/{number}"), client.get("/shop/x"))
        return [one.json(), two.json()]


@app.get("/fails")
async def fails():
    raise ValueError("no such thing")


@app.get("/refuses")
async def refuses():
    raise HTTPException(418)


@app.get("/streams")
async def streams():
    async def parts():
        for part in ("one", "two"):
            await asyncio.sleep(0)
            yield part

    return StreamingResponse(parts())


@app.get("/later")
async def later(tasks: BackgroundTasks, request: Request):
    async def call():
        async with httpx.AsyncClient() as client:
            await client.get(str(request.base_url) + "users/2")
        done.set()

    tasks.add_task(call)
    return "later"


@app.get("/done")
async def is_done():
    await done.wait()


async def inner(request):
    return PlainTextResponse("inner")


starlette = Starlette(routes=[Mount("/within", routes=[Route("/{name}", inner)]), Route("/plain", inner)])
app.include_router(shop)
below = FastAPI()


@below.get("/{name}")
async def of_below(name: str):
    return name


app.mount("/below", below)
app.mount("/mounted", starlette)
