"""Values that contain themselves, or more than a record has room for: nothing of a program's breaks by them."""

import json

from ddtrace import tracer as datadog
from opentelemetry import trace

cyclic = [1]
cyclic.append(cyclic)
deep = [1]
for _ in range(20_000):
    deep = [deep]

otel = trace.get_tracer("odd")
with otel.start_as_current_span("odd", attributes={"cyclic": cyclic, "deep": deep}) as span:
    for name, value in {"cyclic": cyclic, "deep": deep}.items():
        span.set_attribute(name, value)
        span.add_event("seen", {name: value})
        span.record_exception(ValueError("x"), attributes={name: value})
    span.set_attribute("rows", [[1, 2], [3, 4]])
    assert json.loads(span.attributes["rows"]) == [[1, 2], [3, 4]]
    span.set_attribute("long", ["x" * 13_000])
    span.set_attribute("texts", ["y" * 1000] * 20)
    assert len(span.attributes["long"][0]) > 12_000 and len(span.attributes["texts"]) == 20
    span.add_event("order", {"payload": "x" * 20_000, "order.id": 5, "customer": "c1"})

with datadog.trace("odd.datadog") as span:
    span.set_tag("cyclic", cyclic)
    span._add_event("seen", {"cyclic": cyclic, "deep": deep})
    span.link_span(datadog.trace("other").context, {"cyclic": cyclic})
    span.start_ns = 1.5e18
    assert span.start_ns == 1_500_000_000_000_000_000
    span.duration_ns = 2e9 + 0.5
    assert span.duration == 2.0


class Own(type(datadog)):
    def hello(self):
        return self.current_span()


with Own().trace("own") as span:
    assert Own().hello() is span and datadog.current_span() is span
