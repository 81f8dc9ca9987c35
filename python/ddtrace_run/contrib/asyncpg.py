"""asyncpg: each statement is a span."""

from ddtrace_run.contrib import _aio, _dbapi
from ddtrace_run.contrib._dbapi import told_of_elsewhere
from ddtrace_run.integrations import integration


def _place(connection):
    """Database, host and port; of a Unix socket its directory."""
    address = connection._addr
    host, port = address[:2] if isinstance(address, tuple) else (address.rpartition("/")[0], None)
    return (connection._params.database, host, port)


def _put(kind, names, begin):
    for name in names:
        # Some came with later releases.
        if name in vars(kind):
            setattr(kind, name, _aio.traced("asyncpg", vars(kind)[name], begin))


def connection_imported(module):
    """`asyncpg.connection` has been imported."""
    asyncpg = integration("asyncpg")

    def begin(connection, query, *_, **__):
        if id(connection) in told_of_elsewhere:
            return None
        return asyncpg.executes("postgresql", query, _place(connection))

    def begin_many(connection, query, batch, *_, **__):
        if id(connection) in told_of_elsewhere:
            return None
        return asyncpg.executes("postgresql", query, _place(connection), _dbapi.size_of(batch))

    _put(module.Connection, ["execute", "_execute"], begin)
    _put(module.Connection, ["_executemany"], begin_many)


def prepared_imported(module):
    """`asyncpg.prepared_stmt` has been imported."""
    asyncpg = integration("asyncpg")

    def begin(statement, *_, **__):
        if id(statement._connection) in told_of_elsewhere:
            return None
        return asyncpg.executes("postgresql", statement._query, _place(statement._connection))

    def begin_many(statement, batch, *_, **__):
        if id(statement._connection) in told_of_elsewhere:
            return None
        return asyncpg.executes("postgresql", statement._query, _place(statement._connection), _dbapi.size_of(batch))

    _put(module.PreparedStatement, ["_PreparedStatement__bind_execute"], begin)
    _put(module.PreparedStatement, ["executemany", "fetchmany"], begin_many)


def cursor_imported(module):
    """`asyncpg.cursor` has been imported: a cursor's statement is executed when it is bound, whatever is fetched later."""
    asyncpg = integration("asyncpg")

    def begin(cursor, *_, **__):
        if id(cursor._connection) in told_of_elsewhere:
            return None
        return asyncpg.executes("postgresql", cursor._query, _place(cursor._connection))

    _put(module.BaseCursor, ["_bind_exec", "_bind"], begin)
