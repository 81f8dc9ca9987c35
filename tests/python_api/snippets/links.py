from ddtrace import tracer
with tracer.trace("a") as a: a.set_tag("x", "y")
with tracer.trace("b") as b:
    b.link_span(a.context, {"why": "because", "l": [1, 2], "m": [1, "a", [2, 3], None], "d": {"x": 1}})
    b.set_link(trace_id=1<<70 | 5, span_id=6, tracestate="dd=s:1", flags=1, attributes={"k": True})
