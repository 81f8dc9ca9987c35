"""What runs when the interpreter ends: generators that are open are closed, and finalizers use the APIs, for the first time
here and there."""

import builtins
import sys

from ddtrace import tracer
from opentelemetry import trace

early = trace.get_tracer("early") if "early" in sys.argv else None


@tracer.wrap("open.generator")
def generate():
    yield 1
    yield 2


class Last:
    def __del__(self):
        with tracer.trace("last.datadog"):
            pass
        with (early or trace.get_tracer("late")).start_as_current_span("last.otel"):
            pass
        try:
            with (early or trace.get_tracer("late")).start_as_current_span("last.failed"):
                raise ValueError("at the end")
        except ValueError:
            pass


def block():
    with early.start_as_current_span("open.block"):
        yield 1
        yield 2


opened = [generate()] + ([block()] if early else [])
for generator in opened:
    next(generator)
builtins.last = Last()
