"""PyMySQL: each statement is a span, and so is the end of a transaction."""

from ddtrace_run._native import Wrapped
from ddtrace_run.contrib import _dbapi
from ddtrace_run.contrib._dbapi import told_of_elsewhere
from ddtrace_run.integrations import integration


def _place(connection):
    if connection is None:
        return (None, None, None)
    database = connection.db
    if isinstance(database, bytes):
        database = database.decode("utf-8", "replace")
    socket = getattr(connection, "unix_socket", None)
    return (database, socket, None) if socket else (database, connection.host, connection.port)


def imported(module):
    """`pymysql.cursors` has been imported."""
    pymysql = integration("pymysql")

    def begin(cursor, query, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        return pymysql.executes("mysql", query, _place(cursor.connection))

    def begin_many(cursor, query, args, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        return pymysql.executes("mysql", query, _place(cursor.connection), _dbapi.size_of(args))

    def begin_call(cursor, procname, *_, **__):
        return _dbapi.calls(pymysql, "mysql", procname, _place(cursor.connection))

    cursor = module.Cursor
    cursor.execute = Wrapped("pymysql", cursor.execute, begin)
    cursor.executemany = Wrapped("pymysql", cursor.executemany, begin_many)
    cursor.callproc = Wrapped("pymysql", cursor.callproc, begin_call)


def connections_imported(module):
    """`pymysql.connections` has been imported."""
    connection = module.Connection
    for name, begin in _dbapi.ends(integration("pymysql"), "mysql", _place).items():
        setattr(connection, name, Wrapped("pymysql", getattr(connection, name), begin))
