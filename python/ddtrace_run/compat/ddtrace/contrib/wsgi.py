"""Traces the requests that reach a WSGI application: `application = DDWSGIMiddleware(application)`."""

import sys
from wsgiref.util import request_uri

from ddtrace import config
from ddtrace.contrib.trace_utils import activate_distributed_headers, int_service, set_http_meta
from ddtrace.trace import tracer as _tracer

config.wsgi.setdefault("distributed_tracing", True)


def default_wsgi_span_modifier(span, environ):
    """The method and the path are the resource."""
    span.resource = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"


class DDWSGIMiddleware:
    """An application that traces the requests of another one. Within another one it adds nothing: a request is one span,
    from its beginning to the end of the response.
    """

    def __init__(self, application, tracer=None, span_modifier=default_wsgi_span_modifier, app_is_iterator=False):
        self.app = application
        self.span_modifier = span_modifier

    def __call__(self, environ, start_response):
        if "datadog.wsgi.request_span" in environ:
            return self.app(environ, start_response)
        request = _Request(environ)
        span = request.span
        self.span_modifier(span, environ)

        def started(status, headers, exc_info=None):
            code, _, text = status.partition(" ")
            set_http_meta(span, config.wsgi, status_code=code, status_msg=text or None)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            response = self.app(environ, started)
        except StopIteration:
            # So servers close connections.
            request.finish()
            raise
        except BaseException:
            request.fail()
            raise
        # What is there already needs nobody in between; servers send files by themselves.
        files = environ.get("wsgi.file_wrapper")
        if isinstance(response, (list, tuple)) or isinstance(files, type) and isinstance(response, files):
            request.finish()
            return response
        return _Response(response, request)


class _Request:
    def __init__(self, environ):
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        self._before = _tracer.context_provider.active()
        activate_distributed_headers(_tracer, config.wsgi, headers)
        self.span = _tracer.trace("wsgi.request", int_service(None, config.wsgi), span_type="web")
        environ["datadog.wsgi.request_span"] = self.span
        self.span.set_tags({"component": "wsgi", "span.kind": "server"})
        set_http_meta(
            self.span, config.wsgi, environ["REQUEST_METHOD"], request_uri(environ, True), request_headers=headers
        )

    def fail(self):
        self.span.set_exc_info(*sys.exc_info())
        self.finish()

    def finish(self):
        if not self.span.finished:
            self.span.finish()
            _tracer.context_provider.activate(self._before)


class _Response:
    """The parts of a response as they are made; the request is over with the last one, or when it is closed."""

    def __init__(self, response, request):
        self._response, self._request = response, request
        self._parts = iter(response)

    def __getattr__(self, name):
        return getattr(self._response, name)

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self._parts)
        except StopIteration:
            self._request.finish()
            raise
        except BaseException:
            self._request.fail()
            raise

    def close(self):
        try:
            close = getattr(self._response, "close", None)
            if close is not None:
                close()
        except BaseException:
            self._request.fail()
            raise
        finally:
            self._request.finish()


__all__ = ["DDWSGIMiddleware"]
