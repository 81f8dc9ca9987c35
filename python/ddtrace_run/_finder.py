"""What of ours takes part in imports: names that are lent where nothing installed has them, and words when a module of
interest has been imported. Nothing is imported before the program does it.
"""

import _imp
import os
import sys

_PACKAGE = os.path.dirname(__file__)

#: Where the modules are that go by the names of others.
_COMPAT = os.path.join(_PACKAGE, "compat")

#: The names that are lent, and where they are. Our own is among them, for programs that tidy up `sys.modules`.
_LENT = {
    "ddtrace": _COMPAT,
    "ddtrace_api": _COMPAT,
    "dd_trace_api": _COMPAT,
    "ddtrace_run": os.path.dirname(_PACKAGE),
}

#: What is called when a module has been imported: its name, then module and function, which gets the imported module.
_CALLED = {
    "opentelemetry.trace": "ddtrace_run.otel:imported",
    "opentelemetry.propagate": "ddtrace_run.otel:propagate_imported",
    "opentelemetry.instrumentation.sqlalchemy.engine": "ddtrace_run.contrib.sqlalchemy:imported",
    "ddtrace_api": "ddtrace_run._ddtrace_api:imported",
    "anyio._backends._asyncio": "ddtrace_run.contrib.anyio:imported",
    "asyncio.base_events": "ddtrace_run._finder:hand_on_to_tasks",
    "uvloop": "ddtrace_run._finder:hand_on_to_tasks",
    "concurrent.futures.thread": "ddtrace_run._finder:hand_on_in_pools",
    "eventlet.greenthread": "ddtrace_run._finder:has_greenlets",
    "gevent.greenlet": "ddtrace_run._finder:hand_on_to_greenlets",
    "logging": "ddtrace_run.contrib.logging:imported",
    "loguru": "ddtrace_run.contrib.loguru:imported",
    "structlog": "ddtrace_run.contrib.structlog:imported",
    "ddtrace": "ddtrace_run.integrations:ddtrace_imported",
}

#: The same, of what is asked for while the program runs: the name of a module, and functions.
_ALSO_CALLED = {}

#: The modules of libraries that can be traced: the integration's name, and where it is in `ddtrace_run.contrib`.
_TRACED = {
    "aiohttp.client": ("aiohttp_client", "aiohttp:client_imported"),
    "aiohttp.web_app": ("aiohttp", "aiohttp:server_imported"),
    "asyncpg.connection": ("asyncpg", "asyncpg:connection_imported"),
    "asyncpg.cursor": ("asyncpg", "asyncpg:cursor_imported"),
    "asyncpg.prepared_stmt": ("asyncpg", "asyncpg:prepared_imported"),
    "daphne.server": ("asgi", "servers:daphne_imported"),
    "django.core.handlers.asgi": ("django", "django:asgi_imported"),
    "django.core.handlers.base": ("django", "django:base_imported"),
    "django.core.handlers.exception": ("django", "django:exception_imported"),
    "django.core.handlers.wsgi": ("django", "django:wsgi_imported"),
    "fastapi.applications": ("fastapi", "starlette:fastapi_imported"),
    "flask.app": ("flask", "flask"),
    "gunicorn.workers.base": ("wsgi", "servers:gunicorn_imported"),
    "gunicorn.workers.gasgi": ("asgi", "servers:gunicorn_asgi_imported"),
    "gevent.pywsgi": ("wsgi", "servers:gevent_imported"),
    "http.client": ("httplib", "httplib"),
    "httpx._client": ("httpx", "httpx:client_imported"),
    "httpx._transports.default": ("httpx", "httpx"),
    "hypercorn.app_wrappers": ("asgi", "servers:hypercorn_imported"),
    "hypercorn.utils": ("wsgi", "servers:hypercorn_wsgi_imported"),
    "jinja2.environment": ("jinja2", "jinja2"),
    "psycopg._server_cursor": ("psycopg", "psycopg:server_cursor_imported"),
    "psycopg._server_cursor_async": ("psycopg", "psycopg:async_server_cursor_imported"),
    "psycopg.connection": ("psycopg", "psycopg:connection_imported"),
    "psycopg.connection_async": ("psycopg", "psycopg:async_connection_imported"),
    "psycopg.cursor": ("psycopg", "psycopg:cursor_imported"),
    "psycopg.cursor_async": ("psycopg", "psycopg:async_cursor_imported"),
    "psycopg.server_cursor": ("psycopg", "psycopg:server_cursors_imported"),
    "psycopg2": ("psycopg2", "psycopg2"),
    "pymysql.connections": ("pymysql", "pymysql:connections_imported"),
    "pymysql.cursors": ("pymysql", "pymysql"),
    "redis.asyncio.client": ("redis", "redis:async_imported"),
    "redis.client": ("redis", "redis:imported"),
    "requests.adapters": ("requests", "requests"),
    "requests.sessions": ("requests", "requests:sessions_imported"),
    "sqlite3.dbapi2": ("sqlite", "sqlite3"),
    "starlette.applications": ("starlette", "starlette:applications_imported"),
    "starlette.background": ("starlette", "starlette:background_imported"),
    "starlette.routing": ("starlette", "starlette:routing_imported"),
    "tornado.wsgi": ("wsgi", "servers:tornado_imported"),
    "urllib3.connectionpool": ("urllib3", "urllib3"),
    "uvicorn.config": ("asgi", "servers:uvicorn_imported"),
    "waitress.server": ("wsgi", "servers:waitress_imported"),
    "werkzeug.serving": ("wsgi", "servers:werkzeug_imported"),
    "wsgiref.handlers": ("wsgi", "servers:wsgiref_imported"),
}
_CALLED.update(dict.fromkeys(_TRACED, "ddtrace_run.integrations:imported"))

#: Instrumentations of OpenTelemetry, whoever loads them, and what connections tell nothing more of then.
_INSTRUMENTED = {
    "requests": "aiohttp_server asgi django falcon fastapi flask pyramid starlette tornado wsgi",
    "postgresql": "aiopg asyncpg dbapi psycopg psycopg2 sqlalchemy tortoiseorm",
    "redis": "redis",
}
_INSTRUMENTED = {
    "opentelemetry.instrumentation." + name: what for what, names in _INSTRUMENTED.items() for name in names.split()
}
_CALLED.update(dict.fromkeys(_INSTRUMENTED, "ddtrace_run.integrations:instrumentation_imported"))


def install():
    """Takes part in imports from now on. Once is enough, and in a sub-interpreter nothing is done."""
    if _provider() == "none" or not is_main_interpreter() or any(type(f) is _Lender for f in sys.meta_path):
        return
    lender = _Lender()
    if _provider() == "ddtrace-run":
        sys.meta_path.insert(0, lender)
    else:
        sys.meta_path.append(lender)
    if _CALLED:
        sys.meta_path.insert(0, _Watcher())
    for name in _CALLED:
        if name in sys.modules:
            _call(name, sys.modules[name])
    # Instrumentations of OpenTelemetry are loaded by what is in this package, so that there are none where it is not: all
    # that it costs then to find that out.
    if any(os.path.isdir(entry + "/opentelemetry/instrumentation") for entry in sys.path):
        _guarded("OpenTelemetry's instrumentations", _load_instrumentations)


def _load_instrumentations():
    from ddtrace_run import _instrumentations

    _instrumentations.load()


def call_when_imported(name, function):
    """Has a function called with a module when that is imported, or now."""
    if name in sys.modules:
        function(sys.modules[name])
    else:
        call_when_ready(name, function)


def call_when_ready(name, function):
    """The same for one that is being imported, and that was known to be of interest before."""
    _ALSO_CALLED.setdefault(name, []).append(function)


def is_awaited(name):
    """Whether something is to be called when a module is ready."""
    return name in _ALSO_CALLED


def _is_of_interest(name):
    # What is loaded for a library may have to wait for any part of the API.
    return name in _CALLED or name in _ALSO_CALLED or (bool(_ALSO_CALLED) and name.startswith("opentelemetry."))


def is_lent(module):
    """Whether a module is one of ours that goes by the name of another."""
    spec = getattr(module, "__spec__", None)
    return (getattr(spec, "origin", None) or "").startswith(_COMPAT + os.sep)


def real_ddtrace():
    """Datadog's own `ddtrace`, if the program has imported it: it traces then, and nothing may be recorded twice."""
    module = sys.modules.get("ddtrace")
    return None if module is None or is_lent(module) else module


def _provider():
    return os.environ.get("DD_TRACE_PYTHON_PROVIDER", "").strip().lower()


def is_main_interpreter():
    import _signal

    try:
        # It refuses in any case: at first those who may never set a handler, then the signal that there is not.
        _signal.signal(0, 0)
    except ValueError as refusal:
        return "main" not in str(refusal)
    return True


def _note(text):
    from ddtrace_run._note import note

    note(text)


def _found_by_others(itself, name, path, target):
    for finder in list(sys.meta_path):
        if finder is not itself and type(finder) is not _Watcher and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def _find_ours(name, path):
    """Finds a module of ours, whose code is of no file: measures of coverage leave alone what has none, as debuggers do."""
    from _frozen_importlib_external import PathFinder, SourceFileLoader

    class Loader(SourceFileLoader):
        def get_code(self, fullname):
            code = super().get_code(fullname)
            _imp._fix_co_filename(code, "<frozen %s>" % fullname)
            return code

    spec = PathFinder.find_spec(name, path)
    if spec is not None and type(spec.loader) is SourceFileLoader:
        spec.loader = Loader(spec.loader.name, spec.loader.path)
        if name.startswith("ddtrace_run.contrib"):
            # Nor do the modules have one that run while a program imports what is its own.
            spec.has_location = False
    return spec


class _Lender:
    """Finds the names that are lent, behind all that is installed; or before it, where the user asked for that."""

    def find_spec(self, name, path=None, target=None):
        if name not in _LENT:
            return None
        if name == "ddtrace" and _provider() == "ddtrace-run":
            real = _found_by_others(self, name, path, target)
            if real is not None and real.origin is not None:
                _note(
                    "%s is installed, but `import ddtrace` gives the tracer of ddtrace-run, "
                    "as DD_TRACE_PYTHON_PROVIDER=ddtrace-run asks for" % os.path.dirname(real.origin)
                )
        return _find_ours(name, [_LENT[name]])

    def find_distributions(self, context=None):
        """What `importlib.metadata` says of `ddtrace`, to those who ask for it by name: its release is that of the API."""
        if getattr(context, "name", None) != "ddtrace":
            return []
        from ddtrace_run._distribution import Lent

        return [Lent()]


class _Watcher:
    """Lets all others find a module that something is to be called for, and calls it when the module is ready."""

    def find_spec(self, name, path=None, target=None):
        if name not in _LENT and not _is_of_interest(name):
            is_ours = path and name.partition(".")[0] in _LENT and str(next(iter(path), "")).startswith(_PACKAGE)
            return _find_ours(name, path) if is_ours else None
        spec = _found_by_others(self, name, path, target)
        if name in _LENT and spec is not None and spec.loader is None:
            # A directory of that name that is no package, such as one with the settings: installed ones win over it.
            spec = _find_ours(name, [_LENT[name]])
        if not _is_of_interest(name):
            return spec
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader:
    """Loads as the loader does that the module has before and after."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def exec_module(self, module):
        name = module.__spec__.name
        module.__spec__.loader = module.__loader__ = self._loader
        if name == "opentelemetry.propagate":
            _with_known_propagators(self._loader.exec_module, module)
        else:
            self._loader.exec_module(module)
        module = sys.modules.get(name, module)
        if name in _CALLED:
            _call(name, module)
        for function in _ALSO_CALLED.pop(name, ()):
            _guarded(name, lambda: function(module))


#: Whether OTEL_PROPAGATORS names styles that no package has brought.
has_missing_propagators = False


def _with_known_propagators(load, module):
    """Loads `opentelemetry.propagate`, which fails for a name in OTEL_PROPAGATORS that no package has brought. Such names are
    those of styles that ours knows, and it stands in as soon as the module is there.
    """
    named = os.environ.get("OTEL_PROPAGATORS")
    names = [name.strip() for name in (named or "").split(",") if name.strip()]
    builtin = ("tracecontext", "baggage", "none")
    if all(name in builtin for name in names):
        return load(module)
    from importlib import metadata

    try:
        brought = metadata.entry_points(group="opentelemetry_propagator")
    except TypeError:
        # Python 3.9.
        brought = metadata.entry_points().get("opentelemetry_propagator", ())
    brought = {point.name for point in brought}
    ours = ("datadog", "b3", "b3multi", "jaeger", "xray", "ottrace")
    known = [name for name in names if name in brought or name.lower() not in ours]
    if known == names:
        return load(module)
    global has_missing_propagators
    has_missing_propagators = True
    from ddtrace_run import _native

    # The configuration is read before the variable says something else.
    _native.otel_mode()
    os.environ["OTEL_PROPAGATORS"] = ",".join(known) or "tracecontext,baggage"
    try:
        load(module)
    finally:
        os.environ["OTEL_PROPAGATORS"] = named


#: What has been imported by the module that was to be told of it, and was not ready yet.
_LEFT = []


def catch_up(where):
    """A module that is told of imports is ready: of those that it has made itself, too."""
    left = [each for each in _LEFT if _CALLED[each[0]].startswith(where + ":")]
    for each in left:
        _LEFT.remove(each)
        _call(*each, is_ready=True)


def _call(name, module, is_ready=False):
    where, _, function = _CALLED[name].partition(":")
    if not is_ready and getattr(getattr(sys.modules.get(where), "__spec__", None), "_initializing", False):
        _LEFT.append((name, module))
        return
    _guarded(name, lambda: getattr(__import__(where, fromlist=["*"]), function)(module))


def _guarded(name, work):
    """Does something that the program is not to suffer from."""
    try:
        work()
    except Exception as error:
        from ddtrace_run._errors import is_of_a_signal

        if is_of_a_signal(error.__traceback__):
            raise
        _note("%s cannot be traced: %s: %s" % (name, type(error).__name__, error))


def hand_on_in_pools(module):
    """`concurrent.futures.thread` has been imported: work takes along what is active where it is handed in.

    What is called, what it is called with and who calls it stay what they are, and so do the tracebacks of what fails in it:
    `submit` is not touched, and what is put around the work leaves no frame.
    """
    import functools

    if os.environ.get("DD_TRACE_FUTURES_ENABLED", "").strip().lower() not in ("", "true", "1"):
        return
    item = module._WorkItem
    create = item.__init__

    @functools.wraps(create)
    def __init__(self, *args, **kwargs):
        create(self, *args, **kwargs)
        # As long as the program has used no API nothing is active.
        native = sys.modules.get("ddtrace_run._native")
        if native is not None:
            native.hand_on(self)

    _like_importlib(__init__)
    item.__init__ = __init__


def hand_on_to_tasks(module):
    """`asyncio.base_events` or `uvloop` has been imported: tasks know of which request they are, where connections are
    looked at.
    """
    # Else it is told of it when it is loaded: as long as the program has used no API there are no spans.
    native = sys.modules.get("ddtrace_run._native")
    if native is not None:
        native.hand_on_to_tasks(module)


def hand_on_to_greenlets(module):
    """`gevent.greenlet` has been imported: its greenlets take along what is active where they are made."""
    from ddtrace_run import _native

    _native.hand_on_to_greenlets(module.Greenlet)
    has_greenlets(module)


def has_greenlets(module):
    """Greenlets take turns on a thread, and whose work it does then cannot be told from outside: connections are left alone."""
    from ddtrace_run import _native

    _native.leave("all")


def _like_importlib(*functions):
    """Debuggers, profilers and measures of coverage take these for what they are, a part of the import system: as that of
    the interpreter itself they have no file, and the interpreter takes them out of the tracebacks of imports that fail.
    """
    for function in functions:
        # With all that is in it.
        _imp._fix_co_filename(function.__code__, "<frozen importlib._bootstrap>")


def _all_like_importlib():
    for each in list(globals().values()):
        functions = vars(each).values() if isinstance(each, type) else [each]
        _like_importlib(*(function for function in functions if type(function) is type(_like_importlib)))


_all_like_importlib()
del __file__
