"""sqlite3: each statement is a span, and so is the end of a transaction."""

import sys

from ddtrace_run._native import Wrapped
from ddtrace_run.contrib import _dbapi
from ddtrace_run.contrib._dbapi import told_of_elsewhere
from ddtrace_run.integrations import integration

_NOWHERE = (None, None, None)


def imported(module):
    """`sqlite3.dbapi2` has been imported, of which `sqlite3` takes what it has."""
    sqlite = integration("sqlite")

    def begin(cursor, statement, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        return sqlite.executes("sqlite", statement, _NOWHERE)

    def begin_many(cursor, statement, batch, *_, **__):
        if id(cursor) in told_of_elsewhere:
            return None
        return sqlite.executes("sqlite", statement, _NOWHERE, _dbapi.size_of(batch))

    def change_cursor(connection, *args, **kwargs):
        given = args[0] if args else kwargs.get("factory", module.Cursor)
        factory = _dbapi.cursor_class(given, "sqlite", begin, begin_many, executescript=begin)
        if "factory" in kwargs:
            kwargs["factory"] = factory
        elif args or not kwargs:
            args = (factory, *args[1:])
        return (connection, *args), kwargs

    ends = _dbapi.ends(sqlite, "sqlite", lambda connection: _NOWHERE)

    def begin_exit(connection, error=None, *_, **__):
        try:
            is_open = connection.in_transaction
        except module.ProgrammingError:
            # It is closed.
            return None
        return ends["commit" if error is None else "rollback"](connection) if is_open else None

    def members(base, asks_driver):
        # Of some releases `with` does not ask for what it does by name.
        made = {name: Wrapped("sqlite", getattr(base, name), begins) for name, begins in ends.items()}
        made["__exit__"] = Wrapped("sqlite", base.__exit__, begin_exit)
        if not asks_driver:
            # It need not take what it is not given.
            return made

        # Of some releases the others do not ask for a cursor.
        return {
            **made,
            "cursor": Wrapped.changed("sqlite", base.cursor, change_cursor),
            "execute": Wrapped("sqlite", base.execute, begin),
            "executemany": Wrapped("sqlite", base.executemany, begin_many),
            "executescript": Wrapped("sqlite", base.executescript, begin),
        }

    connect = module.connect

    def change(*args, **kwargs):
        # `factory` is the sixth one.
        given = args[5] if len(args) > 5 else kwargs.get("factory", module.Connection)
        factory = _dbapi.connection_class(given, module.Connection, members)
        if len(args) > 5:
            return (*args[:5], factory, *args[6:]), kwargs
        return args, {**kwargs, "factory": factory}

    # It warns of how it is called.
    traced = Wrapped.changed("sqlite", connect, change)
    module.connect = traced
    # It is pickled by the name that it has in the module where it comes from; where this was switched on later, the package has
    # taken it already.
    for name in connect.__module__, "sqlite3":
        other = sys.modules.get(name)
        if getattr(other, "connect", None) is connect:
            other.connect = traced
