"""Flask: its requests are spans, or the spans of their servers, with the route, and the exceptions that it answers for."""

from ddtrace_run._native import Wrapped, call_of
from ddtrace_run.integrations import integration


def imported(module):
    """`flask.app` has been imported."""
    from flask.globals import request as current

    flask = integration("flask")
    app = module.Flask

    def dispatching(*_):
        request = current._get_current_object()
        call = call_of(request.environ)
        if call is not None and request.url_rule is not None:
            # Where it is mounted as a route says it, or else as the request has it.
            root = request.environ.get("ddtrace_run.mounted", request.environ.get("SCRIPT_NAME", ""))
            call.routed(request.url_rule.rule, root)

    def failing(*arguments):
        call = call_of(current.environ)
        if call is not None:
            # Before Flask 3.2 it is the only argument.
            call.fail(arguments[-1])

    app.__call__ = Wrapped.wsgi(flask, app.__call__)
    # What servers are given where something is put around it: `ProxyFix(app.wsgi_app)`.
    app.wsgi_app = Wrapped.wsgi(flask, app.wsgi_app)
    app.full_dispatch_request = Wrapped("flask", app.full_dispatch_request, dispatching)
    app.handle_exception = Wrapped("flask", app.handle_exception, failing)
