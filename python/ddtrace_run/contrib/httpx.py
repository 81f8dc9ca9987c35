"""httpx: each request that goes out is a span, also those that follow a redirect. It lasts until the body is read, unless the
program streams that."""

from ddtrace_run._native import Reading, Wrapped, reads_body, wait_for_body
from ddtrace_run.contrib import _aio
from ddtrace_run.integrations import integration


def _hooks():
    httpx = integration("httpx")

    def begin(_, request, *__):
        return httpx.asks(request.method, str(request.url), request.headers)

    def end(call, response):
        call.answered(response.status_code, response.headers)
        wait_for_body(call, response)

    return begin, end


def _trace_bodies(response):
    response.read = Wrapped("httpx", response.read, reads_body)
    response.close = Wrapped("httpx", response.close, reads_body)
    response.aread = _aio.traced("httpx", response.aread, reads_body)
    response.aclose = _aio.traced("httpx", response.aclose, reads_body)


def _gives_requests(transports):
    """Before 0.20 transports are given the parts of a request, and know of no answers."""
    return hasattr(transports, "Response")


def imported(module):
    """`httpx._transports.default` has been imported."""
    if not _gives_requests(module):
        return
    begin, end = _hooks()
    transport, is_async = module.HTTPTransport, module.AsyncHTTPTransport
    transport.handle_request = Wrapped("httpx", transport.handle_request, begin, end)
    is_async.handle_async_request = _aio.traced("httpx", is_async.handle_async_request, begin, end)
    _trace_bodies(module.Response)


def client_imported(module):
    """`httpx._client` has been imported."""
    from httpx._transports import default

    def reads(client, request, *, stream=False, **_):
        return Reading.begin(not stream)

    client, is_async = module.Client, module.AsyncClient
    client.send = Wrapped("httpx", client.send, reads)
    is_async.send = _aio.traced("httpx", is_async.send, reads)
    if _gives_requests(default):
        return
    begin, end = _hooks()
    transports = default.HTTPTransport, default.AsyncHTTPTransport

    def begin_single(client, request, *_):
        # Others reach no server.
        return begin(client, request) if isinstance(client._transport_for_url(request.url), transports) else None

    client._send_single_request = Wrapped("httpx", client._send_single_request, begin_single, end)
    is_async._send_single_request = _aio.traced("httpx", is_async._send_single_request, begin_single, end)
    _trace_bodies(module.Response)
