"""`asks.py LIBRARY URL…`: asks for each of them."""

import asyncio
import sys

library, *urls = sys.argv[1:]


def by_requests(url):
    import requests

    return requests.get(url).status_code


def by_urllib3(url):
    import urllib3

    headers = {"X-Own": "1"}
    status = urllib3.PoolManager().request("GET", url, headers=headers, retries=False).status
    assert headers == {"X-Own": "1"}
    return status


def by_urllib(url):
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def by_http_client(url):
    import http.client
    import urllib.parse

    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("GET", f"{parts.path}?{parts.query}")
    return connection.getresponse().status


def by_httpx(url):
    import httpx

    return httpx.get(url, follow_redirects=True).status_code


def by_httpx_async(url):
    import httpx

    async def ask():
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).status_code

    return asyncio.run(ask())


def by_aiohttp(url):
    import aiohttp

    async def ask():
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status

    return asyncio.run(ask())


for url in urls:
    try:
        print(globals()["by_" + library](url))
    except Exception as error:
        print(type(error).__name__)
