"""Metrics of the runtime."""

class RuntimeMetrics:
    @staticmethod
    def enable(tracer: object = None, dogstatsd_url: str | None = None) -> None: ...
    @staticmethod
    def disable() -> None: ...

__all__ = ["RuntimeMetrics"]
