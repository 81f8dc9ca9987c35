from ddtrace import tracer

# Tags that mean something in other conventions, or to other tracers, and nothing here.
with tracer.trace("job", resource="mine", service="worker", span_type="queue") as span:
    span.set_tag("operation.name", "op")
    span.set_tag("resource.name", "other")
    span.set_tag("span.type", "web")
    for name in ("service", "name", "resource", "type", "env", "version", "span.kind", "error.msg", "foo"):
        span.set_tag("datadog." + name, "not me")
    span.set_tag("datadog.error", 1)
    span.set_tag("analytics.event", True)
    span.set_tag("deployment.environment", "staging")

with tracer.trace("request", resource="GET /") as span:
    span.set_tag("http.request.method", "GET")
    span.set_tag("http.response.status_code", 404)
    span.set_tag("url.full", "http://localhost/")
    span.set_tag("user_agent.original", "curl")
    span.set_tag("client.address", "127.0.0.1")
    span.set_tag("server.address", "localhost")
    span.set_tag("network.protocol.version", "1.1")
    span.set_tag("http.request.header.accept", "*/*")
    span.set_tag("http.response.body.size", 12)
    span.set_metric("http.status_code", 404)

with tracer.trace("query", service="db") as span:
    span.set_tag("db.system", "redis")
    span.set_tag("otel.trace_id", "1")
    span.set_tag("otel.status_code", "mine")
    span.set_tag("w3c.tracestate", "a=b")
    span.set_tag("events", "none")
    span.error = 1
    span.set_tag("http.status_code", 503)
    span.record_exception(KeyError("recorded"))

with tracer.trace("failed") as span:
    span.set_tag("error.message", "said")
    span.set_tag("error.type", "Said")
    span.error = 1
    span.record_exception(KeyError("recorded"))
