"""Django: its requests are spans, or the spans of their servers, with the route, and the exceptions that it answers for."""

from ddtrace_run._native import Wrapped, call_of
from ddtrace_run.contrib import _asgi
from ddtrace_run.integrations import integration


def _call(request):
    """What is traced of a request."""
    environ = getattr(request, "environ", None)
    return call_of(getattr(request, "scope", None) if environ is None else environ)


def wsgi_imported(module):
    """`django.core.handlers.wsgi` has been imported."""
    handler = module.WSGIHandler
    handler.__call__ = Wrapped.wsgi(integration("django"), handler.__call__)


def asgi_imported(module):
    """`django.core.handlers.asgi` has been imported."""
    handler = module.ASGIHandler
    handler.__call__ = _asgi.traced(integration("django"), handler.__call__)


def base_imported(module):
    """`django.core.handlers.base` has been imported."""

    def resolved(request, match):
        call = _call(request)
        if call is not None:
            environ = getattr(request, "environ", {})
            mounted = environ.get("ddtrace_run.mounted")
            root = environ.get("SCRIPT_NAME", "") if mounted is None else mounted
            if mounted is None and not root:
                # The home page's is empty, as if none had matched.
                call.routed(match.route or "/")
            else:
                call.routed("/" + match.route, root)

    handler = module.BaseHandler
    resolve = handler.resolve_request
    handler.resolve_request = Wrapped("django", resolve, lambda handler, request: request, resolved)


def exception_imported(module):
    """`django.core.handlers.exception` has been imported."""

    def failing(request, _, exc_info):
        call = _call(request)
        if call is not None:
            call.fail(exc_info[1])

    module.handle_uncaught_exception = Wrapped("django", module.handle_uncaught_exception, failing)
