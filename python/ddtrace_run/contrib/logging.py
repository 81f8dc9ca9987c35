"""Records of `logging` that say of which span they are.

The attributes are put on each record when a logger has made it, by whatever factory the program has set. Nothing else of
`logging` is touched, unless OTEL_PYTHON_LOG_CORRELATION asks for a format that shows them.
"""

import functools
import os
import sys

_FORMAT = (
    "%(asctime)s %(levelname)s [%(name)s] [%(filename)s:%(lineno)d] [trace_id=%(otelTraceID)s span_id=%(otelSpanID)s "
    "resource.service.name=%(otelServiceName)s trace_sampled=%(otelTraceSampled)s] - %(message)s"
)


def _is_true(name):
    return os.environ.get(name, "").strip().lower() in ("true", "1", "structured")


def _is_false(name):
    return os.environ.get(name, "").strip().lower() in ("false", "0")


#: Fields in OpenTelemetry's style are those of programs that ask for them, in Datadog's those of all that do not refuse them.
is_otel_asked_for = _is_true("OTEL_PYTHON_LOG_CORRELATION")
is_datadog_refused = _is_false("DD_LOGS_INJECTION")

#: Whether what they say of the service is to be known before the program has used an API.
is_asked_for = is_otel_asked_for or _is_true("DD_LOGS_INJECTION")


def is_wanted(name):
    """Whether log records of a library are to have the fields."""
    # As of all integrations, what is neither true nor 1 is false.
    is_on = os.environ.get("DD_TRACE_%s_ENABLED" % name.upper(), "").strip().lower() in ("", "true", "1")
    return is_on and (is_otel_asked_for or not is_datadog_refused)


def imported(logging):
    """`logging` has been imported."""
    if not is_wanted("logging"):
        return
    make = logging.Logger.makeRecord

    @functools.wraps(make)
    def makeRecord(self, *args, **kwargs):
        record = make(self, *args, **kwargs)
        attributes = getattr(record, "__dict__", None)
        if attributes is not None:
            for name, value in fields().items():
                attributes.setdefault(name, value)
        return record

    logging.Logger.makeRecord = makeRecord
    for style in (logging.PercentStyle, logging.StrFormatStyle, logging.StringTemplateStyle):
        _fill_in(style)
    if not is_datadog_refused:
        _format_by_braces(logging)
    if is_otel_asked_for:
        level = os.environ.get("OTEL_PYTHON_LOG_LEVEL", "").strip().upper()
        logging.basicConfig(
            format=os.environ.get("OTEL_PYTHON_LOG_FORMAT") or _FORMAT,
            level=getattr(logging, level) if level in ("DEBUG", "INFO", "WARNING", "ERROR") else logging.INFO,
        )


def _fill_in(style):
    """A format may name the fields of a record that no logger has made: one of `logging.makeLogRecord`, as those that come from
    other processes are. It has them for as long as it is formatted."""
    format_record = style._format

    @functools.wraps(format_record)
    def _format(self, record):
        try:
            return format_record(self, record)
        except KeyError as error:
            attributes = record.__dict__
            added = {name: value for name, value in fields().items() if name not in attributes}
            if not error.args or error.args[0] not in added:
                raise
        attributes.update(added)
        try:
            return format_record(self, record)
        finally:
            for name in added:
                attributes.pop(name, None)

    style._format = _format


class _Fields:
    """What `{dd.trace_id}` and the like are looked up in."""

    def __init__(self, attributes):
        for name, value in attributes.items():
            if name.startswith("dd."):
                setattr(self, name[3:], value)


def _format_by_braces(logging):
    """Formats in braces take a name with a dot for an attribute of something."""
    format_record = logging.StrFormatStyle._format

    @functools.wraps(format_record)
    def _format(self, record):
        if "{dd." not in self._fmt or hasattr(record, "dd"):
            return format_record(self, record)
        attributes = record.__dict__
        record.dd = _Fields(attributes if "dd.trace_id" in attributes else {**fields(), **attributes})
        try:
            return format_record(self, record)
        finally:
            # The next formatter may show all that a record has.
            del record.dd

    logging.StrFormatStyle._format = _format


def fields():
    """What a log record is to have now: of the active span, and of what is configured."""
    native = sys.modules.get("ddtrace_run._native")
    if native is None and is_asked_for:
        try:
            from ddtrace_run import _native as native
        except ImportError:
            # The interpreter is ending.
            pass
    shown = dict(_WITHOUT_TRACER) if native is None else _tracer(native).get_log_correlation_context()
    is_nothing_active = shown["dd.trace_id"] == "0"
    span = _current_of_opentelemetry() if is_nothing_active or is_otel_asked_for else None
    if span is not None and is_nothing_active:
        trace_id = span.trace_id
        shown["dd.trace_id"] = "%032x" % trace_id if trace_id >> 64 else str(trace_id)
        shown["dd.span_id"] = str(span.span_id)
    if not is_otel_asked_for:
        return shown
    in_both = {} if is_datadog_refused else dict(shown)
    trace_id, span_id = shown["dd.trace_id"], int(shown["dd.span_id"])
    trace_id = int(trace_id, 16 if len(trace_id) == 32 else 10)
    if span is not None and (span.trace_id, span.span_id) != (trace_id, span_id):
        trace_id, span_id, is_nothing_active = span.trace_id, span.span_id, True
    in_both["otelSpanID"] = "%016x" % span_id if span_id else "0"
    in_both["otelTraceID"] = "%032x" % trace_id if trace_id else "0"
    in_both["otelTraceSampled"] = bool(trace_id and _is_sampled(native, span if is_nothing_active else None))
    in_both["otelServiceName"] = shown["dd.service"]
    return in_both


@functools.lru_cache(maxsize=None)
def _tracer(native):
    return native.Tracer()


#: As long as nobody has used an API.
_WITHOUT_TRACER = {
    "dd.trace_id": "0",
    "dd.span_id": "0",
    **{"dd." + name: os.environ.get("DD_" + name.upper(), "") for name in ("service", "env", "version")},
}


def _current_of_opentelemetry():
    """The context of the current span of the OpenTelemetry API, if there is one: it may have ended, and may be of a provider of the
    program's own."""
    trace = sys.modules.get("opentelemetry.trace")
    # It may be about to be imported.
    get_current_span = getattr(trace, "get_current_span", None)
    if get_current_span is None:
        return None
    context = get_current_span().get_span_context()
    return context if context.is_valid else None


def _is_sampled(native, span):
    if span is not None:
        return span.trace_flags.sampled
    context = _tracer(native).current_trace_context()
    return context is not None and context._is_sampled
