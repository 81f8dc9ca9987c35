"""An application of ASGI under uvicorn with asyncio's loop. `uploads.py PORT PARSER`, and `OTEL` where OpenTelemetry's API is used.

Once it takes an upload in, asyncio reads on in a copy of the context of that request.
"""

import asyncio
import os
import sys

import uvicorn
from ddtrace import tracer

released = asyncio.Event()


async def upload(receive, send):
    # The body is more than the server takes in without being asked for it.
    while not receive.__self__.flow.read_paused:
        await asyncio.sleep(0.001)
    with tracer.trace("reads"):
        while (await receive()).get("more_body"):
            pass
    await answer(send, "")
    with tracer.trace("behind"):
        await released.wait()


async def answer(send, text):
    body = text.encode()
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def baggage():
    known = tracer.current_span().context.get_all_baggage_items()
    if "OTEL" in os.environ:
        from opentelemetry import baggage

        known = {**known, **baggage.get_all()}
    return " ".join(f"{name}={value}" for name, value in sorted(known.items()))


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if "OTEL" in os.environ:
        from opentelemetry import baggage as items
        from opentelemetry import context, trace

        trace.get_tracer("uploads").start_span("beside").end()
    if scope["method"] == "POST":
        if "OTEL" in os.environ:
            context.attach(items.set_baggage("set", "here"))
        return await upload(receive, send)
    with tracer.trace("within"):
        await answer(send, baggage())
    if scope["path"] == "/last":
        released.set()


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="asyncio", http=sys.argv[2], log_level="critical")
