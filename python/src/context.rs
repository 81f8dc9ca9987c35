//! `Context` of Datadog's API: what a trace hands on, of a span of this process or from outside.

use crate::headers;
use crate::otel::baggage;
use crate::shared::{Items, Members, Shared, put};
use crate::shown::shown;
use ddtrace::context::{FLAG_SAMPLED, Priority, SpanContext, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::tracecontext::TraceParent;
use ddtrace::propagation::{Extracted, Outgoing, w3c_form};
use ddtrace::tracer::ActiveTrace;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tag that says which user a trace is of, in Base64.
const USER: &[u8] = b"_dd.p.usr.id";

/// A span's identity, as it is handed on.
#[pyclass(frozen, subclass, weakref, module = "ddtrace.trace")]
#[derive(Debug)]
pub(crate) struct Context {
    kind: Kind,
    pub(crate) shared: Arc<Shared>,
    is_for_one_span: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    /// Of a span of this process.
    Local(Arc<ActiveTrace>, SpanId),
    /// From outside, or made by the program.
    Carried(Mutex<Box<Extracted>>),
}

impl Context {
    /// Of a span of this process.
    pub(crate) fn local(trace: Arc<ActiveTrace>, id: SpanId, shared: Arc<Shared>) -> Context {
        Context { kind: Kind::Local(trace, id), shared, is_for_one_span: AtomicBool::new(false) }
    }

    /// What came in.
    pub(crate) fn carried(extracted: Extracted, baggage: Items) -> Context {
        Context {
            kind: Kind::Carried(Mutex::new(Box::new(extracted))),
            shared: Arc::new(Shared::with(baggage)),
            is_for_one_span: AtomicBool::new(false),
        }
    }

    /// A program has handed it to Datadog's API. Nobody takes back there what came in with a request, so it holds until the
    /// span that continues it has ended: the next request may have brought nothing.
    pub(crate) fn handed_over(&self) {
        self.is_for_one_span.store(self.trace().is_none(), Ordering::Relaxed);
    }

    /// Whether nothing is active when a span under it has ended.
    pub(crate) fn is_for_one_span(&self) -> bool {
        self.is_for_one_span.load(Ordering::Relaxed)
    }

    /// The trace, if it is one of this process.
    pub(crate) fn trace(&self) -> Option<(&Arc<ActiveTrace>, SpanId)> {
        match &self.kind {
            Kind::Local(trace, id) => Some((trace, *id)),
            Kind::Carried(_) => None,
        }
    }

    /// What came in with it; `None` for a span of this process.
    pub(crate) fn extracted(&self) -> Option<Extracted> {
        match &self.kind {
            Kind::Local(..) => None,
            Kind::Carried(extracted) => Some((**lock(extracted)).clone()),
        }
    }

    /// The identity that it stands for.
    pub(crate) fn span_context(&self) -> SpanContext {
        match &self.kind {
            Kind::Local(trace, id) => trace.context_so_far(*id).span,
            Kind::Carried(extracted) => {
                lock(extracted).context.as_ref().map_or_else(SpanContext::default, |context| context.span)
            }
        }
    }

    /// The W3C flags of it. Asking decides whether a trace of this process is kept, where a rule can.
    pub(crate) fn flags(&self) -> u8 {
        match self.trace() {
            Some((trace, _)) => u8::from(trace.is_kept()),
            None => self.span_context().trace_flags(),
        }
    }

    /// The W3C `tracestate` of it.
    pub(crate) fn state(&self) -> String {
        self.with(|context| w3c_form::state_of(context))
    }

    /// Reads or changes what is carried; a span of this process shows a copy.
    fn with<T>(&self, look: impl FnOnce(&mut TraceContext) -> T) -> T {
        match &self.kind {
            Kind::Local(trace, id) => look(&mut trace.context_so_far(*id)),
            Kind::Carried(extracted) => look(lock(extracted).context.get_or_insert_default()),
        }
    }

    /// Changes what a trace carries, as long as it has not left the process.
    fn carry(&self, change: impl FnOnce(&mut TraceContext)) {
        match &self.kind {
            Kind::Local(trace, _) => {
                trace.carry(change);
            }
            Kind::Carried(_) => self.with(change),
        }
    }

    /// Changes the identity that is carried; a span of this process has the one that it has told of.
    fn set_identity(&self, change: impl FnOnce(&mut TraceContext)) -> PyResult<()> {
        if self.trace().is_some() {
            return Err(PyAttributeError::new_err("the ids of a span cannot be changed"));
        }
        self.with(change);
        Ok(())
    }

    /// Writes it into headers.
    pub(crate) fn inject(&self, carrier: &Bound<'_, PyAny>) -> PyResult<()> {
        let baggage = Members(baggage::seen(carrier.py(), self)?);
        headers::write(carrier, |out| match &self.kind {
            Kind::Local(trace, id) => trace.inject(*id, &baggage, out),
            Kind::Carried(extracted) => {
                let context = lock(extracted).context.clone().unwrap_or_default();
                let outgoing =
                    Outgoing { span: context.span, is_local: !context.is_remote, trace: &context, baggage: &baggage };
                // There is no span that could tell of what was left out.
                let _ = crate::engine::engine().tracer.settings().propagation.inject(&outgoing, out);
            }
        })
    }
}

fn lock(extracted: &Mutex<Box<Extracted>>) -> MutexGuard<'_, Box<Extracted>> {
    extracted.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (trace_id=None, span_id=None, dd_origin=None, sampling_priority=None, meta=None, metrics=None, lock=None, span_links=None, baggage=None, is_remote=true))]
    #[expect(clippy::too_many_arguments, reason = "it is the API's")]
    fn new(
        trace_id: Option<u128>,
        span_id: Option<u64>,
        dd_origin: Option<&str>,
        sampling_priority: Option<f64>,
        meta: Option<&Bound<'_, PyDict>>,
        metrics: Option<&Bound<'_, PyAny>>,
        lock: Option<&Bound<'_, PyAny>>,
        span_links: Option<&Bound<'_, PyAny>>,
        baggage: Option<&Bound<'_, PyDict>>,
        is_remote: bool,
    ) -> PyResult<Context> {
        let _ = (metrics, lock, span_links);
        let mut context = TraceContext { is_remote, ..TraceContext::default() };
        context.span = SpanContext {
            trace_id: TraceId(trace_id.unwrap_or(0)),
            span_id: SpanId(span_id.unwrap_or(0)),
            priority: sampling_priority.map(|priority| Priority(priority as i32)),
            flags: 0,
        };
        // An origin that is too long is none.
        let _ = context.origin.set(dd_origin.unwrap_or_default().as_bytes());
        if let Some(meta) = meta {
            for (key, value) in meta.iter() {
                let (key, value) = (shown(&key)?, shown(&value)?);
                if key.starts_with("_dd.p.") && key != "_dd.p.tid" {
                    // A tag that finds no room is left out, as everywhere.
                    let _ = context.tags.set(key.as_bytes(), value.as_bytes());
                }
                if key == "tracestate" {
                    let (trace_id, span_id) = (context.span.trace_id, context.span.span_id);
                    let read =
                        w3c_form::read(TraceParent { trace_id, span_id, flags: FLAG_SAMPLED }, &value, is_remote);
                    (context.trace_state, context.ot) = (read.trace_state, read.ot);
                }
            }
        }
        let has_trace = context.span.trace_id != TraceId(0);
        let mut members = Vec::new();
        for (key, value) in baggage.iter().flat_map(|baggage| baggage.iter()) {
            members.push((shown(&key)?, shown(&value)?));
        }
        let extracted = Extracted {
            has_baggage: !members.is_empty(),
            context: (has_trace || sampling_priority.is_some() || dd_origin.is_some()).then_some(context),
            ..Extracted::default()
        };
        Ok(Context::carried(extracted, members))
    }

    /// What it takes was taken when it was made; subclasses may call this.
    #[pyo3(signature = (*arguments, **named))]
    fn __init__(&self, arguments: &Bound<'_, PyTuple>, named: Option<&Bound<'_, PyDict>>) {
        let _ = (arguments, named);
    }

    /// The trace's id, 128 bits; None where there is only baggage.
    #[getter]
    pub(crate) fn trace_id(&self) -> Option<u128> {
        Some(self.span_context().trace_id.0).filter(|id| *id != 0)
    }

    #[setter]
    fn set_trace_id(&self, id: Option<u128>) -> PyResult<()> {
        self.set_identity(|context| context.span.trace_id = TraceId(id.unwrap_or(0)))
    }

    /// The span's id; None where only the trace is known.
    #[getter]
    fn span_id(&self) -> Option<u64> {
        Some(self.span_context().span_id.0).filter(|id| *id != 0)
    }

    #[setter]
    fn set_span_id(&self, id: Option<u64>) -> PyResult<()> {
        self.set_identity(|context| context.span.span_id = SpanId(id.unwrap_or(0)))
    }

    /// Whether the trace is kept (> 0); None while nobody has decided.
    #[getter]
    fn sampling_priority(&self) -> Option<i32> {
        self.span_context().priority.map(|priority| priority.0)
    }

    #[setter]
    fn set_sampling_priority(&self, priority: Option<f64>) {
        let priority = priority.map(|priority| Priority(priority as i32));
        match (&self.kind, priority) {
            (Kind::Local(trace, _), Some(priority)) => {
                trace.decide_manually(priority.keeps());
            }
            (Kind::Local(..), None) => {}
            (Kind::Carried(_), priority) => self.with(|context| context.span.priority = priority),
        }
    }

    /// Where the trace began.
    #[getter]
    fn dd_origin(&self) -> Option<String> {
        let origin = self.with(|context| String::from_utf8_lossy(context.origin.as_bytes()).into_owned());
        Some(origin).filter(|origin| !origin.is_empty())
    }

    #[setter]
    fn set_dd_origin(&self, origin: Option<&str>) {
        // One that is too long is none.
        self.carry(|context| {
            let _ = context.origin.set(origin.unwrap_or_default().as_bytes());
        });
    }

    /// The user that the trace is of, as it is handed on.
    #[getter]
    fn dd_user_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let Some(id) = self.with(|context| context.tags.get(USER).map(<[u8]>::to_vec)) else { return Ok(None) };
        let id: Vec<u8> = py.import("binascii")?.call_method1("a2b_base64", (PyBytes::new(py, &id),))?.extract()?;
        Ok(Some(String::from_utf8_lossy(&id).into_owned()))
    }

    #[setter]
    fn set_dd_user_id(&self, py: Python<'_>, user: Option<&str>) -> PyResult<()> {
        let Some(user) = user else {
            self.carry(|context| context.tags.remove(USER));
            return Ok(());
        };
        let id = py.import("binascii")?.call_method1("b2a_base64", (PyBytes::new(py, user.as_bytes()),))?;
        let id: Vec<u8> = id.extract()?;
        // It stays out where it finds no room.
        self.carry(|context| {
            let _ = context.tags.set(USER, id.trim_ascii_end());
        });
        Ok(())
    }

    /// Whether it came from another process.
    #[getter]
    fn _is_remote(&self) -> bool {
        self.trace().is_none() && self.with(|context| context.is_remote)
    }

    /// Whether the trace is kept, as it goes to those who cannot be told of a change later: asking decides, and only the
    /// program itself still overrules that. What came in undecided is kept as far as anybody knows.
    #[getter]
    fn _is_sampled(&self) -> bool {
        match self.trace() {
            Some((trace, _)) => trace.is_kept(),
            None => self.span_context().priority.is_none_or(Priority::keeps),
        }
    }

    /// The W3C `traceparent` of it.
    #[getter]
    fn _traceparent(&self) -> String {
        let span = self.span_context();
        if span.trace_id.0 == 0 || span.span_id.0 == 0 {
            return String::new();
        }
        format!("00-{:032x}-{:016x}-{:02x}", span.trace_id.0, span.span_id.0, span.trace_flags() & FLAG_SAMPLED)
    }

    /// Sets an item of the trace's baggage: all its spans have it, and it is handed on.
    fn set_baggage_item(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (key, value) = (shown(key)?, shown(value)?);
        baggage::change(slf.py(), slf.get(), |items| put(items, key.clone(), value.clone()))
    }

    /// An item of the baggage, or None.
    fn get_baggage_item(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        let key = shown(key)?;
        Ok(baggage::seen(py, self)?.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value))
    }

    /// All baggage, as a dictionary of its own.
    fn get_all_baggage_items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let items = PyDict::new(py);
        for (key, value) in baggage::seen(py, self)? {
            items.set_item(key, value)?;
        }
        Ok(items)
    }

    /// Takes an item of the baggage away.
    fn remove_baggage_item(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let key = shown(key)?;
        baggage::change(py, self, |items| items.retain(|(name, _)| *name != key))
    }

    /// Takes all baggage away.
    fn remove_all_baggage_items(&self, py: Python<'_>) -> PyResult<()> {
        baggage::change(py, self, Vec::clear)
    }

    /// Another one with the same content.
    fn copy(&self, py: Python<'_>, trace_id: Option<u128>, span_id: Option<u64>) -> PyResult<Context> {
        let mut context = self.with(|context| context.clone());
        if let Some(id) = trace_id {
            context.span.trace_id = TraceId(id);
        }
        if let Some(id) = span_id {
            context.span.span_id = SpanId(id);
        }
        let extracted = Extracted { context: Some(context), ..Extracted::default() };
        Ok(Context::carried(extracted, baggage::seen(py, self)?))
    }

    /// For other processes: what is pickled is the identity and the baggage.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let this = slf.get();
        let meta = PyDict::new(py);
        this.with(|context| context.tags.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect::<Vec<_>>())
            .into_iter()
            .try_for_each(|(key, value)| {
                meta.set_item(String::from_utf8_lossy(&key), String::from_utf8_lossy(&value))
            })?;
        let arguments = PyTuple::new(
            py,
            [
                this.trace_id().into_pyobject(py)?.into_any(),
                this.span_id().into_pyobject(py)?.into_any(),
                this.dd_origin().into_pyobject(py)?.into_any(),
                this.sampling_priority().into_pyobject(py)?.into_any(),
                meta.into_any(),
                py.None().into_bound(py),
                py.None().into_bound(py),
                py.None().into_bound(py),
                this.get_all_baggage_items(py)?.into_any(),
                pyo3::types::PyBool::new(py, true).to_owned().into_any(),
            ],
        )?;
        Ok((slf.get_type().into_any(), arguments))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        let Ok(other) = other.cast::<Context>() else { return false };
        let other = other.get();
        let identity = |context: &Context| {
            let span = context.span_context();
            (span.trace_id, span.span_id, span.priority, context.shared.all_baggage())
        };
        identity(self) == identity(other)
    }

    fn __hash__(&self) -> u64 {
        let span = self.span_context();
        span.trace_id.0 as u64 ^ span.span_id.0
    }

    fn __repr__(&self) -> String {
        let some = |id: Option<u128>| id.map_or_else(|| String::from("None"), |id| id.to_string());
        format!(
            "Context(trace_id={}, span_id={}, sampling_priority={})",
            some(self.trace_id()),
            some(self.span_id().map(u128::from)),
            self.sampling_priority().map_or_else(|| String::from("None"), |priority| priority.to_string()),
        )
    }
}
