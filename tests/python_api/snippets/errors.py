import sys
from ddtrace import tracer
try:
    with tracer.trace("throws.an.error") as span:
        raise Exception("Oops!")
except Exception: pass
span = tracer.trace("operation")
span.error = 1
span.finish()
with tracer.trace("root"):
    try:
        raise TypeError
    except TypeError as e:
        root_span = tracer.current_root_span()
        (exc_type, exc_val, exc_tb) = sys.exc_info()
        root_span.set_exc_info(exc_type, exc_val, exc_tb)
with tracer.trace("event") as s:
    s.record_exception(ValueError("v"), {"k": 1})
try:
    with tracer.trace("exit"): sys.exit(0)
except SystemExit: pass
def told(error, *, without=None):
    try:
        raise error
    except BaseException as caught:
        info = [type(caught), caught, caught.__traceback__]
    info = [None if part == without else value for part, value in enumerate(info)]
    with tracer.trace("told") as s: s.set_exc_info(*info)
for part in (None, 0, 1, 2): told(ValueError("v"), without=part)
for code in (0, 1, None, False, "text"): told(SystemExit(code))
