//! `Span` of OpenTelemetry's API.

use super::details::{Detail, Pairs, link_to, python_pairs};
use super::processors;
use super::tracer::bound;
use crate::errors::{self, Naming};
use crate::ffi::fast;
use crate::once::Once;
use crate::shown::{shown, type_name};
use crate::span::{self, ERROR_MESSAGE, Span};
use crate::spared::{keep_first, spared, succeeded};
use crate::store::Active;
use crate::values::{self, Value};
use ddtrace::context::IS_REMOTE;
use ddtrace::ids::SpanId;
use ddtrace::propagation::w3c_form;
use ddtrace::semconv::Key;
use ddtrace::span::Status;
use ddtrace::tracer::{ActiveTrace, AttributeValue, SpanData};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyString};

/// What a span does when a block of code is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conduct {
    pub(crate) records_exception: bool,
    pub(crate) sets_status: bool,
    pub(crate) ends_on_exit: bool,
}

impl Conduct {
    const USUAL: Conduct = Conduct { records_exception: true, sets_status: true, ends_on_exit: true };
}

/// A span as OpenTelemetry's API shows it.
#[pyclass(frozen, dict, weakref, module = "ddtrace_run.otel")]
pub(crate) struct OtelSpan {
    pub(crate) span: Py<Span>,
    conduct: Conduct,
    /// The `SpanContext` of its parent, where that is no span of ours.
    parent: Option<Py<PyAny>>,
}

impl OtelSpan {
    pub(super) fn new(span: Bound<'_, Span>, conduct: Conduct, parent: Option<Py<PyAny>>) -> OtelSpan {
        OtelSpan { span: span.unbind(), conduct, parent }
    }

    /// A span of either API as this one shows it.
    pub(crate) fn showing<'py>(span: &Bound<'py, Span>) -> PyResult<Bound<'py, OtelSpan>> {
        Bound::new(span.py(), OtelSpan::new(span.clone(), Conduct::USUAL, None))
    }

    pub(super) fn is_recording(&self) -> bool {
        self.span.get().is_recording()
    }

    fn details(&self) -> Vec<Detail> {
        self.span.get().read(|data| data.details().filter_map(|value| Detail::read(&value, data.limits())).collect())
    }

    fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(key) = values::key(key) else { return Ok(()) };
        if let Some(value) = values::attribute(value)? {
            self.span.get().change(|data| data.set_attribute(&key, value.attribute()));
        }
        Ok(())
    }

    /// It has failed by an exception that leaves it.
    pub(super) fn fail(
        slf: &Bound<'_, OtelSpan>,
        conduct: Conduct,
        exception: &Bound<'_, PyAny>,
        escaped: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let span = slf.get().span.bind(py);
        let mut told = if conduct.records_exception {
            errors::record(span, exception, None, None, Naming::OpenTelemetry { escaped })
        } else {
            Ok(())
        };
        if conduct.sets_status {
            let described = || Ok(format!("{}: {}", type_name(exception)?, shown(exception)?));
            let described: PyResult<String> = described();
            // It has failed, whatever has kept it from being said why.
            let description = described.as_ref().map_or_else(|_| String::new(), String::clone);
            span.get().change(|data| data.set_status(Status::Error(description.into())));
            keep_first(&mut told, described.map(drop));
        }
        told
    }

    pub(super) fn finish(slf: &Bound<'_, OtelSpan>, end_ns: Option<u64>) -> PyResult<()> {
        let span = slf.get().span.bind(slf.py());
        if span.get().is_finished() {
            return Ok(());
        }
        let mut ended = processors::ending(slf);
        keep_first(&mut ended, Span::end(span, end_ns));
        keep_first(&mut ended, processors::ended(slf));
        ended
    }

    /// The `SpanContext` of it.
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        OtelSpan::context_of(py, self.span.get())
    }

    /// The `SpanContext` of a span. Asking decides whether the trace is kept, where a rule of the configuration can.
    fn context_of<'py>(py: Python<'py>, span: &Span) -> PyResult<Bound<'py, PyAny>> {
        let make = || OtelSpan::context_in(py, span.trace(), span.id()).map(Bound::unbind);
        Ok(span.otel_context.get_or_make(py, make)?.bind(py).clone())
    }

    fn context_in<'py>(py: Python<'py>, trace: &ActiveTrace, id: SpanId) -> PyResult<Bound<'py, PyAny>> {
        let flags = u8::from(trace.is_kept());
        let carried = trace.context_so_far(id);
        let ids = (trace.trace_id(), id, flags | (carried.span.flags & ddtrace::context::FLAG_RANDOM));
        bound(py)?.span_context(py, ids, false, &w3c_form::state_of(&carried))
    }
}

fast! {
    /// `set_attribute(key, value)`.
    set_attribute(py, slf: OtelSpan, arguments) {
        if let [Some(key), Some(value)] = arguments.take(py, "set_attribute", [c"key", c"value"])? {
            slf.get().set(&key, &value)?;
        }
        Ok(py.None().into_bound(py))
    }
}

fast! {
    /// `end(end_time=None)`.
    end(py, slf: OtelSpan, arguments) {
        let [time] = arguments.take(py, "end", [c"end_time"])?;
        OtelSpan::finish(&slf.to_owned(), values::time(time.as_deref())?)?;
        Ok(py.None().into_bound(py))
    }
}

fast! {
    /// `is_recording()`.
    is_recording(py, slf: OtelSpan, _arguments) {
        Ok(PyBool::new(py, slf.get().is_recording()).to_owned().into_any())
    }
}

fast! {
    /// `get_span_context()`.
    get_span_context(py, slf: OtelSpan, _arguments) {
        slf.get().context(py)
    }
}

fast! {
    /// `__enter__()`.
    enter(py, slf: OtelSpan, _arguments) {
        let _ = py;
        Ok(slf.to_owned().into_any())
    }
}

fast! {
    /// `__exit__(exc_type, exc_val, exc_tb)`.
    exit(py, slf: OtelSpan, arguments) {
        let [_, value, _] = arguments.take(py, "__exit__", [c"exc_type", c"exc_val", c"exc_tb"])?;
        let slf = slf.to_owned();
        let told = match value.filter(|value| !value.is_none()) {
            Some(exception) if slf.get().is_recording() => {
                OtelSpan::fail(&slf, slf.get().conduct, &exception, true)
            }
            _ => Ok(()),
        };
        span::left(py, [told, OtelSpan::finish(&slf, None)])?;
        Ok(PyBool::new(py, false).to_owned().into_any())
    }
}

/// What `_readable` in Python makes of raw values: what the SDK's spans show.
fn readable<'py>(
    py: Python<'py>,
    name: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_make(py, || Ok::<_, PyErr>(py.import("ddtrace_run._readable")?.unbind()))?;
    module.bind(py).getattr(name)?.call1(arguments)
}

#[pymethods]
impl OtelSpan {
    /// Sets attributes.
    fn set_attributes(&self, attributes: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(attributes) = attributes else { return Ok(()) };
        let pairs = values::attributes(attributes)?;
        self.span.get().change(|data| {
            pairs.iter().for_each(|(name, value)| data.set_attribute(name, value.attribute()));
        });
        Ok(())
    }

    /// Adds an event at a time in nanoseconds, or now.
    #[pyo3(signature = (name, attributes=None, timestamp=None))]
    fn add_event(
        &self,
        name: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let attributes = attributes.map(values::attributes).transpose()?.unwrap_or_default();
        self.span.get().add_event(&shown(name)?, values::time(timestamp)?, &attributes);
        Ok(())
    }

    /// Links to another span.
    #[pyo3(signature = (context, attributes=None))]
    fn add_link(&self, context: &Bound<'_, PyAny>, attributes: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = context.py();
        if let Some(link) = spared(py, link_to(bound(py)?, context, attributes))? {
            self.span.get().change(|data| link.add(data));
        }
        Ok(())
    }

    /// Changes the name.
    fn update_name(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        let (name, span) = (shown(name)?, self.span.get());
        span.change(|data| {
            if !span.is_otel() {
                // What Datadog's API calls the resource is this API's name.
                data.set_text(Key::ResourceName, &name);
            }
            data.set_name(name.into());
        });
        Ok(())
    }

    /// Says how it ended: a `Status`, or a `StatusCode` and a description. All else says nothing.
    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: &Bound<'_, PyAny>, description: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = status.py();
        let (code, description) = match succeeded(py, status.getattr(intern!(py, "status_code")))? {
            Some(code) => (code, succeeded(py, status.getattr(intern!(py, "description")))?),
            None => (status.clone(), description.cloned()),
        };
        let code = succeeded(py, code.getattr(intern!(py, "value")).and_then(|code| code.extract::<i64>()))?;
        let description = description.filter(|description| description.is_instance_of::<PyString>());
        let status = match code {
            Some(1) => Status::Ok,
            Some(2) => {
                let description = description.map(|description| shown(&description)).transpose()?;
                Status::Error(description.unwrap_or_default().into())
            }
            _ => return Ok(()),
        };
        let span = self.span.get();
        span.change(|data| {
            data.set_status(status);
            if let Status::Error(description) = data.status().clone()
                && !span.is_otel()
                && !description.is_empty()
            {
                // In Datadog's API it is a tag.
                data.set_attribute(ERROR_MESSAGE, AttributeValue::Text(&description));
            }
        });
        Ok(())
    }

    /// Adds an event that tells of an exception.
    #[pyo3(
        signature = (exception, attributes=None, timestamp=None, escaped=None),
        text_signature = "($self, exception, attributes=None, timestamp=None, escaped=False)"
    )]
    fn record_exception(
        &self,
        exception: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        escaped: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if !self.is_recording() {
            return Ok(());
        }
        let py = exception.py();
        let escaped = escaped.map(|escaped| spared(py, escaped.is_truthy())).transpose()?.unwrap_or(false);
        let (span, time) = (self.span.bind(py), values::time(timestamp)?);
        errors::record(span, exception, attributes, time, Naming::OpenTelemetry { escaped })
    }

    /// Its name.
    #[getter]
    fn name(&self) -> String {
        self.span.get().read(|data| data.name().into())
    }

    /// Its kind.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let kind = self.span.get().read(SpanData::kind);
        Ok(bound(py)?.kind_object(py, kind))
    }

    /// Its context.
    #[getter(context)]
    fn its_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.context(py)
    }

    /// The context of what it is under; None for a root.
    #[getter]
    fn parent<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(parent) = &self.parent {
            return Ok(Some(parent.bind(py).clone()));
        }
        let span = self.span.get();
        let binding = bound(py)?;
        let parent_id = span.read(SpanData::parent_id);
        if parent_id.0 == 0 {
            return Ok(None);
        }
        match span.started_under(py) {
            Some(Active::Span(above)) if above.get().id() == parent_id => {
                OtelSpan::context_of(py, above.get()).map(Some)
            }
            Some(Active::Context(context)) => {
                let known = context.get().span_context();
                let state = context.get().state();
                let is_remote = context.get().trace().is_none();
                let ids = (known.trace_id, known.span_id, known.trace_flags());
                binding.span_context(py, ids, is_remote, &state).map(Some)
            }
            // It was one of the same trace.
            None => OtelSpan::context_in(py, span.trace(), parent_id).map(Some),
            _ => binding.span_context(py, (span.trace().trace_id(), parent_id, 1), false, "").map(Some),
        }
    }

    /// Its attributes, as a mapping that cannot be changed; texts are as long as they are sent.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pairs: Pairs = self.span.get().read(|data| {
            let read = |value| Some(Value::read(&value)?.cut(data.limits().attribute_length));
            data.attributes().filter_map(|(name, value)| Some((name.into(), read(value)?))).collect()
        });
        readable(py, "attributes", (python_pairs(py, &pairs)?,))
    }

    /// Its events, in the order in which they were added.
    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let details = self.details();
        let mut events = Vec::new();
        for detail in details {
            if let Detail::Event(name, time, pairs, left_out) = detail {
                events.push((name, time, python_pairs(py, &pairs)?, left_out));
            }
        }
        readable(py, "events", (events,))
    }

    /// Its links, in the order in which they were added.
    #[getter]
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let details = self.details();
        let mut links = Vec::new();
        for detail in details {
            if let Detail::Link((trace_id, span_id), flags, state, pairs, left_out) = detail {
                let is_remote = flags & IS_REMOTE != 0;
                let context = bound(py)?.span_context(py, (trace_id, span_id, flags as u8), is_remote, &state)?;
                links.push((context, python_pairs(py, &pairs)?, left_out));
            }
        }
        readable(py, "links", (links,))
    }

    /// How it ended, so far.
    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (code, description) = match self.span.get().read(|data| data.status().clone()) {
            Status::Unset => (0, None),
            Status::Ok => (1, None),
            Status::Error(description) => (2, Some(description).filter(|description| !description.is_empty())),
        };
        readable(py, "status", (code, description))
    }

    /// When it started, in nanoseconds since the Unix epoch.
    #[getter]
    fn start_time(&self) -> u64 {
        self.span.get().start_ns()
    }

    /// When it ended, in nanoseconds since the Unix epoch; None until then.
    #[getter]
    fn end_time(&self) -> Option<u64> {
        self.span.get().end_ns()
    }

    /// How many attributes found no room.
    #[getter]
    fn dropped_attributes(&self) -> u32 {
        self.span.get().read(|data| data.dropped()[0])
    }

    /// How many events found no room.
    #[getter]
    fn dropped_events(&self) -> u32 {
        self.span.get().read(|data| data.dropped()[1])
    }

    /// How many links found no room.
    #[getter]
    fn dropped_links(&self) -> u32 {
        self.span.get().read(|data| data.dropped()[2])
    }

    /// What records.
    #[getter]
    fn resource<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        readable(py, "resource", ())
    }

    /// What made it.
    #[getter]
    fn instrumentation_scope<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let made_by = self.span.get().made_by.as_deref().map(|made_by| made_by.told(py));
        readable(py, "scope", (made_by,))
    }

    /// The same, by its older name.
    #[getter]
    fn instrumentation_info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.instrumentation_scope(py)
    }

    /// Itself as JSON, in the layout of the SDK.
    #[pyo3(signature = (indent=4))]
    fn to_json<'py>(slf: &Bound<'py, Self>, indent: Option<usize>) -> PyResult<Bound<'py, PyAny>> {
        readable(slf.py(), "to_json", (slf, indent))
    }

    /// The span of Datadog's API that it is.
    #[getter]
    fn _ddspan(&self, py: Python<'_>) -> Py<Span> {
        self.span.clone_ref(py)
    }

    /// A span is one thing, of which there is no second.
    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, memo: &Bound<'_, PyAny>) -> Py<Self> {
        let _ = memo;
        slf
    }

    /// Another process gets what it may know of it: its context.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyAny>,))> {
        Ok((bound(py)?.non_recording_class(py), (self.context(py)?,)))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<OtelSpan>().is_ok_and(|other| other.get().span.is(&self.span))
    }

    fn __hash__(&self) -> usize {
        self.span.as_ptr() as usize >> 4
    }

    fn __repr__(&self) -> String {
        let span = self.span.get();
        format!(
            "Span(name=\"{}\", trace_id=0x{:032x}, span_id=0x{:016x})",
            self.name(),
            span.trace().trace_id().0,
            span.id().0
        )
    }
}
