"""The provider of the OpenTelemetry API: `trace.set_tracer_provider(TracerProvider())`."""

from ddtrace_run.otel import TracerProvider

__all__ = ["TracerProvider"]
