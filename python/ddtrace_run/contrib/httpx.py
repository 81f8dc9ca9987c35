"""httpx: each request that goes out is a span, also those that follow a redirect."""

from ddtrace_run._native import Wrapped
from ddtrace_run.contrib import _aio
from ddtrace_run.integrations import integration


def imported(module):
    """`httpx._transports.default` has been imported."""
    httpx = integration("httpx")

    def begin(transport, request):
        return httpx.asks(request.method, str(request.url), request.headers)

    def end(call, response):
        call.answered(response.status_code, response.headers)

    transport, is_async = module.HTTPTransport, module.AsyncHTTPTransport
    transport.handle_request = Wrapped("httpx", transport.handle_request, begin, end)
    is_async.handle_async_request = _aio.traced("httpx", is_async.handle_async_request, begin, end)
