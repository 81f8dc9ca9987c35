from opentelemetry import trace
tracer = trace.get_tracer(__name__)

def do_work():
    with tracer.start_as_current_span("operation_name") as span:
        # Perform the work that you want to track with the span
        print("Doing work...")
        current_span = trace.get_current_span()
        current_span.set_attribute("attribute_key1", 1)
        span.add_event("Event With No Attributes")
        span.add_event("Event With Some Attributes", {"int_val": 1, "string_val": "two", "int_array": [3, 4], "string_array": ["5", "6"], "bool_array": [True, False]})
        span.record_exception(Exception("Error Message"))
        span.record_exception(Exception("Error Message"), {"status": "failed"})
do_work()
from opentelemetry.trace import SpanKind
try:
    with tracer.start_as_current_span("failing", kind=SpanKind.CLIENT, attributes={"http.request.method":"GET","b":True,"l":[1,2]}) as s:
        raise KeyError("k")
except KeyError: pass
