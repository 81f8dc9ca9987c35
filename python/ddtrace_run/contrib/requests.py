"""requests: each request that goes out is a span, also those that follow a redirect."""

from ddtrace_run._native import Wrapped
from ddtrace_run.integrations import integration


def imported(module):
    """`requests.adapters` has been imported."""
    requests = integration("requests")

    def begin(adapter, request, *_, **__):
        return requests.asks(request.method or "GET", request.url or "", request.headers)

    def end(call, response):
        call.answered(response.status_code, response.headers)

    module.HTTPAdapter.send = Wrapped("requests", module.HTTPAdapter.send, begin, end)
