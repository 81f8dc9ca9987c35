"""psycopg2: each statement is a span, and so is the end of a transaction."""

import functools

from ddtrace_run._native import Wrapped
from ddtrace_run.contrib import _dbapi
from ddtrace_run.contrib._dbapi import told_of_elsewhere
from ddtrace_run.contrib.psycopg import place, text
from ddtrace_run.integrations import integration


def imported(module):
    """`psycopg2` has been imported."""
    psycopg = integration("psycopg2", "psycopg")
    extensions = module.extensions

    def begin(cursor, statement, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        return psycopg.executes("postgresql", text(statement, cursor), place(cursor.connection))

    def begin_many(cursor, statement, batch, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        size = _dbapi.size_of(batch)
        return psycopg.executes("postgresql", text(statement, cursor), place(cursor.connection), size)

    def begin_call(cursor, procedure, *_, **__):
        return _dbapi.calls(psycopg, "postgresql", text(procedure, cursor), place(cursor.connection))

    ends = _dbapi.ends(psycopg, "postgresql", place)

    def members(base, asks_driver):
        made = {name: Wrapped("psycopg2", getattr(base, name), begins) for name, begins in ends.items()}
        if not asks_driver:
            # It need not take what it is not given.
            return made

        @functools.wraps(base.cursor)
        def cursor(self, *args, **kwargs):
            given = args[1] if len(args) > 1 else kwargs.get("cursor_factory")
            given = given or self.cursor_factory or extensions.cursor
            factory = _dbapi.cursor_class(given, "psycopg2", begin, begin_many, callproc=begin_call)
            if len(args) > 1:
                args = (args[0], factory, *args[2:])
            else:
                kwargs["cursor_factory"] = factory
            return base.cursor(self, *args, **kwargs)

        return {**made, "cursor": cursor}

    connect = module.connect

    @functools.wraps(connect)
    def traced(dsn=None, connection_factory=None, cursor_factory=None, **kwargs):
        drivers = extensions.connection
        factory = _dbapi.connection_class(connection_factory or drivers, drivers, members)
        return connect(dsn, connection_factory=factory, cursor_factory=cursor_factory, **kwargs)

    module.connect = traced
