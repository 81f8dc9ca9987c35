"""What log records show: `logs.py LIBRARY` writes lines of JSON, without a span and with one."""

import json
import sys

library = sys.argv[1]
lines = []

if library == "logging":
    import logging

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append({name: value for name, value in record.__dict__.items() if name.startswith(("dd.", "otel"))})

    logging.getLogger("here").addHandler(Handler())
    write = logging.getLogger("here").warning
elif library == "structlog":
    import structlog

    def keep(logger, method, event):
        lines.append({name: value for name, value in event.items() if name.startswith(("dd.", "otel"))})
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    write = structlog.get_logger().warning
else:
    from loguru import logger

    logger.remove()
    logger.add(lambda line: lines.append(json.loads(line)["record"]["extra"]), serialize=True)
    write = logger.warning

write("before")
if "sdk" in sys.argv:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry import trace

    trace.set_tracer_provider(TracerProvider())
    with trace.get_tracer("here").start_as_current_span("all") as span:
        write("within")
        context = span.get_span_context()
        ids = [context.trace_id, context.span_id]
elif "otel" in sys.argv:
    from opentelemetry import trace

    with trace.get_tracer("here").start_as_current_span("all") as span:
        write("within")
        context = span.get_span_context()
        ids = [context.trace_id, context.span_id]
else:
    from ddtrace import tracer

    with tracer.trace("all") as span:
        write("within")
        ids = [span.trace_id, span.span_id]
write("after")
print(json.dumps([[str(number) for number in ids]] + lines))
