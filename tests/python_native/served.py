"""A server with an event loop, by uvicorn. `served.py PORT`, and `HOW` says whether it makes spans of its requests, and of
which loop and parser it is.
"""

import asyncio
import os
import sys

import uvicorn
from ddtrace import tracer

how, loop, parser = os.environ["HOW"].split("-")
released = asyncio.Event()


async def later(name):
    await asyncio.sleep(0.01)
    with tracer.trace("later-" + name):
        await asyncio.sleep(0)


async def background():
    while True:
        with tracer.trace("background"):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)


async def ask(path):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["BACK"]))
    await asyncio.sleep(0)
    writer.write(b"GET /%s HTTP/1.0\r\n\r\n" % path.encode())
    await reader.read()
    writer.close()


async def handle(name):
    if name == "slow":
        await released.wait()
    await ask("back-" + name)
    with tracer.trace("work-" + name):
        await asyncio.sleep(0.01)
    await asyncio.create_task(later(name))
    if name == "fast":
        released.set()


async def traced(scope, name):
    from opentelemetry import trace
    from opentelemetry.propagate import extract

    headers = {key.decode(): value.decode() for key, value in scope["headers"]}
    with trace.get_tracer("here").start_as_current_span("request " + name, extract(headers), trace.SpanKind.SERVER):
        await handle(name)


async def app(scope, receive, send):
    name = scope["path"][1:]
    if name == "background":
        app.task = asyncio.create_task(background())
    await asyncio.sleep(0)
    await (traced(scope, name) if how == "traced" else handle(name))
    if name == "fails":
        try:
            asyncio.get_running_loop().create_task(None)
        except TypeError as error:
            frame = error.__traceback__
            while frame.tb_next:
                frame = frame.tb_next
            name = frame.tb_frame.f_code.co_filename
    body = name.encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


uvicorn.run(app, port=int(sys.argv[1]), loop=loop, http=parser, lifespan="off", log_level="critical")
