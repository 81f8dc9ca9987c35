from ddtrace import tracer

def get_ingredients():
    span = tracer.current_span()
    return [span.resource]

def assemble_sandwich(ingredients):
    with tracer.trace("another.operation") as another_span:
        span = tracer.current_root_span()
        span.set_tag("seen_by", another_span.name)

def make_sandwich_request(request):
    # Capture both operations in a span
    with tracer.trace("sandwich.make") as span:
        ingredients = get_ingredients()
        span.set_tag("num_ingredients", len(ingredients))
        sandwich = assemble_sandwich(ingredients)

make_sandwich_request(None)

def make_sandwich_request(request):
    # Capture both operations in a span
    with tracer.trace("sandwich.create", resource="resource_name") as outer_span:

        with tracer.trace("get_ingredients", resource="resource_name") as span:
            ingredients = get_ingredients()

        with tracer.trace("assemble_sandwich", resource="resource_name") as span:
            sandwich = assemble_sandwich(ingredients)

make_sandwich_request(None)
