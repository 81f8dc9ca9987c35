"""`http.client`, and so `urllib.request`: each request that goes out is a span, unless the library that asks for it has one. It
lasts until its body is read, or the answer is closed."""

import sys

from ddtrace_run._native import Rest, Wrapped
from ddtrace_run.integrations import integration

#: Where connections and answers have what ends the request.
_REST = "_ddtrace_run_rest"


def imported(module):
    """`http.client` has been imported."""
    httplib = integration("httplib")
    connection, response = module.HTTPConnection, module.HTTPResponse

    def begin(connection, *_, **__):
        kept = vars(connection)
        # An answer that nobody has asked for.
        kept.pop(_REST, None)
        if _is_of_urllib3(type(connection)):
            return None
        method, _, target = connection._buffer[0].decode("latin-1").rpartition(" ")[0].partition(" ")
        sent = _headers(connection)
        known = dict(sent)
        call = httplib.asks(method, _address(connection, target), sent)
        _put(connection, known, sent)
        if call is not None:
            kept[_REST] = Rest(call)
        return call

    def answering(connection, *_, **__):
        return vars(connection).pop(_REST, None)

    def answered(rest, answer):
        rest.call.answered(answer.status, answer.headers)
        if isinstance(answer, response) and answer.length != 0 and not answer.isclosed():
            vars(answer)[_REST] = rest
            rest.wait()

    failures = (module.HTTPException, ConnectionError, TimeoutError, __import__("socket").timeout)

    def closing(answer, *_):
        rest = vars(answer).pop(_REST, None)
        error = rest and sys.exc_info()[1]
        if isinstance(error, failures):
            rest.fail(error)
        return rest

    connection.endheaders = Wrapped("httplib", connection.endheaders, begin)
    connection.getresponse = Wrapped("httplib", connection.getresponse, answering, answered)
    response._close_conn = Wrapped("httplib", response._close_conn, closing)


def _is_of_urllib3(kind):
    """Whether connections of a class are those of urllib3, or of a copy of it: it has an integration of its own, and what is
    not seen of it is not to be seen."""
    return any("urllib3" in each.__module__ for each in kind.__mro__)


def _address(connection, target):
    if not target.startswith("/"):
        # Of proxies the whole is asked for.
        return target
    tunnel = getattr(connection, "_tunnel_host", None)
    host, port = (tunnel, connection._tunnel_port) if tunnel else (connection.host, connection.port)
    usual = connection.default_port
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if usual == 443 else "http"
    return f"{scheme}://{host}{target}" if port in (None, usual) else f"{scheme}://{host}:{port}{target}"


def _headers(connection):
    """The headers that are about to be sent, by their names in small letters."""
    lines = (line.decode("latin-1").partition(":") for line in connection._buffer[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _put(connection, known, sent):
    """Has those sent that are new, or others than they were."""
    for name, value in sent.items():
        if known.get(name) == value:
            continue
        if name in known:
            start = name.encode("latin-1") + b":"
            connection._buffer[1:] = [line for line in connection._buffer[1:] if not line.lower().startswith(start)]
        connection._buffer.append(f"{name}: {value}".encode("latin-1"))
