from opentelemetry import trace

tracer = trace.get_tracer(__name__)

def do_work():
    with tracer.start_as_current_span("operation_name") as span:
        # Perform the work that you want to track with the span
        print("Doing work...")
        # When the 'with' block ends, the span is automatically closed

do_work()

current_span = trace.get_current_span()
# enrich 'current_span' with information

current_span.set_attribute("attribute_key1", 1)
