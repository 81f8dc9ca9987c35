"""Two traces of the same kind, of which one leaves the process before it ends: it is decided about in the process."""

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator

for is_handed_on in (True, False):
    with tracer.trace("job", resource="mine", service="worker") as span:
        for name in ("resource.name", "operation.name", "datadog.service", "datadog.resource"):
            span.set_tag(name, "tag")
        if is_handed_on:
            headers = {}
            HTTPPropagator.inject(span.context, headers)
            print(headers["x-datadog-sampling-priority"])
