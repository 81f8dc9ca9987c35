//! `Span` of OpenTelemetry's API.

use super::binding::Binding;
use super::processors;
use super::tracer::bound;
use crate::errors::{self, Naming};
use crate::ffi::fast;
use crate::span::{Above, Span};
use crate::values::{self, Value, shown};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::w3c_form;
use ddtrace::record::FieldValue;
use ddtrace::span::{SpanLimits, Status};
use ddtrace::tracer::SpanData;
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
#[pyclass(frozen, weakref, module = "ddtrace_run.otel")]
pub(crate) struct OtelSpan {
    pub(crate) span: Py<Span>,
    conduct: Conduct,
    /// The `SpanContext` of its parent, where that is no span of ours.
    parent: Option<Py<PyAny>>,
    /// Its `SpanContext`, once that was asked for.
    context: PyOnceLock<Py<PyAny>>,
}

/// A link that is to be added.
pub(super) struct LinkTo {
    to: (TraceId, SpanId),
    flags: u8,
    state: String,
    attributes: Vec<(String, Value<'static>)>,
}

impl LinkTo {
    pub(super) fn add(&self, data: &mut SpanData) {
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), value.attribute()));
        data.add_link(self.to, self.flags, &self.state, attributes);
    }
}

/// A `Link` of the API's; `None` for one that leads nowhere and says nothing.
pub(super) fn link(binding: &Binding, link: &Bound<'_, PyAny>) -> PyResult<Option<LinkTo>> {
    let py = link.py();
    let attributes = link.getattr(intern!(py, "attributes"))?;
    link_to(binding, &link.getattr(intern!(py, "context"))?, Some(&attributes))
}

fn link_to(
    binding: &Binding,
    context: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<LinkTo>> {
    if context.is_none() {
        return Ok(None);
    }
    let attributes =
        attributes.filter(|given| !given.is_none()).map(values::attributes).transpose()?.unwrap_or_default();
    let told = binding.read(context)?;
    let py = context.py();
    let state = context.getattr(intern!(py, "trace_state"))?;
    let state: String = match state.is_truthy()? {
        true => state.call_method0(intern!(py, "to_header"))?.extract()?,
        false => String::new(),
    };
    let span = told.span;
    let leads_nowhere = span.trace_id.0 == 0 || span.span_id.0 == 0;
    if leads_nowhere && attributes.is_empty() && state.is_empty() {
        return Ok(None);
    }
    Ok(Some(LinkTo { to: (span.trace_id, span.span_id), flags: span.flags, state, attributes }))
}

impl OtelSpan {
    pub(super) fn new(span: Bound<'_, Span>, conduct: Conduct, parent: Option<Py<PyAny>>) -> OtelSpan {
        OtelSpan { span: span.unbind(), conduct, parent, context: PyOnceLock::new() }
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

    fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        let Some(key) = values::key(key) else { return };
        if let Some(value) = values::attribute(value) {
            self.span.get().change(|data| data.set_attribute(&key, value.attribute()));
        }
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
        if conduct.records_exception {
            errors::record(span, exception, None, None, Naming::OpenTelemetry { escaped })?;
        }
        if conduct.sets_status {
            let description = format!("{}: {}", exception.get_type().name()?, shown(exception));
            span.get().change(|data| data.set_status(Status::Error(description.into())));
        }
        Ok(())
    }

    pub(super) fn finish(slf: &Bound<'_, OtelSpan>, end_ns: Option<u64>) -> PyResult<()> {
        let span = slf.get().span.bind(slf.py());
        if span.get().is_finished() {
            return Ok(());
        }
        processors::ending(slf);
        Span::end(span, end_ns)?;
        processors::ended(slf);
        Ok(())
    }

    /// The `SpanContext` of it. Asking decides whether the trace is kept, where a rule of the configuration can.
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let make = || {
            let span = self.span.get();
            let flags = u8::from(span.trace().is_kept());
            let carried = span.trace().context_so_far(span.id());
            let ids =
                (span.trace().trace_id(), span.id(), flags | (carried.span.flags & ddtrace::context::FLAG_RANDOM));
            Ok::<_, PyErr>(bound(py)?.span_context(py, ids, false, &w3c_form::state_of(&carried))?.unbind())
        };
        Ok(self.context.get_or_try_init(py, make)?.bind(py).clone())
    }
}

fast! {
    /// `set_attribute(key, value)`.
    set_attribute(py, slf: OtelSpan, arguments) {
        if let [Some(key), Some(value)] = arguments.take(py, "set_attribute", [c"key", c"value"])? {
            slf.get().set(&key, &value);
        }
        Ok(py.None().into_bound(py))
    }
}

fast! {
    /// `end(end_time=None)`.
    end(py, slf: OtelSpan, arguments) {
        let [time] = arguments.take(py, "end", [c"end_time"])?;
        let time = time.filter(|time| !time.is_none()).map(|time| time.extract()).transpose()?;
        OtelSpan::finish(&slf.to_owned(), time)?;
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
        if let Some(exception) = value.filter(|value| !value.is_none())
            && slf.get().is_recording()
        {
            OtelSpan::fail(&slf, slf.get().conduct, &exception, true)?;
        }
        OtelSpan::finish(&slf, None)?;
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
    let module = MODULE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("ddtrace_run._readable")?.unbind()))?;
    module.bind(py).getattr(name)?.call1(arguments)
}

type Pairs = Vec<(String, Value<'static>)>;

fn python_pairs<'py>(py: Python<'py>, pairs: &Pairs) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    pairs.iter().map(|(name, value)| Ok((name.clone(), value.to_python(py)?))).collect()
}

/// An event or a link read back, with nothing borrowed.
enum Detail {
    Event(String, u64, Pairs),
    Link((TraceId, SpanId), u8, String, Pairs),
}

impl Detail {
    fn read(value: &FieldValue<'_>, limits: &SpanLimits) -> Option<Detail> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |value: &FieldValue<'_>| Some(Value::read(value)?.cut(limits.nested_attribute_length));
        match value {
            FieldValue::Event(event) => {
                let pairs = event.fields().filter_map(|field| Some((lossy(field.name), read(&field.value)?)));
                let pairs = pairs.filter(|(name, _)| !name.is_empty()).collect();
                Some(Detail::Event(lossy(event.name), event.time_unix_ns, pairs))
            }
            FieldValue::Link(link) => {
                let pairs = link.fields().filter_map(|field| Some((lossy(field.name), read(&field.value)?)));
                let pairs = pairs.filter(|(name, _)| !name.is_empty()).collect();
                Some(Detail::Link((link.trace_id, link.span_id), link.flags, lossy(link.trace_state), pairs))
            }
            _ => None,
        }
    }
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
        timestamp: Option<u64>,
    ) -> PyResult<()> {
        let attributes = attributes.map(values::attributes).transpose()?.unwrap_or_default();
        self.span.get().add_event(&shown(name), timestamp, &attributes);
        Ok(())
    }

    /// Links to another span.
    #[pyo3(signature = (context, attributes=None))]
    fn add_link(&self, context: &Bound<'_, PyAny>, attributes: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if let Some(link) = link_to(bound(context.py())?, context, attributes)? {
            self.span.get().change(|data| link.add(data));
        }
        Ok(())
    }

    /// Changes the name.
    fn update_name(&self, name: &Bound<'_, PyAny>) {
        let name = shown(name);
        self.span.get().change(|data| data.set_name(name.into()));
    }

    /// Says how it ended: a `Status`, or a `StatusCode` and a description.
    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: &Bound<'_, PyAny>, description: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = status.py();
        let (code, description) = match status.getattr_opt(intern!(py, "status_code"))? {
            Some(code) => (code, Some(status.getattr(intern!(py, "description"))?)),
            None => (status.clone(), description.cloned()),
        };
        let code: i64 = code.getattr(intern!(py, "value"))?.extract()?;
        let description = description.filter(|description| description.is_instance_of::<PyString>());
        let status = match code {
            1 => Status::Ok,
            2 => Status::Error(description.map(|description| shown(&description)).unwrap_or_default().into()),
            _ => Status::Unset,
        };
        self.span.get().change(|data| data.set_status(status));
        Ok(())
    }

    /// Adds an event that tells of an exception.
    #[pyo3(signature = (exception, attributes=None, timestamp=None, escaped=false))]
    fn record_exception(
        &self,
        exception: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<u64>,
        escaped: bool,
    ) -> PyResult<()> {
        if !self.is_recording() {
            return Ok(());
        }
        errors::record(
            self.span.bind(exception.py()),
            exception,
            attributes,
            timestamp,
            Naming::OpenTelemetry { escaped },
        )
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
        match &span.above {
            Above::Span(above) if above.get().id() == parent_id => {
                OtelSpan::showing(above.bind(py))?.get().context(py).map(Some)
            }
            Above::Context(context) => {
                let known = context.get().span_context();
                let state = context.get().state();
                let is_remote = context.get().trace().is_none();
                let ids = (known.trace_id, known.span_id, known.trace_flags());
                binding.span_context(py, ids, is_remote, &state).map(Some)
            }
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
            if let Detail::Event(name, time, pairs) = detail {
                events.push((name, time, python_pairs(py, &pairs)?));
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
            if let Detail::Link((trace_id, span_id), flags, state, pairs) = detail {
                let context = bound(py)?.span_context(py, (trace_id, span_id, flags), false, &state)?;
                links.push((context, python_pairs(py, &pairs)?));
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
        let scope = self.span.get().scope.clone();
        let scope = scope.map(|scope| (scope.name.clone(), scope.version.clone()));
        readable(py, "scope", (scope,))
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
