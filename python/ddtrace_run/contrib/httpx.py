"""httpx: each request that goes out is a span, also those that follow a redirect. It lasts until the body is read, unless the
program streams that."""

from ddtrace_run._native import Reading, Wrapped, reads_body, wait_for_body
from ddtrace_run.contrib import _aio
from ddtrace_run.integrations import integration


def imported(module):
    """`httpx._transports.default` has been imported."""
    httpx = integration("httpx")

    def begin(transport, request):
        return httpx.asks(request.method, str(request.url), request.headers)

    def end(call, response):
        call.answered(response.status_code, response.headers)
        wait_for_body(call, response)

    transport, is_async, response = module.HTTPTransport, module.AsyncHTTPTransport, module.Response
    transport.handle_request = Wrapped("httpx", transport.handle_request, begin, end)
    is_async.handle_async_request = _aio.traced("httpx", is_async.handle_async_request, begin, end)
    response.read = Wrapped("httpx", response.read, reads_body)
    response.close = Wrapped("httpx", response.close, reads_body)
    response.aread = _aio.traced("httpx", response.aread, reads_body)
    response.aclose = _aio.traced("httpx", response.aclose, reads_body)


def client_imported(module):
    """`httpx._client` has been imported."""

    def begin(client, request, *, stream=False, **_):
        return Reading.begin(not stream)

    client, is_async = module.Client, module.AsyncClient
    client.send = Wrapped("httpx", client.send, begin)
    is_async.send = _aio.traced("httpx", is_async.send, begin)
