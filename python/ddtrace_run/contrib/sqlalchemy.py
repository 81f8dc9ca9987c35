"""SQLAlchemy, where OpenTelemetry's instrumentation of it is at work: that one tells of what the engine executes, by spans that it
makes current nowhere, and so our integrations of the drivers leave that out. What a program asks a driver for by itself stays
theirs.
"""

import functools

from ddtrace_run import _finder
from ddtrace_run._native import OtelSpan
from ddtrace_run.contrib import _dbapi


def imported(instrumentation):
    """`opentelemetry.instrumentation.sqlalchemy.engine` has been imported."""
    _finder.call_when_imported("sqlalchemy.engine.default", _default_imported)
    _finder.call_when_imported("sqlalchemy.dialects.postgresql.psycopg2", _psycopg2_imported)
    _finder.call_when_imported("sqlalchemy.dialects.mysql.mysqldb", _mysqldb_imported)


def _default_imported(module):
    for name in ("do_execute", "do_executemany", "do_execute_no_params"):
        _wrap(module.DefaultDialect, name)


def _psycopg2_imported(module):
    _wrap(module.PGDialect_psycopg2, "do_executemany")


def _mysqldb_imported(module):
    """That of PyMySQL is derived from it."""
    _wrap(module.MySQLDialect_mysqldb, "do_executemany")


def _wrap(dialect, name):
    # Only what it has itself, and not from a class that has been wrapped.
    execute = vars(dialect).get(name)
    if execute is None:
        return

    @functools.wraps(execute)
    def executes(self, cursor, *args, **kwargs):
        context = kwargs["context"] if "context" in kwargs else args[-1] if args else None
        # One of an SDK that the program has set up is told of elsewhere, not here.
        if not isinstance(getattr(context, "_otel_span", None), OtelSpan):
            return execute(self, cursor, *args, **kwargs)
        # The cursor of an asynchronous driver is within one that SQLAlchemy has made, or is made of its connection then.
        numbers = {id(cursor), id(getattr(cursor, "_cursor", cursor)), id(getattr(cursor, "_connection", cursor))}
        _dbapi.told_of_elsewhere.update(numbers)
        try:
            return execute(self, cursor, *args, **kwargs)
        finally:
            _dbapi.told_of_elsewhere.difference_update(numbers)

    setattr(dialect, name, executes)
