"""What integrations have in common, as far as programs use it."""

from ddtrace.ext import http, net, user
from ddtrace.propagation.http import HTTPPropagator
from ddtrace.trace import tracer as _tracer


def set_user(
    tracer,
    user_id,
    name=None,
    email=None,
    scope=None,
    role=None,
    session_id=None,
    propagate=False,
    span=None,
    may_block=True,
    mode="sdk",
):
    """Says on the first span of the trace which user it is for; `propagate` tells the services that are called, too."""
    span = _tracer.current_root_span() if span is None else span
    if span is None:
        return
    if user_id:
        span.set_tag(user.ID, str(user_id))
        if propagate:
            span.context.dd_user_id = str(user_id)
    for key, value in (
        (user.NAME, name),
        (user.EMAIL, email),
        (user.SCOPE, scope),
        (user.ROLE, role),
        (user.SESSION_ID, session_id),
    ):
        if value:
            span.set_tag(key, value)


def _header(headers, name):
    return next((value for key, value in headers.items() if key.lower() == name), None)


def set_http_meta(
    span,
    integration_config,
    method=None,
    url=None,
    target_host=None,
    server_address=None,
    status_code=None,
    status_msg=None,
    query=None,
    parsed_query=None,
    request_headers=None,
    response_headers=None,
    retries_remain=None,
    raw_uri=None,
    request_cookies=None,
    request_path_params=None,
    request_body=None,
    peer_ip=None,
    headers_are_case_sensitive=False,
    route=None,
    response_cookies=None,
):
    """Sets the tags of a request. What is secret in an address is hidden before it is sent."""
    tags = {
        http.METHOD: method,
        http.URL: url,
        net.TARGET_HOST: target_host,
        net.SERVER_ADDRESS: server_address,
        http.STATUS_MSG: status_msg,
        http.RETRIES_REMAIN: None if retries_remain is None else str(retries_remain),
        http.ROUTE: route,
        http.USER_AGENT: _header(request_headers, "user-agent") if request_headers else None,
    }
    span.set_tags({key: value for key, value in tags.items() if value is not None})
    try:
        failed = 500 <= int(status_code) < 600
    except (TypeError, ValueError):
        return
    span.set_tag(http.STATUS_CODE, str(status_code))
    if failed:
        span.error = 1


def distributed_tracing_enabled(int_config, default=False):
    """Whether an integration continues traces that come in with requests."""
    for name in ("distributed_tracing_enabled", "distributed_tracing"):
        if int_config.get(name) is not None:
            return int_config[name]
    return default


def activate_distributed_headers(tracer, int_config=None, request_headers=None, override=None):
    """Makes the context active that comes in with a request, if it is another trace than the active one."""
    if override is False or not (override or int_config and distributed_tracing_enabled(int_config)):
        return
    context = HTTPPropagator.extract(request_headers)
    current = tracer.current_trace_context()
    if not context.trace_id and (current or not context.get_all_baggage_items()):
        return
    if current is None or context.trace_id != current.trace_id:
        tracer.context_provider.activate(context)


def int_service(pin, int_config, default=None):
    """The service of what the program does itself: as is said by its pin or integration, else as configured."""
    from ddtrace import config

    return _said(pin, int_config) or config.service or int_config.get("_default_service") or default


def ext_service(pin, int_config, default=None):
    """The service of what others do for the program: as is said by its pin or integration, or by the integration itself."""
    return _said(pin, int_config) or int_config.get("_default_service") or default


def _said(pin, int_config):
    if pin is not None and pin.service:
        return pin.service
    return int_config.get("service") or int_config.get("service_name")
