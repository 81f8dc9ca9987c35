"""What a span costs, one measurement for each line of the table; run by `compare.py`, in the interpreter that it chose."""

import json
import os
import sys
import threading
import time

COUNT = 10_000
ROUNDS = 5


def smallest(loop):
    """Nanoseconds of CPU time for one turn of a loop: the smallest of some rounds, as others use the machine as well."""
    loop(1000)
    best = None
    for _ in range(ROUNDS):
        start = time.thread_time_ns()
        loop(COUNT)
        took = (time.thread_time_ns() - start) / COUNT
        best = took if best is None else min(best, took)
        # What makes the spans' way elsewhere gets the time that it needs.
        time.sleep(0.3)
    return best


def lock():
    held = threading.Lock()

    def loop(count):
        for _ in range(count):
            with held:
                pass

    return loop


def datadog():
    from ddtrace.trace import tracer

    def loop(count):
        trace = tracer.trace
        for _ in range(count):
            with trace("work") as span:
                span.set_tag("key", "value")

    return loop, tracer


def datadog_nested():
    loop, tracer = datadog()

    def nested(count):
        with tracer.trace("outer"):
            loop(count)

    return nested


def otel():
    from opentelemetry import trace

    if os.environ.get("BENCH_SDK"):
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

        class Nowhere(SpanExporter):
            def export(self, spans):
                return SpanExportResult.SUCCESS

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(Nowhere()))
        trace.set_tracer_provider(provider)
    tracer = trace.get_tracer("bench")

    def loop(count):
        start = tracer.start_as_current_span
        for _ in range(count):
            with start("work") as span:
                span.set_attribute("key", "value")

    return loop, tracer


def otel_nested():
    loop, tracer = otel()

    def nested(count):
        with tracer.start_as_current_span("outer"):
            loop(count)

    return nested


def memory():
    """Kilobytes of private memory, and threads, after some spans."""
    loop = datadog()[0] if sys.argv[2:] == ["datadog"] else otel()[0] if sys.argv[2:] == ["otel"] else None
    if loop:
        loop(5000)
        time.sleep(1.5)
    fields = {}
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup.readlines()[1:]:
            name, _, value = line.partition(":")
            fields[name] = int(value.split()[0])
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return {"private": private, "rss": fields["Rss"], "threads": len(os.listdir("/proc/self/task"))}


def tight(count):
    """As many spans as fast as it goes."""
    loop, _ = datadog()
    start = time.perf_counter()
    loop(count)
    return time.perf_counter() - start


what = sys.argv[1]
if what == "lock":
    print(json.dumps(smallest(lock())))
elif what == "datadog":
    print(json.dumps(smallest(datadog()[0])))
elif what == "datadog-nested":
    print(json.dumps(smallest(datadog_nested())))
elif what == "otel":
    print(json.dumps(smallest(otel()[0])))
elif what == "otel-nested":
    print(json.dumps(smallest(otel_nested())))
elif what == "memory":
    print(json.dumps(memory()))
elif what == "tight":
    print(json.dumps(tight(int(sys.argv[2]))))
