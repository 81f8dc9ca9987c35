"""Asks an application of aiohttp, and shows of which span the lines of its server are."""

import asyncio
import logging
import sys

from aiohttp import ClientSession, web

asked = []


class Shows(logging.Handler):
    def emit(self, record):
        shown = record.__dict__
        print(record.name, asked[-1], shown["dd.trace_id"], shown["dd.span_id"])


class Router(web.UrlDispatcher):
    async def resolve(self, request):
        if request.path == "/lost":
            raise LookupError("no way")
        return await super().resolve(request)


async def fails(request):
    raise ValueError("no such thing")


async def main():
    logging.basicConfig(level=logging.INFO, handlers=[Shows()])
    app = web.Application()
    app._router = Router()
    app.router.add_get("/fails", fails)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        for path in "/fails", "/lost":
            asked.append(path)
            async with session.get(f"http://127.0.0.1:{runner.addresses[0][1]}{path}") as response:
                assert response.status == 500
    await runner.cleanup()


asyncio.run(main())
