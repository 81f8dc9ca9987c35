"""aiohttp: each request that goes out is a span, which lasts until its body has come, and each that comes in, with the route."""

import functools
import sys

from ddtrace_run._native import Rest, Wrapped, guarded
from ddtrace_run.contrib import _aio
from ddtrace_run.integrations import integration


def client_imported(module):
    """`aiohttp.client` has been imported."""
    import asyncio

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDict
    from yarl import URL

    client = integration("aiohttp_client")
    session = module.ClientSession
    # Sessions have no base before 3.8.
    address = getattr(session, "_build_url", lambda session, url: URL(url))

    def change(session, method, str_or_url, **kwargs):
        # The program's own are not changed.
        kwargs["headers"] = headers = CIMultiDict(kwargs.get("headers") or ())

        def begin():
            return client.asks(method, str(address(session, str_or_url)), headers)

        return (session, method, str_or_url), kwargs, begin

    def end(call, response):
        call.answered(response.status, response.headers)
        content = response.content
        # What is switched to another protocol has a connection then, and no body.
        if response.status != 101 and content.exception() is None:
            rest = Rest(call)
            rest.wait()
            content.on_eof(rest)

    def failing(content, error, *_):
        for rest in _rests(content):
            _fails(rest, error, asyncio.TimeoutError)

    def closing(connection, *_):
        # As that of a session that is closed before: nobody has wanted the rest.
        for rest in _rests(connection._payload):
            rest()

    StreamReader.set_exception = Wrapped("aiohttp_client", StreamReader.set_exception, failing)
    for name in ("abort", "close"):
        if hasattr(ResponseHandler, name):
            setattr(ResponseHandler, name, Wrapped("aiohttp_client", getattr(ResponseHandler, name), closing))
    # How far away the caller is, warnings of its know.
    session._request = Wrapped.coroutine("aiohttp_client", session._request, change, end)


def _rests(content):
    """What is to be called when the rest of a body has come."""
    return [called for called in getattr(content, "_eof_callbacks", ()) if type(called) is Rest]


def _fails(rest, error, timeout):
    """The rest of a body does not come any more; that the program does not want it is no error, unless it took too long."""
    if str(error) == "Connection closed":
        error = sys.exc_info()[1]
        if not isinstance(error, timeout):
            error = None
    if isinstance(error, BaseException):
        rest.fail(error)
    rest()


def server_imported(module):
    """`aiohttp.web_app` has been imported."""
    import asyncio

    from aiohttp.web_response import StreamResponse

    from ddtrace_run._native import ContextProvider

    server = integration("aiohttp")
    app = module.Application
    handle = app._handle
    activate = ContextProvider().activate
    # By the ids of requests that are served: what is answered to them.
    answers = {}

    def preparing(response, request, *_):
        if id(request) in answers:
            answers[id(request)] = response

    def failed(call, request, error):
        answer = answers[id(request)]
        is_sent = answer is not None and request.writer.output_size > 0
        if is_sent or not _is_answer(error):
            call.fail(error)
        if is_sent:
            # No other one follows.
            call.answered(answer.status, answer.headers)
        elif _is_answer(error):
            call.answered(error.status, error.headers)
        elif isinstance(error, Exception):
            call.answered(504 if isinstance(error, asyncio.TimeoutError) else 500)

    def stay(call, request):
        # The server's task for the request: what it does from here on is of that, as its log says.
        if getattr(request.protocol, "_current_request", None) is request:
            activate(call.span.context)

    @functools.wraps(handle)
    async def traced(self, request):
        call = guarded("aiohttp", _serves, server, request)
        if call is None:
            return await handle(self, request)
        answers[id(request)] = None
        try:
            response = await handle(self, request)
            guarded("aiohttp", call.answered, response.status, response.headers)
            return response
        except BaseException as error:
            guarded("aiohttp", failed, call, request, error)
            raise
        finally:
            del answers[id(request)]
            guarded("aiohttp", _route, call, request)
            call.end()
            guarded("aiohttp", stay, call, request)

    app._handle = traced
    StreamResponse.prepare = _aio.traced("aiohttp", StreamResponse.prepare, preparing)


def _is_answer(error):
    """Answers are raised as well."""
    return isinstance(error, Exception) and isinstance(getattr(error, "status", None), int) and hasattr(error, "headers")


def _serves(server, request):
    version, peer = request.version, request.transport and request.transport.get_extra_info("peername")
    return server.serves(
        {
            "type": "http",
            "method": request.method,
            "raw_path": request.rel_url.raw_path,
            "query_string": request.rel_url.raw_query_string,
            "http_version": f"{version.major}.{version.minor}",
            "scheme": request.scheme,
            "client": peer[:2] if isinstance(peer, tuple) else None,
            "headers": request.raw_headers,
        }
    )


def _route(call, request):
    # Asked for before it is known, it is missed aloud.
    info = getattr(request, "_match_info", None)
    resource = info.route.resource if info is not None else None
    if resource is not None:
        call.routed(resource.canonical)
