"""Integrations; they are switched on by `ddtrace.patch`."""
