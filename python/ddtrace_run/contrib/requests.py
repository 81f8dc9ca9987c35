"""requests: each request that goes out is a span, also those that follow a redirect. It lasts until the body is read, unless
the program streams that."""

from ddtrace_run._native import Reading, Wrapped, reads_body, wait_for_body
from ddtrace_run.integrations import integration


def imported(module):
    """`requests.adapters` has been imported."""
    requests = integration("requests")

    def begin(adapter, request, *_, **__):
        return requests.asks(request.method or "GET", request.url or "", request.headers)

    def end(call, response):
        call.answered(response.status_code, response.headers)
        wait_for_body(call, response)

    module.HTTPAdapter.send = Wrapped("requests", module.HTTPAdapter.send, begin, end)
    response = module.Response
    response.content = property(Wrapped("requests", response.content.fget, reads_body))
    response.close = Wrapped("requests", response.close, reads_body)


def sessions_imported(module):
    """`requests.sessions` has been imported."""

    def begin(session, request, **kwargs):
        return Reading.begin(not kwargs.get("stream", session.stream))

    module.Session.send = Wrapped("requests", module.Session.send, begin)
