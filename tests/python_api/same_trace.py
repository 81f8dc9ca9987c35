"""Several requests of one trace in one process, by one of the APIs: the steps are those of `tests/apps/same_trace.c`."""

import sys

api, *steps = sys.argv[1:]
spans = {}


def headers(name, priority):
    found = {"x-datadog-trace-id": "1234567", "x-datadog-parent-id": "5" if name == "a" else "6"}
    if priority:
        found["x-datadog-sampling-priority"] = priority
    return found


if api == "datadog":
    from ddtrace import tracer
    from ddtrace.propagation.http import HTTPPropagator

    def begin(name, incoming):
        return tracer.start_span(name, child_of=HTTPPropagator.extract(incoming))

    def below(name, parent):
        return tracer.start_span(name, child_of=parent)

    def tag(span, name):
        span.set_tag(name)

    def inject(span, into):
        HTTPPropagator.inject(span.context, into)

    def end(span):
        span.finish()

else:
    from opentelemetry import propagate, trace

    otel = trace.get_tracer(__name__)

    def begin(name, incoming):
        return otel.start_span(name, context=propagate.extract(incoming), kind=trace.SpanKind.SERVER)

    def below(name, parent):
        return otel.start_span(name, context=trace.set_span_in_context(parent))

    def tag(span, name):
        span.set_attribute(name, True)

    def inject(span, into):
        propagate.inject(into, context=trace.set_span_in_context(span))

    def end(span):
        span.end()


for step in steps:
    word, _, value = step.partition("=")
    if word[0] == "+":
        spans[word[1]] = begin(word[1], headers(word[1], value))
    elif word[1] == ".":
        spans[word[2]] = below(word[2], spans[word[0]])
    elif word[0] == "-":
        end(spans[word[1]])
    elif word == "tell":
        into = {}
        inject(spans[value], into)
        print("told", value, into["x-datadog-sampling-priority"])
    else:
        tag(spans[value], "manual." + word)
