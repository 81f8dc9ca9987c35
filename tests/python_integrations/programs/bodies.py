"""`bodies.py LIBRARY PORT GATE`: asks for bodies that come late, that break off, and that are streamed."""

import asyncio
import socket
import sys

library, port, gate = sys.argv[1], *map(int, sys.argv[2:])
base = f"http://127.0.0.1:{port}"


def has_headers():
    """Lets the rest of a body come."""
    socket.create_connection(("127.0.0.1", gate)).close()


def by_requests():
    import requests

    class Own(requests.Session):
        def send(self, request, **kwargs):
            return super().send(request, **kwargs)

    class Retrying(requests.adapters.HTTPAdapter):
        def send(self, request, **kwargs):
            response = super().send(request, **kwargs)
            if response.status_code == 503:
                response.close()
                request.url = f"{base}/again"
                response = super().send(request, **kwargs)
            return response

    with requests.Session() as retrying:
        retrying.mount("http://", Retrying())
        print(retrying.get(f"{base}/busy").text)
    print(requests.get(f"{base}/late").text)
    try:
        requests.get(f"{base}/broken")
    except requests.RequestException as error:
        print(type(error).__name__)
    with Own() as session:
        print(session.send(session.prepare_request(requests.Request("GET", f"{base}/redirected"))).text)
        hooks = {"response": lambda *_, **__: print(session.get(f"{base}/hook", stream=True).text)}
        print(session.get(f"{base}/late/hooked", hooks=hooks).text)
        with session.get(f"{base}/streamed", stream=True) as response:
            has_headers()
            print(response.text)


def by_httpx():
    import httpx

    class Retrying(httpx.HTTPTransport):
        def handle_request(self, request):
            response = super().handle_request(request)
            if response.status_code == 503:
                response.close()
                response = super().handle_request(httpx.Request("GET", f"{base}/again"))
            return response

    with httpx.Client(transport=Retrying()) as retrying:
        print(retrying.get(f"{base}/busy").text)
    with httpx.Client(follow_redirects=True) as client:
        print(client.get(f"{base}/late").text)
        try:
            client.get(f"{base}/broken")
        except httpx.HTTPError as error:
            print(type(error).__name__)
        print(client.send(client.build_request("GET", f"{base}/redirected")).text)
        hooks = {"response": [lambda _: print(client.send(httpx.Request("GET", f"{base}/hook"), stream=True).read())]}
        with httpx.Client(event_hooks=hooks) as hooked:
            print(hooked.get(f"{base}/late/hooked").text)
        with client.stream("GET", f"{base}/streamed") as response:
            has_headers()
            print(response.read().decode())


async def by_httpx_async():
    import httpx

    class Retrying(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            response = await super().handle_async_request(request)
            if response.status_code == 503:
                await response.aclose()
                response = await super().handle_async_request(httpx.Request("GET", f"{base}/again"))
            return response

    async with httpx.AsyncClient(transport=Retrying()) as retrying:
        print((await retrying.get(f"{base}/busy")).text)
    async with httpx.AsyncClient(follow_redirects=True) as client:
        print((await client.get(f"{base}/late")).text)
        try:
            await client.get(f"{base}/broken")
        except httpx.HTTPError as error:
            print(type(error).__name__)
        print((await client.send(client.build_request("GET", f"{base}/redirected"))).text)

        async def hook(_):
            print(await (await client.send(httpx.Request("GET", f"{base}/hook"), stream=True)).aread())

        async with httpx.AsyncClient(event_hooks={"response": [hook]}) as hooked:
            print((await hooked.get(f"{base}/late/hooked")).text)
        async with client.stream("GET", f"{base}/streamed") as response:
            has_headers()
            print((await response.aread()).decode())


async def by_aiohttp():
    import gc

    import aiohttp

    # aiohttp warns of the cancelled one if a collection finds it before the loop is closed, and when one comes is chance.
    gc.disable()
    async with aiohttp.ClientSession() as session:
        print(await (await session.get(f"{base}/late")).text())
        try:
            async with session.get(f"{base}/broken") as response:
                await response.read()
        except aiohttp.ClientError as error:
            print(type(error).__name__)
        try:
            timeout = aiohttp.ClientTimeout(total=0.2)
            async with session.get(f"{base}/stuck", timeout=timeout) as response:
                async for _ in response.content.iter_any():
                    pass
        except asyncio.TimeoutError:
            print("TimeoutError")
        async with session.get(f"{base}/released"):
            await (await session.get(f"{base}/meanwhile")).read()
        (await session.get(f"{base}/closed")).close()
        # Nobody reads it, and nobody closes it.
        await session.get(f"{base}/dropped")
        try:
            reading = asyncio.ensure_future((await session.get(f"{base}/cancelled")).read())
            await asyncio.sleep(0)
            reading.cancel()
            await reading
        except asyncio.CancelledError:
            print("cancelled")
    for _ in range(5):
        has_headers()


asked = globals()["by_" + library]()
if asked is not None:
    asyncio.run(asked)
