"""A server and a client of aiohttp: `aiohttp_app.py PORT`."""

import sys

import aiohttp
from aiohttp import web


async def user(request):
    return web.Response(text=request.match_info["name"])


async def clients(request):
    async with aiohttp.ClientSession() as session:
        async with session.get(str(request.url.with_path("/users/aiohttp"))) as response:
            return web.Response(text=await response.text())


async def fails(request):
    raise ValueError("on purpose")


app = web.Application()
app.add_routes([web.get("/users/{name}", user), web.get("/clients", clients), web.get("/fails", fails)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
