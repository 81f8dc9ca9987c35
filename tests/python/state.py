"""Prints what a program can see of its interpreter, in a form that two runs can be compared by.

What ddtrace-run adds on purpose is left out: its modules, its finder and its variables.
"""

import os
import sys
import warnings

OURS = ("ddtrace_run", "ddtrace_run._finder")
DOCUMENTED = ("LD_PRELOAD", "PYTHONPATH", "TRACEPARENT", "TRACESTATE")


def is_ours(name):
    return name in DOCUMENTED or name.startswith(("DD_", "OTEL_", "_DDTRACE_"))


def facts():
    main = sys.modules["__main__"]
    yield "path", sys.path
    yield "argv", sys.argv
    yield "flags", sys.flags
    yield "executable", sys.executable
    yield "modules", sorted(name for name in sys.modules if name not in OURS)
    yield "caches", sorted(path for path in sys.path_importer_cache if not path.endswith("/ddtrace_run"))
    yield "hooks", [hook.__qualname__ for hook in sys.path_hooks]
    yield "finders", [f for f in map(describe, sys.meta_path) if "ddtrace_run" not in f]
    yield "main", sorted(vars(main)), getattr(main, "__file__", None), type(main.__loader__), main.__spec__ is None
    yield "environment", sorted(item for item in os.environ.items() if not is_ours(item[0]))
    yield "warnings", warnings.filters
    yield "excepthook", sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__
    yield "tracing", sys.gettrace(), sys.getprofile()
    yield "encodings", sys.stdin.encoding, sys.stdout.encoding, sys.getfilesystemencoding()


def describe(finder):
    kind = finder if isinstance(finder, type) else type(finder)
    return kind.__module__ + "." + kind.__name__


for fact in facts():
    print(*fact)
