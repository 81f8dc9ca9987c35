"""Makes many spans and ends in some way."""

import multiprocessing
import os
import signal
import sys

from ddtrace import tracer


def work(count):
    for index in range(count):
        with tracer.trace("work") as span:
            span.set_tag("index", index)


def main(way, count):
    if way == "multiprocessing":
        children = [multiprocessing.get_context("fork").Process(target=work, args=(count // 4,)) for _ in range(4)]
        [child.start() for child in children]
        [child.join() for child in children]
        return
    if way == "fork":
        child = os.fork()
        if child == 0:
            tracer.trace("open")
            work(count)
            os._exit(0)
        os.waitpid(child, 0)
        return
    if way != "exit":
        tracer.context_provider.activate(None)
        tracer.trace("open")
        tracer.context_provider.activate(None)
    work(count)
    if way == "_exit":
        os._exit(3)
    if way == "abort":
        os.abort()
    if way.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, way))


main(sys.argv[1], int(sys.argv[2]))
