"""`held.py LIBRARY PORT`: ends with an answer that it has not read."""

import os
import signal
import sys
import threading
import time

library, port = sys.argv[1], int(sys.argv[2])


def ticks():
    while True:
        time.sleep(0.1)


threading.Thread(target=ticks, daemon=True).start()
if library == "urllib":
    import urllib.request

    response = urllib.request.urlopen(f"http://127.0.0.1:{port}/")
elif library == "aiohttp":
    import asyncio

    import aiohttp

    async def ask():
        return await aiohttp.ClientSession().get(f"http://127.0.0.1:{port}/long")

    loop = asyncio.new_event_loop()
    response = loop.run_until_complete(ask())
else:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    response = connection.getresponse()
print(response.status, flush=True)
if library.endswith("killed"):
    os.kill(os.getpid(), signal.SIGKILL)
