"""The program's tracer, by Datadog's API."""

from ddtrace_run import _native

tracer = _native.Tracer()
trace = tracer.trace
