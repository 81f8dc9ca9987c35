//! What Python sees of a span.

use super::*;
use crate::tracer::{Beginning, Made, made_by_hand};
use pyo3::types::PyTuple;

#[pymethods]
impl Span {
    /// A span that is made by hand, for tests of processors: it is recorded nowhere.
    #[new]
    #[pyo3(signature = (name, service=None, resource=None, span_type=None, trace_id=None, span_id=None, parent_id=None, start=None, context=None, on_finish=None, span_api=None, links=None))]
    #[expect(clippy::too_many_arguments, reason = "it is the API's")]
    fn new(
        name: &Bound<'_, PyAny>,
        service: Option<&Bound<'_, PyAny>>,
        resource: Option<&Bound<'_, PyAny>>,
        span_type: Option<&Bound<'_, PyAny>>,
        trace_id: Option<u128>,
        span_id: Option<u64>,
        parent_id: Option<u64>,
        start: Option<f64>,
        context: Option<Bound<'_, Context>>,
        on_finish: Option<&Bound<'_, PyAny>>,
        span_api: Option<&str>,
        links: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Span> {
        let _ = (on_finish, span_api, links);
        let name = argument(Some(name)).map_or_else(|| shown(name), |name| Ok(name.into_owned()))?;
        let (service, resource, span_type) = (argument(service), argument(resource), argument(span_type));
        let beginning = Beginning {
            name: &name,
            service: service.as_deref(),
            resource: resource.as_deref(),
            span_type: span_type.as_deref(),
        };
        let start_ns = start.map(|start| (start * 1e9) as u64);
        Ok(made_by_hand(&beginning, Made { trace_id, span_id, parent_id, start_ns, context }))
    }

    /// What it takes was taken when it was made; subclasses may call this.
    #[pyo3(signature = (*arguments, **named))]
    fn __init__(&self, arguments: &Bound<'_, PyTuple>, named: Option<&Bound<'_, PyDict>>) {
        let _ = (arguments, named);
    }

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
    fn set_name(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_text(Key::OperationName, Some(name))
    }

    /// What was done to what.
    #[getter]
    fn resource(&self) -> String {
        self.texts(Key::ResourceName).unwrap_or_else(|| self.read(|data| data.name().into()))
    }

    #[setter]
    fn set_resource(&self, resource: &Bound<'_, PyAny>) -> PyResult<()> {
        let resource = shown(resource)?;
        self.change(|data| {
            data.set_name(resource.clone().into());
            data.set_text(Key::ResourceName, &resource);
        });
        Ok(())
    }

    /// The service.
    #[getter]
    fn service(&self) -> Option<String> {
        let usual = || engine().tracer.settings().service.clone().filter(|_| !self.is_made_by_hand);
        self.own_service().or_else(usual)
    }

    #[setter]
    fn set_service(&self, service: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.set_text(Key::Service, service)
    }

    /// Datadog's type of it, such as `web`, `sql` or `worker`.
    #[getter]
    fn span_type(&self) -> Option<String> {
        self.texts(Key::SpanType)
    }

    #[setter]
    fn set_span_type(&self, span_type: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.set_text(Key::SpanType, span_type)
    }

    /// Whether it has failed: 0 or 1.
    #[getter]
    fn error(&self) -> i32 {
        i32::from(self.read(|data| matches!(data.status(), Status::Error(_))))
    }

    #[setter]
    fn set_error(&self, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = if error.is_truthy()? {
            let message = match self.attribute(ERROR_MESSAGE) {
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
        self.start_ns() as f64 / 1e9
    }

    #[setter]
    fn set_start(&self, start: f64) {
        self.set_started((start * 1e9) as u64);
    }

    /// When it started, in nanoseconds since the Unix epoch.
    #[getter(start_ns)]
    fn started(&self) -> u64 {
        self.start_ns()
    }

    #[setter(start_ns)]
    fn set_start_ns(&self, start_ns: &Bound<'_, PyAny>) -> PyResult<()> {
        // Programs make it of seconds, and so a number with a fraction.
        self.set_started(start_ns.extract().or_else(|_| start_ns.extract().map(|ns: f64| ns as u64))?);
        Ok(())
    }

    /// How long it took, in seconds; None until it is finished.
    #[getter]
    fn duration(&self) -> Option<f64> {
        self.took().map(|duration| duration as f64 / 1e9)
    }

    #[setter]
    fn set_duration(&self, duration: Option<f64>) {
        self.set_took(duration.map(|duration| (duration * 1e9) as i64));
    }

    /// How long it took, in nanoseconds; None until it is finished.
    #[getter(duration_ns)]
    fn took(&self) -> Option<i64> {
        let duration = self.duration_ns.load(Ordering::Relaxed);
        if duration >= 0 { Some(duration) } else { planned(duration) }
    }

    /// Says how long it took, or is to have taken once it is finished; that may be no time in either case.
    #[setter(duration_ns)]
    fn set_duration_ns(&self, duration_ns: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let whole = |given: &Bound<'_, PyAny>| given.extract().or_else(|_| given.extract().map(|ns: f64| ns as i64));
        self.set_took(duration_ns.map(whole).transpose()?);
        Ok(())
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
        match self.started_under(py) {
            Some(Active::Span(span)) => Some(span.unbind()),
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
        if !tags.is_truthy()? {
            return Ok(());
        }
        if let Ok(tags) = tags.cast::<PyDict>() {
            for (key, value) in tags.copy()?.iter() {
                self.tag_any(&key, &value)?;
            }
            return Ok(());
        }
        for pair in tags.call_method0("items")?.try_iter()? {
            let pair = pair?;
            self.tag_any(&pair.get_item(0)?, &pair.get_item(1)?)?;
        }
        Ok(())
    }

    /// Sets a tag that is text.
    fn set_tag_str(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(key) = values::key(key) {
            let value = values::key(value).map_or_else(|| shown(value), |value| Ok(value.into_owned()))?;
            self.set(&key, &Value::Text(value.into()));
        }
        Ok(())
    }

    /// Sets a number.
    fn set_metric(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let (Some(key), Some(value)) = (values::key(key), values::metric(value)?) {
            self.set(&key, &value);
        }
        Ok(())
    }

    /// Sets numbers.
    fn set_metrics(&self, metrics: &Bound<'_, PyAny>) -> PyResult<()> {
        if !metrics.is_truthy()? {
            return Ok(());
        }
        for (key, value) in values::pairs(metrics, values::metric)? {
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
        match self.attribute(&key) {
            Some(Value::Text(text)) => Some(text.into_owned()),
            Some(Value::Bool(truth)) => Some(String::from(if truth { "true" } else { "false" })),
            None if key == ERROR_MESSAGE => self.description(),
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

    /// Says that it has failed by an exception, if it is one that was raised and not the end of a program that has succeeded.
    #[pyo3(signature = (exc_type, exc_val, exc_tb, limit=None))]
    fn set_exc_info(
        slf: &Bound<'_, Self>,
        exc_type: &Bound<'_, PyAny>,
        exc_val: &Bound<'_, PyAny>,
        exc_tb: &Bound<'_, PyAny>,
        limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if [exc_type, exc_val, exc_tb].into_iter().any(|part| part.is_none()) || errors::is_success(exc_val)? {
            return Ok(());
        }
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
        let stack = errors::stack(py, limit)?;
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
        errors::record(slf, exception, attributes, None, errors::Naming::Datadog)
    }

    /// Adds an event.
    #[pyo3(signature = (name, attributes=None, timestamp=None))]
    fn _add_event(
        &self,
        name: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<u64>,
    ) -> PyResult<()> {
        let name = shown(name)?;
        let attributes = attributes.map(values::attributes).transpose()?.unwrap_or_default();
        self.add_event(&name, timestamp, &attributes);
        Ok(())
    }

    /// Links to what a context stands for.
    #[pyo3(signature = (context, attributes=None))]
    fn link_span(&self, context: &Bound<'_, Context>, attributes: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let attributes = attributes.map(values::link_attributes).transpose()?.unwrap_or_default();
        let context = context.get();
        let span = context.span_context();
        if span.trace_id.0 == 0 || span.span_id.0 == 0 {
            return Ok(());
        }
        let flags = context.flags();
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
        let attributes = attributes.map(values::link_attributes).transpose()?.unwrap_or_default();
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
            let Active::Span(above) = span.get().above(py) else { return Ok(()) };
            span = above;
        }
    }

    /// A span is one thing, of which there is no second: a request that has it can be copied, and goes on with the same one.
    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, memo: &Bound<'_, PyAny>) -> Py<Self> {
        let _ = memo;
        slf
    }

    /// What another process may know of it is its `context`; of a request that is kept elsewhere it is no part.
    fn __reduce__(&self, py: Python<'_>) -> PickledAsNone {
        pickled_as_none(py)
    }

    #[getter]
    fn _span_api(&self) -> &'static str {
        if self.is_otel() { "otel" } else { "datadog" }
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
    fn set_started(&self, start_ns: u64) {
        self.start_ns.store(start_ns, Ordering::Relaxed);
        self.change(|data| data.set_start_unix_ns(start_ns));
    }

    fn set_took(&self, duration_ns: Option<i64>) {
        let duration_ns = duration_ns.map(|duration| duration.clamp(0, i64::MAX - 2));
        let _ = self.duration_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |present| match duration_ns {
            Some(duration) if present >= 0 => Some(duration),
            Some(duration) => Some(UNFINISHED - 1 - duration),
            None if present >= 0 => None,
            None => Some(UNFINISHED),
        });
    }
}
