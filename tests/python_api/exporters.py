"""Exporters of the program's own, by the SDK's processors, on the provider of ddtrace-run."""

import http.server
import sys
import threading

from opentelemetry import trace
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

provider = trace.get_tracer_provider()


class Counting(SpanExporter):
    """Says when it is shut down, and what it had got by then."""

    def __init__(self, name):
        self.name, self.spans = name, []

    def export(self, spans):
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self):
        print(self.name, sorted(span.name for span in self.spans), flush=True)


def spans():
    with trace.get_tracer("one", "1.0").start_as_current_span("a", attributes={"k": "v"}):
        with trace.get_tracer("two").start_as_current_span("b") as span:
            span.add_event("event", {"n": 1})
    with trace.get_tracer("one", "1.0").start_as_current_span("c", links=[trace.Link(span.get_span_context())]):
        pass


def at_the_end():
    """What waits in a processor is exported when the program ends."""
    provider.add_span_processor(BatchSpanProcessor(Counting("batch")))
    provider.add_span_processor(SimpleSpanProcessor(Counting("simple")))
    spans()


def before_the_end():
    """What is shut down already is not shut down again."""
    at_the_end()
    provider.shutdown()
    print("shut down", flush=True)


def console():
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    spans()


def otlp():
    """What the SDK's exporter sends: all spans together, as all of them have one resource."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    requests = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    endpoint = "http://127.0.0.1:%d/v1/traces" % receiver.server_port
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    spans()
    assert provider.force_flush()
    (request,) = requests
    (resource,) = request.resource_spans
    assert "service.name" in [attribute.key for attribute in resource.resource.attributes]
    scopes = {scope.scope.name: (scope.scope.version, [span.name for span in scope.spans]) for scope in resource.scope_spans}
    assert scopes == {"one": ("1.0", ["a", "c"]), "two": ("", ["b"])}, scopes


def alike():
    """What spans say of their resource and scope can be compared, as keys of dictionaries are."""
    tracer = trace.get_tracer("one", "1.0")
    one, other = tracer.start_span("a"), tracer.start_span("b")
    assert one.resource == other.resource
    assert one.instrumentation_scope == other.instrumentation_scope
    scope = trace.get_tracer("one", "2.0").start_span("c").instrumentation_scope
    assert scope != one.instrumentation_scope and one.resource != 5 and scope != one.resource
    kept = {one.resource: 1, one.instrumentation_scope: 2, scope: 3}
    assert (kept[other.resource], kept[other.instrumentation_scope]) == (1, 2)
    print(scope.to_json(None))


globals()[sys.argv[1]]()
