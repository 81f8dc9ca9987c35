"""What spans of OpenTelemetry's API show to those who read them, in the layout of its SDK: made when it is asked for."""

import datetime
import json
from collections import namedtuple
from types import MappingProxyType

from opentelemetry import trace as _trace_api
from opentelemetry.trace.status import Status, StatusCode

from ddtrace_run import _native

Event = namedtuple("Event", "name timestamp attributes dropped_attributes", defaults=(0,))


class _Compared:
    """What exporters put spans together by: what says the same is the same."""

    def __init__(self, attributes=(), schema_url=""):
        self.attributes = MappingProxyType(dict(attributes))
        self.schema_url = schema_url or ""

    def _compared(self):
        return self.schema_url, dict(self.attributes)

    def __eq__(self, other):
        return self._compared() == other._compared() if type(other) is type(self) else NotImplemented

    def __hash__(self):
        return hash((self.schema_url, *sorted(self.attributes)))


class InstrumentationScope(_Compared):
    """What made a span."""

    def __init__(self, name, version="", schema_url="", attributes=()):
        super().__init__(attributes, schema_url)
        self.name, self.version = name, version

    def _compared(self):
        return self.name, self.version, *super()._compared()

    def __hash__(self):
        return hash((self.name, self.version, super().__hash__()))

    def __repr__(self):
        return f"InstrumentationScope({self.name}, {self.version}, {self.schema_url}, {dict(self.attributes)})"

    def to_json(self, indent=4):
        """Itself as JSON."""
        shown = {"name": self.name, "version": self.version, "schema_url": self.schema_url}
        return json.dumps({**shown, "attributes": dict(self.attributes) or None}, indent=indent)


class Resource(_Compared):
    """What records."""

    def to_json(self, indent=4):
        """Itself as JSON."""
        return json.dumps({"attributes": dict(self.attributes), "schema_url": self.schema_url}, indent=indent)


def attributes(pairs):
    return MappingProxyType(dict(pairs))


def events(given):
    return tuple(Event(name, time, attributes(pairs), left_out) for name, time, pairs, left_out in given)


class _Link(_trace_api.Link):
    def __init__(self, context, pairs, left_out):
        super().__init__(context, pairs)
        self._left_out = left_out

    @property
    def dropped_attributes(self):
        return self._left_out


def links(given):
    return tuple(_Link(context, attributes(pairs), left_out) for context, pairs, left_out in given)


def status(code, description):
    return Status(StatusCode(code), description)


def scope(given):
    name, version, schema_url, pairs = given or ("", None, None, None)
    return InstrumentationScope(name, version or "", schema_url, attributes(pairs or {}))


def resource():
    return Resource(_native.resource_attributes())


def _time(nanoseconds):
    if nanoseconds is None:
        return None
    time = datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.timezone.utc)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _context(context):
    return {
        "trace_id": f"0x{_trace_api.format_trace_id(context.trace_id)}",
        "span_id": f"0x{_trace_api.format_span_id(context.span_id)}",
        "trace_state": repr(context.trace_state),
    }


def to_json(span, indent=4):
    said = {"status_code": str(span.status.status_code.name)}
    if span.status.description:
        said["description"] = span.status.description
    return json.dumps(
        {
            "name": span.name,
            "context": _context(span.context),
            "kind": str(span.kind),
            "parent_id": f"0x{_trace_api.format_span_id(span.parent.span_id)}" if span.parent else None,
            "start_time": _time(span.start_time),
            "end_time": _time(span.end_time),
            "status": said,
            "attributes": dict(span.attributes),
            "events": [
                {"name": event.name, "timestamp": _time(event.timestamp), "attributes": dict(event.attributes)}
                for event in span.events
            ],
            "links": [{"context": _context(link.context), "attributes": dict(link.attributes)} for link in span.links],
            "resource": json.loads(resource().to_json()),
        },
        indent=indent,
    )
