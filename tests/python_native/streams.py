"""A server by `asyncio.start_server`, which makes the task of a connection before anything has come over it. `streams.py PORT`;
`HOW` says whether the spans that it makes of its requests tell who has made them.
"""

import asyncio
import os
import sys

from opentelemetry import trace
from opentelemetry.propagate import extract

tells = os.environ["HOW"] == "tells"
tracer = trace.get_tracer("here")
released = asyncio.Event()


async def serve(reader, writer):
    while head := await reader.readuntil(b"\r\n\r\n"):
        first, *lines = head.decode().strip().split("\r\n")
        name = first.split()[1][1:]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        address, port = writer.get_extra_info("peername")[:2]
        attributes = {"client.address": address, "client.port": port} if tells else {}
        with tracer.start_as_current_span("request " + name, extract(headers), trace.SpanKind.SERVER, attributes):
            if name == "slow":
                await released.wait()
            with tracer.start_as_current_span("work-" + name):
                await asyncio.sleep(0.01)
            if name == "fast":
                released.set()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(name), name.encode()))
        await writer.drain()


async def main():
    async with await asyncio.start_server(serve, "localhost", int(sys.argv[1])) as server:
        await server.serve_forever()


asyncio.run(main())
