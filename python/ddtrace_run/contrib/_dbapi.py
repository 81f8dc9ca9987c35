"""Drivers of databases whose connections and cursors are written in C: classes derived from theirs, whose statements are
traced. Whoever asks for their names, or whether an object is one of the driver's, finds them to be the driver's."""

import weakref

from ddtrace_run._native import Wrapped, derived


class _Classes:
    """Classes in the place of others. The program's own go when it has them no more: what is made of one refers to it."""

    def __init__(self):
        self._drivers, self._programs = {}, weakref.WeakValueDictionary()
        self._made = weakref.WeakSet()

    def __contains__(self, made):
        return made in self._made

    def get(self, base):
        made = self._drivers.get(base)
        return self._programs.get(base) if made is None else made

    def keep(self, base, made):
        # A driver's own class is not made again for each connection.
        (self._drivers if not base.__flags__ & _ON_HEAP or base.__module__ in _DRIVERS else self._programs)[base] = made
        self._made.add(made)
        return made


#: `Py_TPFLAGS_HEAPTYPE`: made at run time, as the classes of programs are, and those of some drivers.
_ON_HEAP = 1 << 9
_DRIVERS = ("sqlite3", "psycopg2.extensions", "psycopg2.extras")

#: The cursors, by `id`, that execute a statement now of which somebody above the driver tells; of drivers that make them as they
#: execute one, the connections.
told_of_elsewhere = set()

_cursors = _Classes()
_connections = _Classes()


class _Quiet:
    """Comes first among the bases of a class that no code of the program's is to be told of."""

    __slots__ = ()

    def __init_subclass__(cls):
        pass


def _like(base, members, below=()):
    if type(base) is type and not base.__dictoffset__:
        made = derived(base)
        for name, member in {"__doc__": base.__doc__, **members}.items():
            setattr(made, name, member)
        return made
    named = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    # One that tells its own classes apart as they are made knows nothing of ours.
    is_told = getattr(base.__init_subclass__, "__func__", None) is not None
    above = (_Quiet,) if is_told else ()
    return type(base.__name__, (*above, base, *below), {**named, **members})


def cursor_class(base, name, begin, begin_many, **others):
    """The class of traced cursors in the place of `base`; `others` are further methods, and what begins the spans of those."""
    # What is none is for the driver to refuse.
    if not isinstance(base, type) or not hasattr(base, "executemany") or base in _cursors:
        return base
    made = _cursors.get(base)
    if made is None:
        members = {"execute": Wrapped(name, base.execute, begin)}
        members["executemany"] = Wrapped(name, base.executemany, begin_many)
        members.update((other, Wrapped(name, getattr(base, other), begins)) for other, begins in others.items())
        made = _cursors.keep(base, _like(base, members))
    return made


def connection_class(base, drivers, members):
    """The class of connections in the place of `base`; `members` makes what they have of their own, and `drivers` is the class
    of the driver's. What a `cursor` of another class's own asks that one for comes to ours."""
    # What is none is for the driver to refuse.
    if not isinstance(base, type) or not issubclass(base, drivers) or base in _connections:
        return base
    made = _connections.get(base)
    if made is None:
        has_own = base.cursor is not drivers.cursor
        below = (connection_class(drivers, drivers, members),) if has_own else ()
        made = _connections.keep(base, _like(base, members(base, not has_own), below))
    return made


def ends(integration, system, place):
    """What begins the spans of `commit` and `rollback` of a connection, of which `place` says where it leads to."""

    def begin_commit(connection, *_, **__):
        return integration.ends_transaction(system, "COMMIT", place(connection))

    def begin_rollback(connection, *_, **__):
        return integration.ends_transaction(system, "ROLLBACK", place(connection))

    return {"commit": begin_commit, "rollback": begin_rollback}


def calls(integration, system, procedure, place):
    """Begins the span of a call of a stored procedure; None where somebody else tells of it."""
    call = integration.executes(system, "CALL " + procedure, place)
    if call is not None:
        call.set("db.stored_procedure.name", procedure)
    return call


def size_of(batch):
    """How many there are, as far as that can be known without looking at them."""
    try:
        return len(batch)
    except TypeError:
        return None
