"""Which integrations there are, and which are wanted: what the environment and `ddtrace.patch` steer."""

import os
import sys

#: The names that Datadog's tracer knows: `patch` refuses all others.
_KNOWN = frozenset(
    """
    aiobotocore aiohttp aiohttp_jinja2 aiokafka aiomysql aiopg algoliasearch anthropic anyio aredis asyncio asyncpg avro
    aws_durable_execution_sdk_python aws_lambda azure_cosmos azure_durable_functions azure_eventhubs azure_functions
    azure_servicebus boto botocore bottle celery claude_agent_sdk consul coverage crewai ddtrace_api django dogpile_cache
    dramatiq elasticsearch falcon fastapi flask futures gevent google_adk google_cloud_pubsub google_genai graphql grpc
    httplib httpx httpx2 jinja2 kafka kombu langchain langgraph litellm llama_index logbook logging loguru mako mariadb
    mcp mistralai molten mysql mysqldb openai openai_agents psycopg pydantic_ai pylibmc pymemcache pymongo pymysql
    pynamodb pyodbc pyramid pytest ray redis rediscluster requests rq sanic selenium snowflake sqlalchemy sqlite3
    starlette structlog subprocess tornado trio unittest urllib3 valkey vertexai vertica vllm webbrowser yaaredis
    """.split()
)

#: Beside those, what has settings: parts of them, and what programs put in by hand.
_HAVE_SETTINGS = frozenset(
    """
    aiohttp_client asgi cherrypy dbapi2 flask_cache genai grpc_aio_client grpc_aio_server grpc_client grpc_server mlflow
    protobuf pytest_bdd pytorch rq_worker sqlite test_visibility wsgi
    """.split()
)

#: What the program has said about them.
_wanted = {}

#: Of those that are there: what each makes its spans with, by its name.
_there = {}

#: What is called where an integration that was not wanted becomes so: the modules that were imported meanwhile.
_waiting = []

#: Under which names others know an integration, beside its own: mostly Datadog's tracer.
_OTHER_NAME = {"aiohttp_client": "aiohttp", "httplib": "urllib", "psycopg2": "psycopg", "sqlite": "sqlite3"}

#: How the instrumentation of OpenTelemetry is called, where it is not called the same.
_OTEL_NAMES = {"aiohttp": "aiohttp-server", "aiohttp_client": "aiohttp-client", "httplib": "urllib", "sqlite": "sqlite3"}

#: What connections tell that is left to an integration, be it on or off, where they are looked at only for what nobody else knows.
_LEFT = {
    "aiohttp": "requests",
    "asgi": "requests",
    "asyncpg": "postgresql",
    "django": "requests",
    "fastapi": "requests",
    "flask": "requests",
    "psycopg": "postgresql",
    "redis": "redis",
    "starlette": "requests",
    "wsgi": "requests",
}

#: The same where an integration is off, or writes no context by which its requests would be known.
_LEFT_IF_OFF = {
    "aiohttp_client": "http",
    "httplib": "http",
    "httpx": "http",
    "psycopg2": "postgresql",
    "requests": "http",
    "urllib3": "http",
}

#: Under which names Datadog's tracer knows libraries for which only OpenTelemetry has instrumentations.
_DATADOG_NAMES = {
    "boto3sqs": "botocore",
    "confluent_kafka": "kafka",
    "grpc_aio_client": "grpc",
    "grpc_aio_server": "grpc",
    "grpc_client": "grpc",
    "grpc_server": "grpc",
    "mysqlclient": "mysqldb",
    "openai_v2": "openai",
    "threading": "futures",
}


def is_known(name):
    """Whether there can be an integration of that name: one that Datadog's tracer has, or one of ours."""
    from ddtrace_run import _finder

    return name in _KNOWN or any(name in _names(own) for own, _ in _finder._TRACED.values())


def has_settings(name):
    """Whether `ddtrace.config` has settings of that name."""
    return name in _KNOWN or name in _HAVE_SETTINGS


def switch(wanted):
    """Takes note of what is on and what is off."""
    _wanted.update(wanted)
    for name, integration in _there.items():
        integration.switch(is_on(name))
        _leave(name)
    left = _waiting[:]
    _waiting.clear()
    for module, name, contrib in left:
        _begin(module, name, contrib)


def is_wanted(name, default=True):
    """Whether the program wants an integration, as far as it has said so."""
    return _wanted.get(name, default)


def _names(name):
    return (name, _OTHER_NAME[name]) if name in _OTHER_NAME else (name,)


def _otel_name(name):
    return _OTEL_NAMES.get(name, name)


def _truth(text, variable=None):
    """Whether a value is true, as Datadog's settings are: what is neither true nor 1 is false. One that was probably meant
    otherwise is told of. None where there is none."""
    word = text.strip().lower()
    if word not in ("", "true", "1", "false", "0") and variable is not None:
        _complain(variable, text.strip())
    return word in ("true", "1") if word else None


#: What has been told of: settings are looked at more than once.
_complained = set()


def _complain(variable, text):
    if (variable, text) not in _complained:
        from ddtrace_run._note import note

        _complained.add((variable, text))
        note("%s: %r is neither true, 1, false nor 0; it counts as false" % (variable, text))


def _variable(name, what):
    """A variable of an integration, such as `DD_TRACE_FLASK_ENABLED`, under any of its names."""
    for each in _names(name):
        text = os.environ.get(what % each.upper())
        if text is not None:
            return text
    return None


def is_on(name):
    """Whether an integration is wanted: the program's word, that of its own variable, that of the lists, else it is."""
    names = _names(name)
    for each in names:
        if each in _wanted:
            return _wanted[each]
    said = _said(names)
    if said is not None:
        return said[0]
    disabled = [each.strip() for each in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")]
    return not {"*", _otel_name(name), *names}.intersection(disabled)


def _said(names):
    """What Datadog's variables say of an integration, and which of them does; None where they say nothing."""
    for each in names:
        variable = "DD_TRACE_%s_ENABLED" % each.upper()
        text = os.environ.get(variable, "")
        wanted = _truth(text, variable)
        if wanted is not None:
            return wanted, "%s=%s" % (variable, text.strip())
    for item in os.environ.get("DD_PATCH_MODULES", "").split(","):
        each, _, text = item.partition(":")
        wanted = _truth(text, "DD_PATCH_MODULES") if each.strip() in names else None
        if wanted is not None:
            return wanted, "DD_PATCH_MODULES=%s" % item.strip()
    return None


def refusal(instrumentation):
    """What says, in Datadog's words, that an instrumentation of OpenTelemetry is not wanted; None where nothing does."""
    own = instrumentation.replace("-", "_")
    names = [name for name, other in _OTEL_NAMES.items() if other == instrumentation] or [own]
    names = [each for name in names for each in _names(name)] + [name for name in (_DATADOG_NAMES.get(own),) if name]
    for each in names:
        if each in _wanted:
            return None if _wanted[each] else "patch(%s=False)" % each
    said = _said(names)
    return None if said is None or said[0] else said[1]


_instrumentations = None


def has_otel_instrumentation(name):
    """Whether an instrumentation of OpenTelemetry for a library is installed: that one traces it then."""
    global _instrumentations
    if _instrumentations is None:
        found = set()
        for entry in sys.path:
            try:
                for file in os.listdir(entry or "."):
                    if file.startswith("opentelemetry_instrumentation_") and file.endswith((".dist-info", ".egg-info")):
                        found.add(file[len("opentelemetry_instrumentation_") :].partition("-")[0].replace("_", "-"))
            except OSError:
                pass
        _instrumentations = found
    return _otel_name(name) in _instrumentations


def imported(module):
    """A module of a library that can be traced has been imported."""
    from ddtrace_run import _finder, _native

    name, contrib = _finder._TRACED[module.__spec__.name]
    # Where spans go nowhere for another reason than that they are not wanted, nothing needs to be in between.
    if _finder.real_ddtrace() is not None or _native.is_absent():
        return
    _leave(name)
    if name == "fastapi":
        from ddtrace_run.contrib import starlette

        starlette.fastapi_is_there(module)
    # Of servers it is their applications that say whose they are.
    if name not in ("wsgi", "asgi") and _native.otel_mode() != "false" and has_otel_instrumentation(name):
        return
    _begin(module, name, contrib)


def instrumentation_imported(module):
    """The instrumentation of OpenTelemetry for a library has been imported, by whom it is for to say."""
    from ddtrace_run import _finder, _native

    _native.leave(_finder._INSTRUMENTED[module.__spec__.name])


def _leave(name):
    """What a library does is for its integration to tell, or not to: connections tell no more of it than is asked for by name."""
    from ddtrace_run import _native

    left = _LEFT.get(name)
    if left == "requests" and is_on(name):
        # Whoever imports it need not serve by it: it says so with the first request that it has.
        return
    if left is None and not (is_on(name) and _is_distributed(name)):
        left = _LEFT_IF_OFF.get(name)
    if left is not None:
        _native.leave(left)


def _begin(module, name, contrib):
    if not is_on(name):
        _waiting.append((module, name, contrib))
        return
    where, _, function = contrib.partition(":")
    getattr(__import__("ddtrace_run.contrib." + where, fromlist=["*"]), function or "imported")(module)


def _is_distributed(name):
    said = _variable(name, "DD_%s_DISTRIBUTED_TRACING") or _variable(name, "DD_TRACE_%s_DISTRIBUTED_TRACING")
    return _truth(said or "") is not False


def integration(name, component=None):
    """What makes the spans of an integration, the same for all modules of a library."""
    from ddtrace_run import _native

    made = _there.get(name)
    if made is None:
        service = _variable(name, "DD_%s_SERVICE") or _variable(name, "DD_%s_SERVICE_NAME")
        made = _native.Integration(component or name, service, _is_distributed(name))
        made = _there.setdefault(name, made)
    return made


def ddtrace_imported(module):
    """`ddtrace` has been imported: if it is Datadog's own, that one traces, and ours has to stop."""
    from ddtrace_run import _finder

    if not _finder.is_lent(module):
        from ddtrace_run import _native

        _native.stop_integrations()
        _native.leave("all")
