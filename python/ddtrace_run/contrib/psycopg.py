"""psycopg: each statement is a span, and so is the end of a transaction."""

from ddtrace_run._native import Wrapped
from ddtrace_run.contrib import _aio, _dbapi
from ddtrace_run.contrib._dbapi import told_of_elsewhere
from ddtrace_run.integrations import integration

_NOWHERE = (None, None, None)


def place(connection):
    """Database, host and port; nothing of a connection that is closed."""
    try:
        info = connection.info
        return (info.dbname, info.host, info.port)
    except Exception:
        return _NOWHERE


def text(statement, near):
    """The text of a statement that may be composed."""
    if isinstance(statement, (str, bytes)):
        return statement
    composed = getattr(statement, "as_string", None)
    return "" if composed is None else composed(near)


def _begins():
    psycopg = integration("psycopg")

    def begin(cursor, query, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        return psycopg.executes("postgresql", text(query, cursor), place(cursor.connection))

    def begin_many(cursor, query, batch, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        return psycopg.executes("postgresql", text(query, cursor), place(cursor.connection), _dbapi.size_of(batch))

    return begin, begin_many


def cursor_imported(module):
    """`psycopg.cursor` has been imported."""
    begin, begin_many = _begins()
    cursor = module.Cursor
    cursor.execute = Wrapped("psycopg", cursor.execute, begin)
    cursor.executemany = Wrapped("psycopg", cursor.executemany, begin_many)


def async_cursor_imported(module):
    """`psycopg.cursor_async` has been imported."""
    begin, begin_many = _begins()
    cursor = module.AsyncCursor
    cursor.execute = _aio.traced("psycopg", cursor.execute, begin)
    cursor.executemany = _aio.traced("psycopg", cursor.executemany, begin_many)


def server_cursor_imported(module):
    """`psycopg._server_cursor` has been imported, whose cursors have an `execute` of their own."""
    begin, _ = _begins()
    module.ServerCursor.execute = Wrapped("psycopg", module.ServerCursor.execute, begin)


def async_server_cursor_imported(module):
    """`psycopg._server_cursor_async` has been imported."""
    begin, _ = _begins()
    module.AsyncServerCursor.execute = _aio.traced("psycopg", module.AsyncServerCursor.execute, begin)


def connection_imported(module):
    """`psycopg.connection` has been imported."""
    for name, begin in _dbapi.ends(integration("psycopg"), "postgresql", place).items():
        setattr(module.Connection, name, Wrapped("psycopg", getattr(module.Connection, name), begin))


def async_connection_imported(module):
    """`psycopg.connection_async` has been imported."""
    for name, begin in _dbapi.ends(integration("psycopg"), "postgresql", place).items():
        setattr(module.AsyncConnection, name, _aio.traced("psycopg", getattr(module.AsyncConnection, name), begin))
