"""Traces the requests that reach an ASGI application: `app = TraceMiddleware(app)`."""

import sys

from ddtrace import config
from ddtrace.contrib.trace_utils import activate_distributed_headers, int_service, set_http_meta
from ddtrace.ext import http
from ddtrace.trace import tracer as _tracer

_PORTS = {"http": 80, "https": 443}

config.asgi.setdefault("distributed_tracing", True)


def span_from_scope(scope):
    """The span of a request, or None."""
    return scope.get("datadog", {}).get("request_spans", [None])[0]


def _failed(exc, span):
    span.set_tag(http.STATUS_CODE, "500")


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _address(scope, headers):
    scheme, server = scope.get("scheme", "http"), scope.get("server")
    host = headers.get("host")
    if host is None:
        if not server:
            return None
        name, port = server
        host = name if port in (None, _PORTS.get(scheme)) else f"{name}:{port}"
    query = _text(scope.get("query_string") or b"")
    return f"{scheme}://{host}{scope['path']}" + (f"?{query}" if query else "")


class TraceMiddleware:
    """An application that traces the requests of another one. Within another `TraceMiddleware` it adds nothing: a request
    is one span. What is no request goes through; a websocket has its span from the integration of its server or framework.
    """

    def __init__(self, app, tracer=None, integration_config=None, handle_exception_span=_failed, span_modifier=None):
        self.app = app
        self.integration_config = config.asgi if integration_config is None else integration_config
        self.handle_exception_span = handle_exception_span
        self.span_modifier = span_modifier

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or "datadog" in scope:
            return await self.app(scope, receive, send)
        headers = {_text(name).lower(): _text(value) for name, value in scope["headers"]}
        before = _tracer.context_provider.active()
        activate_distributed_headers(_tracer, self.integration_config, headers)
        method = scope["method"]
        service = int_service(None, self.integration_config)
        span = _tracer.trace(
            self.integration_config.get("request_span_name", "asgi.request"), service, f"{method} {scope['path']}", "web"
        )
        scope["datadog"] = {"request_spans": [span]}
        span.set_tags({"component": "asgi", "span.kind": "server"})
        address = _address(scope, headers)
        set_http_meta(span, self.integration_config, method, address, request_headers=headers)
        versions = scope.get("asgi", {})
        for name, version in (
            (http.VERSION, scope.get("http_version")),
            ("asgi.version", versions.get("version")),
            ("asgi.spec_version", versions.get("spec_version")),
        ):
            if version:
                span.set_tag(name, version)

        async def sending(message):
            if message["type"] == "http.response.start":
                set_http_meta(span, self.integration_config, status_code=message.get("status"))
            await send(message)
            # What the application does behind the response is no part of the request.
            if message["type"] == "http.response.body" and not message.get("more_body"):
                span.finish()

        try:
            if self.span_modifier:
                self.span_modifier(span, scope)
            return await self.app(scope, receive, sending)
        except BaseException as exc:
            span.set_exc_info(*sys.exc_info())
            self.handle_exception_span(exc, span)
            raise
        finally:
            span.finish()
            _tracer.context_provider.activate(before)


__all__ = ["TraceMiddleware", "span_from_scope"]
