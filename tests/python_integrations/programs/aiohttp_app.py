"""An application of aiohttp. `aiohttp_app.py PORT`."""

import asyncio
import sys

from aiohttp import ClientSession, web

routes = web.RouteTableDef()


@routes.get("/users/{number}")
async def user(request):
    return web.json_response({"number": request.match_info["number"]})


@routes.get("/asks")
async def asks(request):
    port = request.transport.get_extra_info("sockname")[1]
    async with ClientSession(f"http://127.0.0.1:{port}") as session:

        async def ask(number):
            async with session.get(f"/users/{number}", params={"token": "x"}) as response:
                return await response.json()

        return web.json_response(await asyncio.gather(ask(1), ask(2)))


@routes.get("/fails")
async def fails(request):
    raise ValueError("no such thing")


@routes.get("/breaks")
async def breaks(request):
    response = web.StreamResponse(status=202)
    await response.prepare(request)
    await response.write(b"a")
    raise OSError("the disk is gone")


@routes.get("/prepares")
async def prepares(request):
    # What is prepared and not sent is not the answer.
    class Late(web.StreamResponse):
        _send_headers_immediately = False

    await Late(status=202).prepare(request)
    raise OSError("the disk is gone")


@routes.get("/waits")
async def waits(request):
    raise asyncio.TimeoutError


@routes.get("/refuses")
async def refuses(request):
    raise web.HTTPForbidden


app = web.Application()
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
