"""The provider of the OpenTelemetry API.

`imported` is called when the program has imported `opentelemetry.trace`. From then on our tracer stands in for the provider
that the program has not set (yet): a program without an SDK of its own is traced, and one that sets up its own is left
alone.
"""

import atexit
import os
import sys
from collections.abc import Mapping

from opentelemetry import context as _context_api
from opentelemetry import trace as _trace_api

from ddtrace_run import _finder, _native


def imported(trace):
    """`opentelemetry.trace` has been imported: ours stands in where no provider is set."""
    mode = _native.otel_mode()
    if mode in ("false", "disabled"):
        return
    if _is_sdk_of_its_own():
        return
    _bind()
    if mode == "true":
        # Asked for by name: what the program sets up later is refused by the API, as with Datadog's tracer.
        if trace._TRACER_PROVIDER is None and "OTEL_PYTHON_TRACER_PROVIDER" not in os.environ:
            trace.set_tracer_provider(TracerProvider())
            _set_propagator()
    elif hasattr(trace, "_PROXY_TRACER_PROVIDER"):
        trace._PROXY_TRACER_PROVIDER = _StandIn()


def propagate_imported(propagate):
    """`opentelemetry.propagate` has been imported: contexts are written and read by our configuration from then on, also where
    no tracer is asked for, and where nothing is recorded: what OTEL_PROPAGATORS names works with OTEL_SDK_DISABLED as well.
    An SDK that the program sets up later has its own again, unless OTEL_PROPAGATORS has names that only ours knows."""
    is_wanted = _native.otel_mode() != "false" and not _is_sdk_of_its_own()
    if is_wanted or _finder.has_missing_propagators:
        _bind()
        _set_propagator()


def _is_sdk_of_its_own():
    """Whether the program is started with an SDK of its own: `opentelemetry-instrument` sets it up at the start."""
    return bool(os.environ.get("OTEL_PYTHON_TRACER_PROVIDER", "").strip() not in ("", "ddtrace_run"))


def _bind():
    """Tells the extension what the API is."""
    if _native.is_otel_bound():
        return
    from opentelemetry import baggage
    from opentelemetry.trace import propagation

    # Older releases look for it only when it is used.
    _context_api.get_current()
    runtime = _context_api._RUNTIME_CONTEXT
    variable = getattr(runtime, "_current_context", None)
    if variable is None or not hasattr(variable, "reset"):
        variable = _Runtime(runtime)
    _native.bind_otel(_trace_api, variable, [propagation._SPAN_KEY, baggage._BAGGAGE_KEY])
    # The program may make spans current by the API itself, and native code is to be told of those, too.
    telling = _native.telling_runtime()
    if telling is not None and variable is getattr(runtime, "_current_context", None):
        runtime.attach, runtime.detach = telling
    _trace_api.Span.register(_native.OtelSpan)
    _trace_api.Tracer.register(_native.OtelTracer)


class _Runtime:
    """A runtime context of another kind (`OTEL_PYTHON_CONTEXT`), used as a context variable is."""

    def __init__(self, runtime):
        self._runtime = runtime

    def get(self, default=None):
        return self._runtime.get_current()

    def set(self, context):
        return self._runtime.attach(context)

    def reset(self, token):
        self._runtime.detach(token)


class TracerProvider(_trace_api.TracerProvider):
    """Gives tracers whose spans are those of ddtrace-run."""

    _is_ddtrace_run = True
    _is_default = False

    def __init__(self, *_, **__):
        # Whatever an SDK would be configured by is configured by the environment here.
        _bind()
        self._tracers = {}

    def get_tracer(self, instrumenting_module_name, instrumenting_library_version=None, schema_url=None, attributes=None):
        """A tracer for one instrumentation; the same one for the same scope."""
        name = instrumenting_module_name or ""
        attributes = dict(attributes) if isinstance(attributes, Mapping) else None
        try:
            key = (name, instrumenting_library_version, schema_url, tuple(sorted((attributes or {}).items())))
            tracer = self._tracers.get(key)
        except TypeError:
            key = tracer = None
        if tracer is None:
            tracer = _native.OtelTracer(
                name, instrumenting_library_version, schema_url, attributes, self._is_default
            )
            if key is not None:
                tracer = self._tracers.setdefault(key, tracer)
        return tracer

    @property
    def resource(self):
        """What records: `resource.attributes` has the service and the tags of the configuration."""
        from ddtrace_run import _readable

        return _readable.resource()

    def add_span_processor(self, span_processor):
        """Has a processor called with each span of this API that starts and ends, and shut down when the program ends."""
        _native.add_span_processor(span_processor)
        # Once, whatever is added, and by however many providers.
        atexit.unregister(_shut_down)
        atexit.register(_shut_down)

    def force_flush(self, timeout_millis=30000):
        """Has the processors flush; of ours there is nothing to flush."""
        flushed = [processor.force_flush(timeout_millis) for processor in _native.span_processors()]
        return all(result is not False for result in flushed)

    def shutdown(self):
        """Shuts the processors down; of ours there is nothing to shut down."""
        _shut_down()


def _shut_down():
    """Shuts the processors down, of all providers, as their spans are the same; at the end of the program, if not before."""
    atexit.unregister(_shut_down)
    for processor in _native.span_processors():
        processor.shutdown()


class _StandIn(TracerProvider, _trace_api.ProxyTracerProvider):
    """The provider while the program has set none; its tracers hand over to the one that is set later."""

    _is_default = True

    @property
    def resource(self):
        """What records; none, as the API's own stand-in has none, where the program has loaded an SDK: there it is the mark of
        a provider that has been set up, and programs make a resource of their own as long as it is missing."""
        if "opentelemetry.sdk.trace" in sys.modules:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'resource'")
        return TracerProvider.resource.fget(self)

    def get_tracer(self, instrumenting_module_name, instrumenting_library_version=None, schema_url=None, attributes=None):
        real = _trace_api._TRACER_PROVIDER
        if real is not None:
            told = (instrumenting_module_name, instrumenting_library_version, schema_url)
            # Providers of releases before 1.26 take no attributes; the API of those hands over none.
            return real.get_tracer(*told) if attributes is None else real.get_tracer(*told, attributes)
        _set_propagator()
        return TracerProvider.get_tracer(
            self, instrumenting_module_name, instrumenting_library_version, schema_url, attributes
        )


def _set_propagator():
    """Has contexts written and read as our configuration says, unless the program has chosen a propagator."""
    try:
        from opentelemetry import propagate
    except ImportError:
        # The interpreter is ending, and a finalizer asks for the first tracer: nothing more is imported.
        return
    before = propagate.get_global_textmap()
    if type(before).__module__ == "opentelemetry.propagators.composite":
        propagate.set_global_textmap(_make_propagator(before))


def _make_propagator(before):
    from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter

    def is_ours():
        provider = _trace_api._TRACER_PROVIDER
        return _finder.has_missing_propagators or provider is None or getattr(provider, "_is_ddtrace_run", False)

    class Propagator(TextMapPropagator):
        """Headers in every style that the configuration names; those of `before` once the program has a provider of its
        own, where that knows all names."""

        def extract(self, carrier, context=None, getter=default_getter):
            """The context that a carrier brings."""
            if not is_ours():
                return before.extract(carrier, context, getter)
            return _native.otel_extract(carrier, context, getter)

        def inject(self, carrier, context=None, setter=default_setter):
            """Writes a context into a carrier."""
            if not is_ours():
                return before.inject(carrier, context, setter)
            return _native.otel_inject(carrier, context, setter)

        @property
        def fields(self):
            """The names of the headers."""
            return set(_native.otel_fields()) if is_ours() else before.fields

    return Propagator()


# Whoever imports `ddtrace.opentelemetry` first has the API imported by this module.
_finder.catch_up(__name__)
