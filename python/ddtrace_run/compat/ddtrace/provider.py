"""Where the providers of contexts were before."""

from ddtrace.trace import BaseContextProvider

DefaultContextProvider = BaseContextProvider

__all__ = ["BaseContextProvider", "DefaultContextProvider"]
