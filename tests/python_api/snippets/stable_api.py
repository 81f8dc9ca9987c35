from ddtrace_api import tracer

@tracer.wrap(service="my-sandwich-making-svc", resource="resource_name")
def get_ingredients():
    # go to the pantry
    return
get_ingredients()
with tracer.trace("x", service="svc") as s:
    s.set_tags({"a": "b"})
    with tracer.start_span("y", child_of=s) as y: pass
    try: 1/0
    except ZeroDivisionError: s.set_traceback()
