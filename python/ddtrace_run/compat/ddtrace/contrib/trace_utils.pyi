"""What integrations have in common, as far as programs use it."""

from collections.abc import Mapping
from typing import Any

from ddtrace._trace.pin import Pin
from ddtrace.ext import http as http
from ddtrace.ext import net as net
from ddtrace.ext import user as user
from ddtrace.propagation.http import HTTPPropagator as HTTPPropagator
from ddtrace.trace import Span, Tracer

def set_user(
    tracer: object,
    user_id: str,
    name: str | None = None,
    email: str | None = None,
    scope: str | None = None,
    role: str | None = None,
    session_id: str | None = None,
    propagate: bool = False,
    span: Span | None = None,
    may_block: bool = True,
    mode: str = "sdk",
) -> None: ...
def set_http_meta(
    span: Span,
    integration_config: Mapping[str, Any],
    method: str | None = None,
    url: str | None = None,
    target_host: str | None = None,
    server_address: str | None = None,
    status_code: int | str | None = None,
    status_msg: str | None = None,
    query: str | None = None,
    parsed_query: Mapping[str, Any] | None = None,
    request_headers: Mapping[str, str] | None = None,
    response_headers: Mapping[str, str] | None = None,
    retries_remain: int | str | None = None,
    raw_uri: str | None = None,
    request_cookies: dict[str, str] | None = None,
    request_path_params: object = None,
    request_body: object = None,
    peer_ip: str | None = None,
    headers_are_case_sensitive: bool = False,
    route: str | None = None,
    response_cookies: dict[str, str] | None = None,
) -> None: ...
def distributed_tracing_enabled(int_config: Mapping[str, Any], default: bool = False) -> bool: ...
def activate_distributed_headers(
    tracer: Tracer,
    int_config: Mapping[str, Any] | None = None,
    request_headers: Mapping[str, str] | None = None,
    override: bool | None = None,
) -> None: ...
def int_service(pin: Pin | None, int_config: Mapping[str, Any], default: str | None = None) -> str | None: ...
def ext_service(pin: Pin | None, int_config: Mapping[str, Any], default: str | None = None) -> str | None: ...
