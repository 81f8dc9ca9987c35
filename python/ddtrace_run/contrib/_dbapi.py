"""Drivers of databases whose connections and cursors are written in C: classes derived from theirs, whose statements are
traced. Whoever asks for their names, or whether an object is one of the driver's, finds them to be the driver's."""

from ddtrace_run._native import Wrapped, derived

_cursors = {}
_connections = {}


def _like(base, members):
    if type(base) is type and not base.__dictoffset__:
        made = derived(base)
        for name, member in {"__doc__": base.__doc__, **members}.items():
            setattr(made, name, member)
        return made
    named = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    return type(base.__name__, (base,), {**named, **members})


def cursor_class(base, name, begin, begin_many, *others):
    """The class of traced cursors in the place of `base`; `others` are further methods that take a statement."""
    # What is none is for the driver to refuse.
    if not isinstance(base, type) or not hasattr(base, "executemany") or base in _cursors.values():
        return base
    made = _cursors.get(base)
    if made is None:
        members = {"execute": Wrapped(name, base.execute, begin)}
        members["executemany"] = Wrapped(name, base.executemany, begin_many)
        members.update((other, Wrapped(name, getattr(base, other), begin)) for other in others)
        made = _cursors[base] = _like(base, members)
    return made


def connection_class(base, members):
    """The class of connections in the place of `base`; `members` makes what they have of their own."""
    if not isinstance(base, type) or base in _connections.values():
        return base
    made = _connections.get(base)
    if made is None:
        made = _connections[base] = _like(base, members(base))
    return made


def size_of(batch):
    """How many there are, as far as that can be known without looking at them."""
    try:
        return len(batch)
    except TypeError:
        return None
