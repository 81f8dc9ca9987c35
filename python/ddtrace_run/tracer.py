"""The program's tracer, by Datadog's API."""

from ddtrace_run import _native


class Tracer(_native.Tracer):
    """Starts spans. There is one tracer in a program; whoever makes another one of this class gets it."""

    SHUTDOWN_TIMEOUT = 5

    _instance = None

    def __new__(cls, *_, **__):
        if cls is not Tracer:
            # A class of the program's own, with methods of its own, by which spans of the same program are made.
            return super().__new__(cls)
        if Tracer._instance is None:
            Tracer._instance = super().__new__(cls)
        return Tracer._instance

    def __init__(self, *_, **__):
        # Nothing: whoever makes another one must not change the one that there is.
        pass

    #: What is active, and what becomes so.
    context_provider = _native.ContextProvider()

    def wrap(self, name=None, service=None, resource=None, span_type=None):
        """Decorates functions, coroutines and generators: each call is a span."""

        def decorate(function):
            from ddtrace_run._wrap import traced

            return traced(self.trace, function, name, service, resource, span_type)

        return decorate

    def configure(self, *_, trace_processors=None, context_provider=None, **__):
        """Changes what can be changed at run time: who looks at finished traces before they are recorded."""
        if trace_processors is not None:
            import atexit

            trace_processors = list(trace_processors)
            self._set_processors(trace_processors)
            # What waits for the rest of its trace is looked at before the program ends, once.
            atexit.unregister(self._hand_on)
            if trace_processors:
                atexit.register(self._hand_on)

    @property
    def agent_trace_url(self):
        """Where spans go is the business of ddtrace-run: None."""
        return None

    @property
    def _span_processors(self):
        return ()


tracer = Tracer()
