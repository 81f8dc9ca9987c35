"""Metrics of the runtime."""


class RuntimeMetrics:
    """ddtrace-run sends no metrics of the runtime: switching them on or off does nothing."""

    @staticmethod
    def enable(tracer=None, dogstatsd_url=None):
        """Nothing: there are none."""

    @staticmethod
    def disable():
        """Nothing: there are none."""


__all__ = ["RuntimeMetrics"]
