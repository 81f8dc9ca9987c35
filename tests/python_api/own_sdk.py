"""A program with an SDK of its own: what that exports is what it would export without the launcher."""

import concurrent.futures

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# A library's, taken before there is a provider.
early = trace.get_tracer("library")
kept = trace.get_tracer_provider()
# To programs it is the mark of a provider that has been set up.
assert not hasattr(trace.get_tracer_provider(), "resource")
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("program")

with tracer.start_as_current_span("outer") as outer:
    with early.start_as_current_span("inner"):
        headers = {}
        propagate.inject(headers)
    assert trace.get_current_span() is outer

    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert pool.submit(trace.get_current_span).result() is trace.INVALID_SPAN

with tracer.start_as_current_span("kept one") as outer, kept.get_tracer("kept", "1").start_as_current_span("below"):
    assert trace.get_current_span().parent.span_id == outer.context.span_id

assert trace.get_tracer_provider() is provider
assert type(context._RUNTIME_CONTEXT).__name__ == "ContextVarsRuntimeContext"
names = {span.name: span for span in exporter.get_finished_spans()}
assert names["inner"].parent.span_id == names["outer"].context.span_id
print(sorted(names), [type(span).__name__ for span in names.values()], sorted(headers))
