# The launcher puts this directory in front of PYTHONPATH, so every Python that inherits the variable runs this file when
# it starts, of whatever version and kind: it must be valid in all of them, and it must not be noticed. What it leaves
# behind is in `ddtrace_run/_finder.py`.
import sys


def obstacle():
    """Why nothing of ours can be loaded into this Python, if so."""
    if sys.version_info < (3, 9):
        return "it is older than Python 3.9, the oldest that can be traced"
    if sys.implementation.name != "cpython":
        return "it is %s, and only CPython can be traced" % sys.implementation.name
    if "t" in sys.abiflags:
        return "it is a free-threaded build, for which there is no tracer yet"
    return None


def begin(directory):
    package = directory.rpartition("/")[0]
    reason = obstacle()
    if reason is not None:
        scope = {}
        with open(package + "/_note.py") as source:
            exec(source.read(), scope)
        scope["note"]("its spans are not recorded, as " + reason)
    elif "ddtrace_run" not in sys.modules:
        root = package.rpartition("/")[0]
        sys.path.insert(0, root)
        try:
            from ddtrace_run import _finder
        finally:
            sys.path.remove(root)
            sys.path_importer_cache.pop(root, None)
        if _finder.is_main_interpreter():
            _finder.install()
        else:
            sys.modules.pop("ddtrace_run._finder")
            sys.modules.pop("ddtrace_run")


def leave(directory):
    """Makes the import system what it would be without this directory."""
    sys.path[:] = [entry for entry in sys.path if entry != directory]
    sys.path_importer_cache.pop(directory, None)
    sys.modules.pop(__name__, None)


leave(__file__.rpartition("/")[0])
try:
    begin(__file__.rpartition("/")[0])
except Exception:
    # Whatever it is, the program is not to suffer from it.
    import os

    if os.environ.get("DD_TRACE_DEBUG", "").lower() in ("1", "true"):
        import traceback

        traceback.print_exc()
# The one that would have been imported, with everything that may come of it: most often that there is none.
import sitecustomize  # noqa: E402, F401
