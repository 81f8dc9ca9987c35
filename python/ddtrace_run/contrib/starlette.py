"""Starlette and FastAPI: their requests are spans, or the spans of their servers, with the route."""

import sys

from ddtrace_run._native import Wrapped, call_of
from ddtrace_run.contrib import _asgi
from ddtrace_run.integrations import integration

#: Where a scope has the paths of what is mounted around its route.
_MOUNTED = "ddtrace_run.mounted"


def applications_imported(module):
    """`starlette.applications` has been imported."""
    app = module.Starlette
    app.__call__ = _asgi.traced(integration("starlette"), app.__call__)


def routing_imported(module):
    """`starlette.routing` has been imported."""

    def mounting(mount, scope, *_):
        if scope["type"] == "http":
            scope[_MOUNTED] = path = scope.get(_MOUNTED, "") + mount.path
            call = call_of(scope)
            if call is not None:
                call.mounted(path)

    module.Route.handle = Wrapped("starlette", module.Route.handle, _handling)
    module.Mount.handle = Wrapped("starlette", module.Mount.handle, mounting)


def _handling(route, scope, *_):
    call = call_of(scope)
    if call is None:
        return
    path = route.path
    # FastAPI includes the routes of a router without copying them.
    included = scope.get("fastapi")
    if isinstance(included, dict):
        context = included.get("effective_route_context")
        if context is not None and getattr(context, "original_route", None) is route:
            path = getattr(context.starlette_route, "path_format", None) or context.path_format
    call.routed(path, scope.get(_MOUNTED, ""))


def fastapi_imported(module):
    """`fastapi.applications` has been imported."""
    app = module.FastAPI
    app.__call__ = _asgi.traced(integration("fastapi"), app.__call__, _trace_once)
    route = module.routing.APIRoute
    if "handle" in vars(route):
        route.handle = Wrapped("fastapi", route.handle, _handling)


def _trace_once(app):
    """FastAPI from 0.160 on makes spans of its requests itself where the API of OpenTelemetry has a provider. Where that is
    ours, the request is traced already; what it measures and logs is not touched."""
    native = vars(app).get("_native_telemetry")
    config = getattr(native, "config", None)
    if not isinstance(config, dict) or not config.get("tracing") or config.get("tracer_provider") is not None:
        return
    api = sys.modules.get("opentelemetry.trace")
    if api is not None and getattr(api.get_tracer_provider(), "_is_ddtrace_run", False):
        native.config = {**config, "tracing": False}
