from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator
c = HTTPPropagator.extract({"x-datadog-trace-id":"123","x-datadog-parent-id":"456","x-datadog-sampling-priority":"2","x-datadog-origin":"synthetics","x-datadog-tags":"_dd.p.dm=-4,_dd.p.usr.id=abc","baggage":"user.id=7"})
tracer.context_provider.activate(c)
with tracer.trace("server", span_type="web"):
    with tracer.trace("inner") as i:
        h = {}
        HTTPPropagator.inject(i.context, h)
        i.set_tag("headers", ",".join(sorted(h)))
