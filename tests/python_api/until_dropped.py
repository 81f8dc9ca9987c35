"""Makes spans of another environment than the process's until the Agent's rate for that drops one."""

import sys
import time

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator

for _ in range(600):
    with tracer.trace("job") as span:
        span.set_tag(sys.argv[1], "elsewhere")
        headers = {}
        HTTPPropagator.inject(span.context, headers)
    if headers["x-datadog-sampling-priority"] == "0":
        sys.exit(0)
    time.sleep(0.1)
sys.exit(1)
