"""Servers of WSGI and ASGI: whatever application they serve, its requests are spans."""

import sys

from ddtrace_run._native import Wrapped
from ddtrace_run.contrib._applications import is_left_to_others
from ddtrace_run.integrations import integration

#: Workers of gunicorn whose application is one of WSGI, by the names of their classes.
_OF_WSGI = {"SyncWorker", "ThreadWorker", "AsyncWorker", "EventletWorker", "TornadoWorker"}


def _wsgi_application(wsgi, application):
    return application if is_left_to_others(application) else Wrapped.wsgi(wsgi, application)


def _asgi_application(asgi, application):
    from ddtrace_run.contrib._asgi import Application

    return Application(None if is_left_to_others(application) else asgi, application)


def _note_connected(given, client):
    """Notes who is connected, where the `environ` or scope says something else, or less: requests are told apart by that."""
    if isinstance(client, (tuple, list)) and len(client) > 1:
        given["ddtrace_run.connected"] = tuple(client[:2])


def gunicorn_imported(module):
    """`gunicorn.workers.base` has been imported."""
    wsgi = integration("wsgi")

    def loaded(worker, _):
        if any(each.__name__ in _OF_WSGI and each.__module__.startswith("gunicorn.") for each in type(worker).__mro__):
            worker.wsgi = _wsgi_application(wsgi, worker.wsgi)

    module.Worker.load_wsgi = Wrapped("wsgi", module.Worker.load_wsgi, lambda worker: worker, loaded)


def _serving(handled, wsgi):
    """`run(self, application)`, whose application is traced."""

    def run(self, application):
        return handled(self, _wsgi_application(wsgi, application))

    return run


def wsgiref_imported(module):
    """`wsgiref.handlers` has been imported: `wsgiref.simple_server`, and what is built on it, such as Django's runserver."""
    import functools

    handled = module.BaseHandler.run
    module.BaseHandler.run = functools.wraps(handled)(_serving(handled, integration("wsgi")))


def _made(kind, name, attribute, traced):
    """Has the application that a server, or what it has around one, is made with be traced."""

    def made(server, _):
        setattr(server, attribute, traced(getattr(server, attribute)))

    kind.__init__ = Wrapped(name, kind.__init__, lambda self, *_, **__: self, made)


def _of_wsgi(kind, attribute):
    wsgi = integration("wsgi")
    _made(kind, "wsgi", attribute, lambda application: _wsgi_application(wsgi, application))


def _of_asgi(kind, attribute):
    asgi = integration("asgi")
    _made(kind, "asgi", attribute, lambda application: _asgi_application(asgi, application))


def werkzeug_imported(module):
    """`werkzeug.serving` has been imported: the server of `flask run`."""
    _of_wsgi(module.BaseWSGIServer, "app")


def gevent_imported(module):
    """`gevent.pywsgi` has been imported."""
    _of_wsgi(module.WSGIServer, "application")


def waitress_imported(module):
    """`waitress.server` has been imported."""
    _of_wsgi(module.BaseWSGIServer, "application")


def hypercorn_imported(module):
    """`hypercorn.app_wrappers` has been imported."""
    _of_asgi(module.ASGIWrapper, "app")


def hypercorn_wsgi_imported(module):
    """`hypercorn.utils` has been imported, which serves applications of WSGI as well."""
    # Before 0.14 it served none.
    if hasattr(module, "WSGIWrapper"):
        _of_wsgi(module.WSGIWrapper, "app")
        wrappers = sys.modules[module.WSGIWrapper.__module__]
        # It tells the application no port.
        if hasattr(wrappers, "_build_environ"):
            wrappers._build_environ = Wrapped(
                "wsgi",
                wrappers._build_environ,
                lambda scope, *_: scope.get("client"),
                lambda client, environ: _note_connected(environ, client),
            )


def daphne_imported(module):
    """`daphne.server` has been imported."""
    _of_asgi(module.Server, "application")
    create = module.Server.create_application

    def connected(server, protocol, scope):
        # Twisted's address of whoever is connected; the scope has what a proxy says.
        client = getattr(protocol, "client", None)
        if hasattr(client, "host") and hasattr(client, "port"):
            _note_connected(scope, (str(client.host), client.port))

    module.Server.create_application = Wrapped("asgi", create, connected)


def tornado_imported(module):
    """`tornado.wsgi` has been imported."""
    container = module.WSGIContainer
    _of_wsgi(container, "wsgi_application")
    is_static = isinstance(vars(container)["environ"], staticmethod)

    def environ(connected, environ):
        # It tells the application no port, and the address that a proxy says.
        _note_connected(environ, connected)

    made = Wrapped("wsgi", container.environ, lambda *given: _tornado_peer(given[-1]), environ)
    container.environ = staticmethod(made) if is_static else made


def _tornado_peer(request):
    context = getattr(request.connection, "context", None)
    return getattr(context, "address", None)


def gunicorn_asgi_imported(module):
    """`gunicorn.workers.gasgi` has been imported."""
    asgi = integration("asgi")

    def loaded(worker, _):
        worker.asgi = _asgi_application(asgi, worker.asgi)

    module.ASGIWorker.load_wsgi = Wrapped("asgi", module.ASGIWorker.load_wsgi, lambda worker: worker, loaded)


def uvicorn_imported(module):
    """`uvicorn.config` has been imported."""
    asgi = integration("asgi")

    def loaded(config, _):
        config.loaded_app = _asgi_application(asgi, config.loaded_app)

    module.Config.load = Wrapped("asgi", module.Config.load, lambda config: config, loaded)
