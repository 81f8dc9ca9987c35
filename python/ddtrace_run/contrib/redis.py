"""redis: each command is a span, and so is each pipeline."""

from ddtrace_run._native import Wrapped
from ddtrace_run.contrib import _aio
from ddtrace_run.integrations import integration


def _place(client):
    named = client.connection_pool.connection_kwargs
    database, path = str(named.get("db") or 0), named.get("path")
    return (database, path, None) if path else (database, named.get("host"), int(named.get("port") or 0) or None)


def _begins():
    redis = integration("redis")

    def begin(client, *args, **_):
        return redis.commands([args], _place(client))

    def begin_pipeline(pipeline, *_, **__):
        # Commands and their options.
        commands = [tuple(command[0]) for command in pipeline.command_stack]
        is_transaction = getattr(pipeline, "transaction", None)
        if not isinstance(is_transaction, bool):
            is_transaction = bool(getattr(pipeline, "is_transaction", False))
        return redis.commands(commands, _place(pipeline), is_transaction or pipeline.explicit_transaction)

    return begin, begin_pipeline


def imported(module):
    """`redis.client` has been imported."""
    begin, begin_pipeline = _begins()
    client, pipeline = module.Redis, module.Pipeline
    client.execute_command = Wrapped("redis", client.execute_command, begin)
    pipeline.immediate_execute_command = Wrapped("redis", pipeline.immediate_execute_command, begin)
    pipeline.execute = Wrapped("redis", pipeline.execute, begin_pipeline)


def async_imported(module):
    """`redis.asyncio.client` has been imported."""
    begin, begin_pipeline = _begins()
    client, pipeline = module.Redis, module.Pipeline
    client.execute_command = _aio.traced("redis", client.execute_command, begin)
    pipeline.immediate_execute_command = _aio.traced("redis", pipeline.immediate_execute_command, begin)
    pipeline.execute = _aio.traced("redis", pipeline.execute, begin_pipeline)
