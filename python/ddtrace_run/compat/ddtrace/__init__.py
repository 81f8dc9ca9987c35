"""Datadog's tracing API, carried out by ddtrace-run. Importing it starts nothing and changes nothing."""

from ddtrace._monkey import patch, patch_all
from ddtrace.settings import config
from ddtrace.trace import tracer
from ddtrace.version import __version__


class DDTraceDeprecationWarning(DeprecationWarning):
    """For what is about to go from the API."""


__all__ = ["DDTraceDeprecationWarning", "__version__", "config", "patch", "patch_all", "tracer"]
