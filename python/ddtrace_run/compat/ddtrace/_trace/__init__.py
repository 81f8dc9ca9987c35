"""Where the classes of `ddtrace.trace` are in Datadog's package."""
