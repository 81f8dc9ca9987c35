"""psycopg: each statement is a span, and so is the end of a transaction."""

import itertools

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
    if composed is not None:
        return composed(near)
    return "".join(_parts(statement, near, itertools.count(1))) if _is_template(statement) else ""


def _is_template(statement):
    # Before Python 3.14 there are none, and no module of that name.
    return type(statement).__module__ == "string.templatelib"


def _parts(template, near, numbers):
    """The text of a template as it is sent: its values go as parameters, or are hidden."""
    for part in template:
        value = part if isinstance(part, str) else part.value
        if part is value:
            yield part
        elif _is_template(value):
            yield from _parts(value, near, numbers)
        elif hasattr(value, "as_string"):
            yield value.as_string(near)
        elif part.format_spec == "i" and isinstance(value, str):
            yield '"%s"' % value.replace('"', '""')
        else:
            yield "?" if part.format_spec == "l" else "$%d" % next(numbers)


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


def server_cursors_imported(module):
    """`psycopg.server_cursor` has been imported, which has both before 3.2."""
    server_cursor_imported(module)
    async_server_cursor_imported(module)


def connection_imported(module):
    """`psycopg.connection` has been imported."""
    for name, begin in _dbapi.ends(integration("psycopg"), "postgresql", place).items():
        setattr(module.Connection, name, Wrapped("psycopg", getattr(module.Connection, name), begin))


def async_connection_imported(module):
    """`psycopg.connection_async` has been imported."""
    for name, begin in _dbapi.ends(integration("psycopg"), "postgresql", place).items():
        setattr(module.AsyncConnection, name, _aio.traced("psycopg", getattr(module.AsyncConnection, name), begin))
