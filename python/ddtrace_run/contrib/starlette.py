"""Starlette and FastAPI: their requests and websockets are spans, or the spans of their servers, with the route, and so is what
they do behind answers."""

import contextvars
import functools
import sys

from ddtrace_run._native import Wrapped, call_of, guarded
from ddtrace_run.contrib import _aio, _asgi
from ddtrace_run.integrations import integration, is_on

#: Where a scope has the paths of what is mounted around its route.
_MOUNTED = "ddtrace_run.mounted"

#: Which of the two serves, here.
_serving = contextvars.ContextVar("ddtrace_run_framework", default="starlette")

#: What makes spans of what is done behind answers, by who serves.
_behind = {}


def applications_imported(module):
    """`starlette.applications` has been imported."""
    app = module.Starlette
    app.__call__ = _asgi.traced(integration("starlette"), app.__call__, is_for=_is_not_of_fastapi)


def _is_not_of_fastapi(app):
    """FastAPI's applications are Starlette's as well, but who traces them, and whether, is said of FastAPI."""
    fastapi = sys.modules.get("fastapi.applications")
    is_not = fastapi is None or not isinstance(app, fastapi.FastAPI)
    _serving.set("starlette" if is_not else "fastapi")
    return is_not


def background_imported(module):
    """`starlette.background` has been imported."""
    _trace_behind("starlette", module)


def _trace_behind(name, background):
    """What is called behind the answers of a framework is traced."""
    is_first = not _behind
    _behind[name] = integration(name)
    if not is_first:
        return

    def begin(task):
        made = _behind.get(_serving.get())
        # The instrumentation of OpenTelemetry for FastAPI traces those of all applications, once it has one.
        if made is None or hasattr(task, "_otel_original_call"):
            return None
        function = task.func
        kind = type(function)
        name = getattr(function, "__name__", kind.__name__)
        where = getattr(function, "__module__", kind.__module__), getattr(function, "__qualname__", kind.__qualname__)
        return made.calls_behind(str(name), "%s.%s" % where)

    task = background.BackgroundTask
    task.__call__ = _aio.traced(name, task.__call__, begin)


def routing_imported(module):
    """`starlette.routing` has been imported."""
    for route in (module.Route, module.WebSocketRoute):
        route.handle = Wrapped("starlette", route.handle, _handling)
    _follow_mounts("starlette", module)


def _follow_mounts(name, routing):
    """A route is that of what is mounted, behind those of what that is mounted in, whichever of both is traced."""

    def mounting(mount, scope, *_):
        if scope["type"] in ("http", "websocket"):
            scope[_MOUNTED] = path = scope.get(_MOUNTED, "") + mount.path
            call = call_of(scope)
            if call is not None:
                call.mounted(path)

    if not isinstance(vars(routing.Mount)["handle"], Wrapped):
        routing.Mount.handle = Wrapped(name, routing.Mount.handle, mounting)


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
            # With its converters, where it has that.
            selected = context.starlette_route or context
            path = getattr(selected, "path", None) or selected.path_format
    call.routed(path, scope.get(_MOUNTED, ""))


def fastapi_imported(module):
    """`fastapi.applications` has been imported."""
    app = module.FastAPI
    app.__call__ = _asgi.traced(integration("fastapi"), app.__call__, _begin_serving)
    _follow_mounts("fastapi", module.routing.routing)
    for route in (module.routing.APIRoute, module.routing.APIWebSocketRoute):
        if "handle" in vars(route) or not isinstance(route.handle, Wrapped):
            route.handle = Wrapped("fastapi", route.handle, _handling)
    _trace_behind("fastapi", sys.modules["starlette.background"])


def _begin_serving(app):
    _serving.set("fastapi")
    _trace_once(app)


def fastapi_is_there(module):
    """`fastapi.applications` has been imported, whoever is to trace it: where nobody is, it does not do so by itself either."""
    app = module.FastAPI
    call = app.__call__

    @functools.wraps(call)
    async def __call__(self, scope, receive, send):
        if not is_on("fastapi"):
            guarded("fastapi", _trace_once, self)
        return await call(self, scope, receive, send)

    app.__call__ = __call__


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
