"""Trace processors: what they are given, and what becomes of what they leave. It fails by an assertion."""

import os
import signal
import sys
import threading
import weakref

from ddtrace import tracer
from ddtrace.trace import Span, TraceFilter


class Filter(TraceFilter):
    """Does what the names say, and keeps what it was given."""

    def __init__(self):
        self.seen = []

    def process_trace(self, trace):
        assert type(trace) is list and all(isinstance(span, Span) and span.finished for span in trace)
        self.seen.append([span.name for span in trace])
        if trace[0].resource == "/health":
            return None
        if trace[0].name == "emptied":
            return []
        if trace[0].name == "broken":
            raise KeyError("broken")
        for span in trace:
            if span.name == "renamed":
                span.name, span.resource, span.service = "anew", "/anew", "other"
                span.remove_tag("password")
                span.set_tag("filtered", "yes")
                span.error = 1
        return (span for span in trace if span.name != "hidden")


def left(chosen):
    """What is left of traces of all kinds."""
    with tracer.trace("root"):
        with tracer.trace("hidden") as hidden:
            hidden.set_tag("password", "secret")
        with tracer.trace("renamed") as renamed:
            renamed.set_tag("password", "secret")
            with tracer.trace("inner"):
                pass
    assert chosen.seen.pop() == ["root", "hidden", "renamed", "inner"]
    with tracer.trace("web.request", resource="/health"):
        with tracer.trace("below.health"):
            pass
    assert chosen.seen.pop() == ["web.request", "below.health"]
    with tracer.trace("emptied"):
        with tracer.trace("below.emptied"):
            pass
    # The first span of a trace can be taken out as well: those below it have its parent still.
    with tracer.trace("hidden") as hidden:
        tracer.context_provider.activate(hidden)
        with tracer.trace("below.hidden"):
            pass
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    with tracer.trace("broken"):
        pass
    sys.unraisablehook = before
    # The order is that in which they began, wherever they end.
    with tracer.trace("ordered"):
        one = tracer.start_span("one", child_of=tracer.current_span())
        two = tracer.start_span("two", child_of=tracer.current_span())
        thread = threading.Thread(target=two.finish)
        thread.start()
        thread.join()
        one.finish()
    assert chosen.seen[-1] == ["ordered", "one", "two"]
    # What is under another first span is looked at by itself, be it of the same trace: that of the program.
    long = tracer.trace("long")
    tracer.context_provider.activate(None)
    with tracer.trace("short"):
        pass
    assert chosen.seen[-1] == ["short"]
    long.finish()
    assert chosen.seen[-1] == ["long"]
    # A context that has left the process has the trace decided about, which a filter can still take out of it.
    with tracer.trace("told", resource="/health") as told:
        tracer.sample(told)
    # A second filter gets what the first one has left.
    second = Filter()
    tracer.configure(trace_processors=[chosen, second])
    with tracer.trace("twice"):
        with tracer.trace("hidden"):
            pass
    assert (chosen.seen[-1], second.seen) == (["twice", "hidden"], [["twice"]])
    # What was held goes on where there is no filter any more.
    with tracer.trace("without"):
        with tracer.trace("held"):
            pass
        tracer.configure(trace_processors=[])


def open_at_the_end(chosen):
    """A span that never ends keeps nothing else back."""
    with tracer.trace("root"):
        for index in range(5):
            with tracer.trace("done"):
                pass
        tracer.never = tracer.start_span("never", child_of=tracer.current_span())
        with tracer.trace("hidden"):
            pass
    assert chosen.seen == []


def shut_down(chosen):
    """`shutdown` has looked at what is held."""
    tracer.trace("root")
    with tracer.trace("done"):
        pass
    with tracer.trace("hidden"):
        pass
    tracer.shutdown()
    assert chosen.seen == [["done", "hidden"]]
    os._exit(0)


def killed(_):
    """What no filter has seen is not shown by anybody else."""
    tracer.trace("root")
    with tracer.trace("unseen"):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def in_parts(chosen):
    """A large trace is looked at in parts: 300 spans, as the configuration has it, and no more are held."""
    with tracer.trace("root"):
        for index in range(1000):
            with tracer.trace("done" if index % 2 else "hidden"):
                pass
        assert [len(seen) for seen in chosen.seen] == [300] * 3
    assert [len(seen) for seen in chosen.seen] == [300] * 3 + [101] and chosen.seen[-1][0] == "root"


def freed(_):
    """What was recorded is not kept by anybody, though nothing but the quickest of the API is called meanwhile."""

    class Quiet(TraceFilter):
        def process_trace(self, trace):
            return trace

    tracer.configure(trace_processors=[Quiet()])
    with tracer.trace("root"):
        first = None
        for _ in range(300):
            with tracer.trace("done") as span:
                first = first or weakref.ref(span)
        del span
        assert first() is None


def without_parts(chosen):
    """Where traces are not to be sent in parts, there is still a limit."""
    with tracer.trace("root"):
        for _ in range(20_000):
            with tracer.trace("done"):
                pass
        assert len(chosen.seen) == 1


def in_a_child(chosen):
    """A forked child has its own spans to look at, and none of its parent's."""
    root = tracer.trace("root")
    with tracer.trace("done"):
        pass
    child = os.fork()
    if child == 0:
        with tracer.trace("in.child"):
            with tracer.trace("below.child"):
                pass
        assert chosen.seen == [["in.child", "below.child"]]
        root.finish()
        tracer.shutdown()
        assert len(chosen.seen) == 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    root.finish()
    assert chosen.seen == [["root", "done"]]


chosen = Filter()
tracer.configure(trace_processors=[chosen])
globals()[sys.argv[1]](chosen)
