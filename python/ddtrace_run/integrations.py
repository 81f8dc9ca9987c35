"""Which integrations there are, and which are wanted: what `ddtrace.patch` steers."""

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


def is_known(name):
    """Whether there can be an integration of that name."""
    return name in _KNOWN


def has_settings(name):
    """Whether `ddtrace.config` has settings of that name."""
    return name in _KNOWN or name in _HAVE_SETTINGS


def switch(wanted):
    """Takes note of what is on and what is off."""
    _wanted.update(wanted)


def is_wanted(name, default=True):
    """Whether the program wants an integration, as far as it has said so."""
    return _wanted.get(name, default)
