"""When each instrumentation of OpenTelemetry is loaded: as its library has been imported, or is used for the first time."""

import sys

from ddtrace_run import _finder

#: What is imported by whom the instrumentations are for, where it is not what they are called.
_LIBRARIES = {
    "aiohttp_client": "aiohttp",
    "aiohttp_server": "aiohttp.web",
    "boto3sqs": "boto3",
    # Its command imports the package, and patches for `-P gevent` or `-P eventlet` then.
    "celery": "celery.app",
    "mysql": "mysql.connector",
    "mysqlclient": "MySQLdb",
    "openai_v2": "openai",
    "system_metrics": "psutil",
    # Threads take along what is active, and nothing is as long as nobody uses the API.
    "threading": "opentelemetry.trace",
    "tortoiseorm": "tortoise",
    "urllib": "urllib.request",
}

#: Those that are called as their libraries are.
_CALLED_LIKE_LIBRARIES = frozenset(
    """
    aio_pika aiobotocore aiokafka aiopg asyncclick asyncio asyncpg boto botocore cassandra click confluent_kafka
    elasticsearch falcon fastapi flask grpc httpx httpx2 jinja2 kafka pika psycopg psycopg2 pymemcache pymongo pymssql pymysql
    pyramid redis remoulade requests sqlalchemy sqlite3 starlette structlog tornado urllib3 vertexai
    """.split()
)


def call_when_used(kind, load):
    """Has an instrumentation loaded in time, by what it is called: now where nothing is known of its library."""
    library = kind if kind in _CALLED_LIKE_LIBRARIES else _LIBRARIES.get(kind)
    if kind == "django":
        _when_django_serves(load)
    elif library is None:
        load()
    elif kind == "starlette":
        _finder.call_when_imported(library, lambda module: _after_fastapi(load))
    else:
        _finder.call_when_imported(library, lambda module: _with_the_api(load))


def _with_the_api(load, ready=None):
    """Loads what needs the API, which may be in the midst of its own import, and have caused that of the library."""
    for name, module in list(sys.modules.items()):
        if name.startswith("opentelemetry.") and name != ready:
            if getattr(getattr(module, "__spec__", None), "_initializing", False):
                _finder.call_when_ready(name, lambda module: _with_the_api(load, name))
                return
    if _is_gevent_patching():
        _when_gevent_has_patched(load)
    else:
        load()


def _is_gevent_patching():
    """Whether this is called from within `gevent.monkey.patch_all()`: it looks at all objects, and some of Celery's stand for
    what is imported when somebody looks at them. What an instrumentation would import now would never know of the patch: a
    worker waits for messages without letting anybody else work then."""
    frame = sys._getframe() if "gevent.monkey" in sys.modules else None
    while frame is not None:
        if frame.f_code.co_name == "patch_all" and frame.f_globals.get("__name__") == "gevent.monkey":
            return True
        frame = frame.f_back
    return False


def _when_gevent_has_patched(load):
    from gevent import events

    def told(event):
        # It stays in the list, which is being gone through.
        if waiting and isinstance(event, events.GeventDidPatchAllEvent):
            waiting.pop()()

    waiting = [load]
    events.subscribers.append(told)


def _after_fastapi(load):
    """FastAPI's class is derived from Starlette's, and not to be from the one that the instrumentation of that puts into its
    place: requests would be seen by both."""
    if _finder.is_awaited("fastapi"):
        if "fastapi" in sys.modules:
            _finder.call_when_ready("fastapi", lambda module: _with_the_api(load))
            return
        try:
            __import__("fastapi")
        except Exception as error:
            from ddtrace_run._errors import is_of_a_signal

            if is_of_a_signal(error.__traceback__):
                raise
    _with_the_api(load)


def _when_django_serves(load):
    """Django's instrumentation puts a middleware into the settings. Read at the start they would be imported before the
    program, and where `manage.py` is to say which ones there would be none, for good; so it is loaded when Django makes its
    chain of middlewares."""

    def imported(module):
        handler = module.BaseHandler
        original = handler.load_middleware

        def load_middleware(self, *args, **kwargs):
            if handler.load_middleware is load_middleware:
                handler.load_middleware = original
                load()
            return original(self, *args, **kwargs)

        handler.load_middleware = load_middleware

    _finder.call_when_imported("django.core.handlers.base", imported)
