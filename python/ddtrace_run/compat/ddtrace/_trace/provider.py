"""Where the providers of contexts are in Datadog's package."""

from ddtrace.trace import BaseContextProvider

DefaultContextProvider = BaseContextProvider

__all__ = ["BaseContextProvider", "DefaultContextProvider"]
