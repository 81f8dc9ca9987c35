from ddtrace import tracer

def get_ingredients():
    pass

def assemble_sandwich(ingredients):
    pass

def make_sandwich_request(request):
    span = tracer.trace("sandwich.create", resource="resource_name")
    ingredients = get_ingredients()
    sandwich = assemble_sandwich(ingredients)
    span.finish()  # remember to finish the span

make_sandwich_request(None)
