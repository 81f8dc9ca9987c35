"""What a program may do with the OpenTelemetry API where nothing carries it out: none of it fails, and so none of it may fail
under the launcher. What is printed is the same.
"""

import contextlib
import copy
import gc
import inspect
import io
import pickle
import time
import weakref
from unittest import mock

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

tracer = trace.get_tracer("bare")


def tried(what, function):
    try:
        print(what, function())
    except Exception as error:
        print(what, f"{type(error).__name__}: {error}")


class Broken:
    def __getattr__(self, name):
        raise RuntimeError(name)


def block(**given):
    with tracer.start_as_current_span("block", **given) as span:
        return isinstance(span, trace.Span)


now = time.time_ns()
for number, moment in enumerate((now, now / 1, now - 0.5, 0, -1, -0.5, 1 << 63, 1 << 64, 1 << 90, float("nan"), float("inf"), "now", True, None)):
    tried(f"start {number}", lambda: block(start_time=moment))
    tried("end", lambda: tracer.start_span("end").end(moment))
    tried("event", lambda: tracer.start_span("event").add_event("e", timestamp=moment))
    tried("exception", lambda: tracer.start_span("exception").record_exception(ValueError(), timestamp=moment))

odd = (None, "text", 5, object(), Broken(), [1], {"a": Broken()}, {5: 6})
for number, value in enumerate(odd):
    span = tracer.start_span("odd")
    tried(f"set_status {number}", lambda: span.set_status(value))
    tried("with a description", lambda: span.set_status(value, value))
    tried("a description", lambda: span.set_status(StatusCode.ERROR, value))
    tried("set_attributes", lambda: span.set_attributes(value))
    tried("set_attribute", lambda: span.set_attribute("odd", value))
    tried("a key", lambda: span.set_attribute(value, 1))
    tried("add_event", lambda: span.add_event(value, value))
    if hasattr(trace.Span, "add_link"):
        tried("add_link", lambda: span.add_link(value, value))
    tried("record_exception", lambda: span.record_exception(value, value, escaped=value))
    tried("update_name", lambda: span.update_name(value))
    tried("attributes", lambda: block(attributes=value))
    tried("links", lambda: block(links=value))
    tried("a link", lambda: block(links=[value]))
    tried("kind", lambda: block(kind=value))
    tried("flags", lambda: block(record_exception=value, set_status_on_exception=value, end_on_exit=value))
for value in (None, "text", 5, {"a": 1}):
    tried("a version", lambda: isinstance(trace.get_tracer("name", value), trace.Tracer))
    tried("a schema", lambda: isinstance(trace.get_tracer("name", schema_url=value), trace.Tracer))
    tried("of a scope", lambda: isinstance(trace.get_tracer("name", attributes=value), trace.Tracer))

# What is theirs on what is ours.
with tracer.start_as_current_span("mine", kind=SpanKind.SERVER) as span:
    span.mine = "of the span"
    tracer.mine = "of the tracer"
    print(span.mine, tracer.mine, sorted(name for name in vars(span) if "mine" in name))
    del span.mine
    print(hasattr(span, "mine"))
recording = tracer.start_span("patched")
with mock.patch.object(tracer, "start_as_current_span") as patched:
    tracer.start_as_current_span("x")
    print(patched.call_count)
with mock.patch.object(recording, "end") as patched, mock.patch.object(type(recording), "add_event") as of_class:
    recording.end()
    recording.add_event("x")
    print(patched.call_count, of_class.call_count)
print(block())
cycle = tracer.start_span("cycle")
cycle.itself = cycle
told = weakref.ref(cycle)
del cycle
gc.collect()
print(told() in (None, trace.INVALID_SPAN))

for method in (tracer.start_span, tracer.start_as_current_span, span.set_attribute, span.end, span.is_recording, span.set_status):
    print(method.__name__, len(inspect.signature(method).parameters) < 10)
print(mock.create_autospec(tracer, instance=True).start_span("x") is not None)
print(isinstance(tracer.start_as_current_span("x"), contextlib.ContextDecorator))
print(isinstance(tracer.start_as_current_span("x"), contextlib.AbstractContextManager))

for copied in (copy.copy, copy.deepcopy, lambda span: pickle.loads(pickle.dumps(span))):
    print(copied(recording).get_span_context() == recording.get_span_context())
    print(copied({"span": [recording]})["span"][0].get_span_context() == recording.get_span_context())
    print(isinstance(copied(tracer), trace.Tracer))
with contextlib.redirect_stdout(io.StringIO()) as shown:
    help(tracer)
print(bool(shown.getvalue()))
