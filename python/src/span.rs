//! `Span` of Datadog's API. Spans of OpenTelemetry's API are such spans as well, shown through [`crate::otel`].

use crate::context::Context;
use crate::ffi::{fast, text};
use crate::otel::span::OtelSpan;
use crate::shared::Shared;
use crate::store;
use crate::values::{self, Value, shown};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::semconv::Key;
use ddtrace::span::{Scope, Status};
use ddtrace::tracer::{ActiveTrace, LiveSpan, SpanData, now_unix_ns};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a span is under, and what becomes active again when it has ended.
#[derive(Debug)]
pub(crate) enum Above {
    Nothing,
    Span(Py<Span>),
    Context(Py<Context>),
}

/// A span.
#[pyclass(frozen, weakref, module = "ddtrace.trace")]
pub(crate) struct Span {
    /// Never locked while code of the program's can run: that could come back here.
    live: Mutex<LiveSpan>,
    trace: Arc<ActiveTrace>,
    id: SpanId,
    start_ns: u64,
    /// -1 until it is finished.
    duration_ns: AtomicI64,
    pub(crate) above: Above,
    pub(crate) shared: Arc<Shared>,
    /// What stood in the context of OpenTelemetry's API before it.
    pub(crate) replaced: PyOnceLock<Py<OtelSpan>>,
    /// Its `context`, once that was asked for.
    context: PyOnceLock<Py<Context>>,
    /// Made through OpenTelemetry's API.
    pub(crate) is_otel: bool,
    /// What made it.
    pub(crate) scope: Option<Arc<Scope>>,
}

impl Span {
    pub(crate) fn of(
        live: LiveSpan,
        start_ns: u64,
        above: Above,
        shared: Arc<Shared>,
        is_otel: bool,
        scope: Option<Arc<Scope>>,
    ) -> Span {
        Span {
            trace: Arc::clone(live.trace()),
            id: live.id(),
            live: Mutex::new(live),
            start_ns,
            duration_ns: AtomicI64::new(-1),
            above,
            shared,
            replaced: PyOnceLock::new(),
            context: PyOnceLock::new(),
            is_otel,
            scope,
        }
    }

    fn live(&self) -> MutexGuard<'_, LiveSpan> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what it holds. `look` must not call Python.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&SpanData) -> T) -> T {
        self.live().read(look)
    }

    /// Changes what it holds, until it has ended. `change` must not call Python.
    pub(crate) fn change(&self, change: impl FnOnce(&mut SpanData)) -> bool {
        self.live().change(change)
    }

    pub(crate) fn trace(&self) -> &Arc<ActiveTrace> {
        &self.trace
    }

    pub(crate) fn id(&self) -> SpanId {
        self.id
    }

    pub(crate) fn start_ns(&self) -> u64 {
        self.start_ns
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.duration_ns.load(Ordering::Relaxed) >= 0
    }

    pub(crate) fn is_recording(&self) -> bool {
        !self.is_finished() && self.live().is_recording()
    }

    pub(crate) fn end_ns(&self) -> Option<u64> {
        let duration = u64::try_from(self.duration_ns.load(Ordering::Relaxed)).ok()?;
        Some(self.start_ns + duration)
    }

    /// The context of a span.
    pub(crate) fn context<'py>(slf: &Bound<'py, Span>) -> PyResult<Bound<'py, Context>> {
        let (py, this) = (slf.py(), slf.get());
        let make = || Py::new(py, Context::local(Arc::clone(&this.trace), this.id, Arc::clone(&this.shared)));
        Ok(this.context.get_or_try_init(py, make)?.bind(py).clone())
    }

    /// Ends it, and makes active what was so before it, if it is active here.
    pub(crate) fn end(slf: &Bound<'_, Span>, end_ns: Option<u64>) -> PyResult<()> {
        let this = slf.get();
        let end_ns = end_ns.unwrap_or_else(now_unix_ns);
        let duration = i64::try_from(end_ns.saturating_sub(this.start_ns)).unwrap_or(i64::MAX);
        if this.duration_ns.compare_exchange(-1, duration, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Ok(());
        }
        if crate::processors::are_there() {
            crate::processors::finished(slf)?;
        } else {
            this.live().end_at(end_ns);
        }
        store::leave(slf)
    }

    /// Records the end, once whoever wanted to look at it has done so.
    pub(crate) fn record_end(&self) {
        if let Some(end_ns) = self.end_ns() {
            self.live().end_at(end_ns);
        }
    }

    /// The service that was given to it or to one above it.
    pub(crate) fn own_service(&self) -> Option<String> {
        self.read(|data| data.text(Key::Service).map(String::from))
    }

    fn set_text(&self, key: Key, value: Option<&Bound<'_, PyAny>>) {
        let value = value.filter(|value| !value.is_none()).map(shown).unwrap_or_default();
        self.change(|data| data.set_text(key, &value));
    }

    fn texts(&self, key: Key) -> Option<String> {
        self.read(|data| data.text(key).map(String::from))
    }

    fn attribute(&self, name: &str) -> Option<Value<'static>> {
        self.read(|data| data.attribute(name).and_then(|value| Value::read(&value)))
    }

    fn set(&self, key: &str, value: &Value<'_>) {
        match key {
            "service.name" => {
                if let Value::Text(service) = value {
                    self.change(|data| data.set_text(Key::Service, service));
                }
            }
            "_dd.measured" => {
                let measured = !matches!(value, Value::Integer(0));
                self.change(|data| data.set_measured(measured));
            }
            "service.version" => {
                self.change(|data| {
                    data.set_attribute(key, value.attribute());
                    data.set_attribute("version", value.attribute());
                });
            }
            _ => {
                self.change(|data| data.set_attribute(key, value.attribute()));
            }
        }
    }

    /// `set_tag` of Datadog's API.
    pub(crate) fn tag(&self, key: &str, value: Option<&Bound<'_, PyAny>>) {
        let Some(value) = value else { return self.set(key, &Value::Text("None".into())) };
        if key == "http.status_code" {
            return self.set(key, &Value::Text(shown(value).into()));
        }
        if key == "_dd.measured" {
            return self.set(key, &Value::Integer(value.is_truthy().unwrap_or(true).into()));
        }
        if key == "network.destination.port"
            && let Some(number) = values::metric(value)
        {
            return self.set(key, &number);
        }
        if let Some(value) = values::tag(value) {
            self.set(key, &value);
        }
    }

    /// All attributes, with the texts or with the numbers.
    fn all(&self, texts: bool) -> Vec<(String, Value<'static>)> {
        let all = self.read(|data| {
            let of = |(name, value): (&str, _)| Some((String::from(name), Value::read(&value)?));
            data.attributes().filter_map(of).collect::<Vec<_>>()
        });
        let is_number = |value: &Value<'_>| matches!(value, Value::Integer(_) | Value::Float(_));
        all.into_iter().filter(|(_, value)| is_number(value) != texts).collect()
    }

    /// `set_exc_info` of Datadog's API.
    pub(crate) fn set_exception(
        slf: &Bound<'_, Span>,
        exception: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
        limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        if exception.is_none() {
            return Ok(());
        }
        let described = crate::errors::described(py)?.call1((exception, value, traceback, limit))?;
        let (kind, message, stack): (String, String, String) = described.extract()?;
        slf.get().change(|data| {
            data.override_status(Status::Error(message.clone().into()));
            data.set_attribute("error.type", Value::Text(kind.into()).attribute());
            data.set_attribute("error.message", Value::Text(message.into()).attribute());
            data.set_attribute("error.stack", Value::Text(stack.into()).attribute());
        });
        Ok(())
    }
}

fast! {
    /// `set_tag(key, value=None)`.
    set_tag(py, slf: Span, arguments) {
        let [name, value] = arguments.take(py, "set_tag", [c"key", c"value"])?;
        if let Some(name) = name
            && let Some(name) = values::key(&name)
        {
            slf.get().tag(&name, value.as_deref().filter(|value| !value.is_none()));
        }
        Ok(py.None().into_bound(py))
    }
}

fast! {
    /// `__enter__()`.
    enter(py, slf: Span, _arguments) {
        let _ = py;
        Ok(slf.to_owned().into_any())
    }
}

fast! {
    /// `__exit__(exc_type, exc_val, exc_tb)`.
    exit(py, slf: Span, arguments) {
        let [kind, value, traceback] = arguments.take(py, "__exit__", [c"exc_type", c"exc_val", c"exc_tb"])?;
        let slf = slf.to_owned();
        if let (Some(kind), Some(value), Some(traceback)) = (kind, value, traceback)
            && !kind.is_none()
            && !crate::errors::is_success(&value)
        {
            Span::set_exception(&slf, &kind, &value, &traceback, None)?;
        }
        Span::end(&slf, None)?;
        Ok(pyo3::types::PyBool::new(py, false).to_owned().into_any())
    }
}

fast! {
    /// `finish(finish_time=None)`.
    finish(py, slf: Span, arguments) {
        let [time] = arguments.take(py, "finish", [c"finish_time"])?;
        let time = time.filter(|time| !time.is_none()).map(|time| seconds(&time)).transpose()?;
        Span::end(&slf.to_owned(), time)?;
        Ok(py.None().into_bound(py))
    }
}

/// Seconds since the Unix epoch as nanoseconds.
fn seconds(time: &Bound<'_, PyAny>) -> PyResult<u64> {
    let seconds: f64 = time.extract()?;
    Ok((seconds * 1e9) as u64)
}

#[pymethods]
impl Span {
    /// The trace's id, 128 bits.
    #[getter]
    fn trace_id(&self) -> u128 {
        self.trace.trace_id().0
    }

    /// The span's id.
    #[getter]
    fn span_id(&self) -> u64 {
        self.id.0
    }

    /// The id of what it is under; None for the root of a trace.
    #[getter]
    fn parent_id(&self) -> Option<u64> {
        Some(self.read(|data| data.parent_id().0)).filter(|id| *id != 0)
    }

    /// The operation.
    #[getter]
    fn name(&self) -> String {
        self.texts(Key::OperationName).unwrap_or_else(|| self.read(|data| data.name().into()))
    }

    #[setter]
    fn set_name(&self, name: &Bound<'_, PyAny>) {
        self.set_text(Key::OperationName, Some(name));
    }

    /// What was done to what.
    #[getter]
    fn resource(&self) -> String {
        self.texts(Key::ResourceName).unwrap_or_else(|| self.read(|data| data.name().into()))
    }

    #[setter]
    fn set_resource(&self, resource: &Bound<'_, PyAny>) {
        let resource = shown(resource);
        self.change(|data| {
            data.set_name(resource.clone().into());
            data.set_text(Key::ResourceName, &resource);
        });
    }

    /// The service.
    #[getter]
    fn service(&self) -> Option<String> {
        self.own_service().or_else(|| crate::engine::engine().tracer.settings().service.clone())
    }

    #[setter]
    fn set_service(&self, service: Option<&Bound<'_, PyAny>>) {
        self.set_text(Key::Service, service);
    }

    /// Datadog's type of it, such as `web`, `sql` or `worker`.
    #[getter]
    fn span_type(&self) -> Option<String> {
        self.texts(Key::SpanType)
    }

    #[setter]
    fn set_span_type(&self, span_type: Option<&Bound<'_, PyAny>>) {
        self.set_text(Key::SpanType, span_type);
    }

    /// Whether it has failed: 0 or 1.
    #[getter]
    fn error(&self) -> i32 {
        i32::from(self.read(|data| matches!(data.status(), Status::Error(_))))
    }

    #[setter]
    fn set_error(&self, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = if error.is_truthy()? {
            let message = match self.attribute("error.message") {
                Some(Value::Text(message)) => message.into_owned(),
                _ => String::new(),
            };
            Status::Error(message.into())
        } else {
            Status::Unset
        };
        self.change(|data| data.override_status(status));
        Ok(())
    }

    /// When it started, in seconds since the Unix epoch.
    #[getter]
    fn start(&self) -> f64 {
        self.start_ns as f64 / 1e9
    }

    /// When it started, in nanoseconds since the Unix epoch.
    #[getter(start_ns)]
    fn started(&self) -> u64 {
        self.start_ns
    }

    /// How long it took, in seconds; None until it is finished.
    #[getter]
    fn duration(&self) -> Option<f64> {
        self.took().map(|duration| duration as f64 / 1e9)
    }

    /// How long it took, in nanoseconds; None until it is finished.
    #[getter(duration_ns)]
    fn took(&self) -> Option<i64> {
        Some(self.duration_ns.load(Ordering::Relaxed)).filter(|duration| *duration >= 0)
    }

    /// Whether it is finished.
    #[getter]
    fn finished(&self) -> bool {
        self.is_finished()
    }

    /// What is handed on of it.
    #[getter(context)]
    fn its_context<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Context>> {
        Span::context(slf)
    }

    /// The span that it is under, if that is one of this process.
    #[getter]
    fn _parent(&self, py: Python<'_>) -> Option<Py<Span>> {
        match &self.above {
            Above::Span(span) => Some(span.clone_ref(py)),
            _ => None,
        }
    }

    /// The first span of the trace in this process.
    #[getter]
    fn _local_root(slf: &Bound<'_, Self>) -> Py<Span> {
        local_root(slf).unbind()
    }

    /// Sets tags, as `set_tag` does.
    fn set_tags(&self, tags: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(tags) = tags.cast::<PyDict>() {
            for (key, value) in tags.copy()?.iter() {
                self.tag_any(&key, &value);
            }
            return Ok(());
        }
        for pair in tags.call_method0("items")?.try_iter()? {
            let pair = pair?;
            self.tag_any(&pair.get_item(0)?, &pair.get_item(1)?);
        }
        Ok(())
    }

    /// Sets a tag that is text.
    fn set_tag_str(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        if let Some(key) = values::key(key) {
            let value = values::key(value).map_or_else(|| shown(value), |value| value.into_owned());
            self.set(&key, &Value::Text(value.into()));
        }
    }

    /// Sets a number.
    fn set_metric(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        if let (Some(key), Some(value)) = (values::key(key), values::metric(value)) {
            self.set(&key, &value);
        }
    }

    /// Sets numbers.
    fn set_metrics(&self, metrics: &Bound<'_, PyAny>) -> PyResult<()> {
        for (key, value) in values::pairs(metrics, |value| values::metric(value))? {
            self.set(&key, &value);
        }
        Ok(())
    }

    /// The text of a tag, or None.
    fn get_tag(&self, key: &Bound<'_, PyAny>) -> Option<String> {
        let key = values::key(key)?;
        if key == "service.name" {
            return self.own_service();
        }
        match self.attribute(&key)? {
            Value::Text(text) => Some(text.into_owned()),
            Value::Bool(truth) => Some(String::from(if truth { "true" } else { "false" })),
            _ => None,
        }
    }

    /// All tags that are text.
    fn get_tags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dictionary(py, self.all(true))
    }

    /// A number, or None.
    fn get_metric<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(key) = values::key(key) else { return Ok(None) };
        if key == "_dd.measured" {
            let measured = self.read(SpanData::measured);
            return measured.map(|measured| Value::Integer(measured.into()).to_python(py)).transpose();
        }
        match self.attribute(&key) {
            Some(value @ (Value::Integer(_) | Value::Float(_))) => value.to_python(py).map(Some),
            _ => Ok(None),
        }
    }

    /// All numbers.
    fn get_metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dictionary(py, self.all(false))
    }

    /// Takes a tag away.
    fn remove_tag(&self, key: &Bound<'_, PyAny>) {
        if let Some(key) = values::key(key) {
            self.change(|data| data.remove_attribute(&key));
        }
    }

    /// Takes a number away.
    fn remove_metric(&self, key: &Bound<'_, PyAny>) {
        self.remove_tag(key);
    }

    /// Says that it has failed by an exception.
    #[pyo3(signature = (exc_type, exc_val, exc_tb, limit=None))]
    fn set_exc_info(
        slf: &Bound<'_, Self>,
        exc_type: &Bound<'_, PyAny>,
        exc_val: &Bound<'_, PyAny>,
        exc_tb: &Bound<'_, PyAny>,
        limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Span::set_exception(slf, exc_type, exc_val, exc_tb, limit)
    }

    /// Says that it has failed by the exception that is handled now; where there is none, shows where the program is.
    #[pyo3(signature = (limit=None))]
    fn set_traceback(slf: &Bound<'_, Self>, limit: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let handled = py.import("sys")?.call_method0("exc_info")?;
        let [kind, value, traceback] = [handled.get_item(0)?, handled.get_item(1)?, handled.get_item(2)?];
        if !kind.is_none() {
            return Span::set_exception(slf, &kind, &value, &traceback, limit);
        }
        let stack: String = crate::errors::stack(py)?.call1((limit,))?.extract()?;
        slf.get().change(|data| data.set_attribute("error.stack", Value::Text(stack.into()).attribute()));
        Ok(())
    }

    /// Adds an event that tells of an exception; the span has not failed for that.
    #[pyo3(signature = (exception, attributes=None))]
    fn record_exception(
        slf: &Bound<'_, Self>,
        exception: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        crate::errors::record(slf, exception, attributes, None, crate::errors::Naming::Datadog)
    }

    /// Adds an event.
    #[pyo3(signature = (name, attributes=None, timestamp=None))]
    fn _add_event(
        &self,
        name: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<u64>,
    ) -> PyResult<()> {
        let name = shown(name);
        let attributes = attributes.map(values::attributes).transpose()?.unwrap_or_default();
        self.add_event(&name, timestamp, &attributes);
        Ok(())
    }

    /// Links to what a context stands for.
    #[pyo3(signature = (context, attributes=None))]
    fn link_span(&self, context: &Bound<'_, Context>, attributes: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let attributes = attributes.map(values::attributes).transpose()?.unwrap_or_default();
        let context = context.get();
        let flags = context.flags();
        let span = context.span_context();
        self.link((span.trace_id, span.span_id), flags, &context.state(), &attributes);
        Ok(())
    }

    /// Links to another span.
    #[pyo3(signature = (trace_id, span_id, tracestate=None, flags=None, attributes=None))]
    fn set_link(
        &self,
        trace_id: u128,
        span_id: u64,
        tracestate: Option<&str>,
        flags: Option<u8>,
        attributes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let attributes = attributes.map(values::attributes).transpose()?.unwrap_or_default();
        let to = (TraceId(trace_id), SpanId(span_id));
        self.link(to, flags.unwrap_or(0), tracestate.unwrap_or_default(), &attributes);
        Ok(())
    }

    /// Finishes it, and all spans above it in this process.
    fn finish_with_ancestors(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let mut span = slf.clone();
        loop {
            Span::end(&span, None)?;
            let Above::Span(above) = &span.get().above else { return Ok(()) };
            let above = above.bind(py).clone();
            span = above;
        }
    }

    #[getter]
    fn _span_api(&self) -> &'static str {
        if self.is_otel { "otel" } else { "datadog" }
    }

    fn __repr__(&self) -> String {
        format!(
            "<Span(id={},trace_id={},parent_id={},name={})>",
            self.id.0,
            self.trace.trace_id().0,
            self.parent_id().map_or_else(|| String::from("None"), |id| id.to_string()),
            self.name(),
        )
    }
}

impl Span {
    fn tag_any(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        if let Some(key) = values::key(key) {
            self.tag(&key, Some(value).filter(|value| !value.is_none()));
        }
    }

    pub(crate) fn add_event(&self, name: &str, time: Option<u64>, attributes: &[(String, Value<'static>)]) {
        let time = time.unwrap_or_else(now_unix_ns);
        let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.attribute()));
        self.change(|data| data.add_event(name, time, attributes));
    }

    pub(crate) fn link(&self, to: (TraceId, SpanId), flags: u8, state: &str, attributes: &[(String, Value<'static>)]) {
        let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.attribute()));
        self.change(|data| data.add_link(to, flags, state, attributes));
    }
}

/// The first span of a span's trace in this process.
pub(crate) fn local_root<'py>(span: &Bound<'py, Span>) -> Bound<'py, Span> {
    let py = span.py();
    let mut root = span.clone();
    loop {
        let above = match &root.get().above {
            Above::Span(above) => above.bind(py).clone(),
            _ => return root,
        };
        root = above;
    }
}

fn dictionary<'py>(py: Python<'py>, pairs: Vec<(String, Value<'static>)>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in pairs {
        dict.set_item(key, value.to_python(py)?)?;
    }
    Ok(dict)
}

/// A text argument; `None` where it is not given, is None, or is no text.
pub(crate) fn argument<'a>(value: Option<&'a Bound<'_, PyAny>>) -> Option<std::borrow::Cow<'a, str>> {
    value?.cast::<PyString>().ok().map(text)
}
