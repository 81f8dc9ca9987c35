"""Spans of finalizers, which run wherever garbage is collected: also while the tracer is at something for the first time."""

import gc

gc.set_threshold(50)


class Cycle:
    def __init__(self):
        self.itself = self

    def __del__(self):
        with tracer.trace("finalizer"):
            pass


def litter():
    # The collector comes by at another allocation each time.
    return [Cycle() for _ in range(7)] and None


from ddtrace import tracer

for number in range(3000):
    litter()
    with tracer.trace("loop") as span:
        span.set_tag("list", [number])
        span.context
assert gc.isenabled()
gc.disable()
with tracer.trace("no collector"):
    pass
assert not gc.isenabled()
gc.enable()
gc.collect()
print("done")
