from ddtrace import tracer
tracer.set_tags({"version": "7", "<TAG_KEY_2>": "<TAG_VALUE_2>"})
with tracer.trace("tags", service="other", span_type="web") as s:
    s.set_tag("str","a"); s.set_tag("int", 5); s.set_tag("float", 1.5); s.set_tag("bool", True); s.set_tag("none")
    s.set_tag("big", 1<<70); s.set_tag("dict", {"a":1}); s.set_tag("bytes", b"x"); s.set_tag("nan", float("nan")); s.set_tag("http.status_code", 404)
    s.set_tags({"a":"b","c":1}); s.set_metric("m", "3.5"); s.set_tag("span.kind","client"); s.set_tag("component","me")
    s.set_tag("network.destination.port", "80")
    with tracer.trace("child"): pass
    s.set_tag("gone", 1); s.remove_metric("gone"); s.remove_tag("str")
    s.set_tag("a", 5)
with tracer.trace("kept") as s: s.set_tag("manual.keep")
with tracer.trace("dropped") as s: s.set_tag("manual.drop")
with tracer.trace("measured") as s: s.set_tag("_dd.measured", 1); s.set_tag("service.name", "named")
with tracer.trace("unnamed") as s: s.set_tag("service.name"); s.set_tag("service.name", None); s.set_tags({"service.name": None})
