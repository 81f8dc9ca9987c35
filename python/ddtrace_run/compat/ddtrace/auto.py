"""Tracing for programs that are not started by `ddtrace-run`: `import ddtrace.auto` as the first of all imports."""

import ddtrace_run.auto  # noqa: F401

import ddtrace  # noqa: F401
