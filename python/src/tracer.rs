//! `Tracer` of Datadog's API.

use crate::context::Context;
use crate::defaults;
use crate::engine::engine;
use crate::ffi::fast;
use crate::otel::tracer::Instrumentation;
use crate::processors;
use crate::shared::Shared;
use crate::shown::shown;
use crate::span::{Above, Span, argument, local_root};
use crate::spared::spared;
use crate::store::{self, Active};
use crate::tasks;
use crate::values;
use ddtrace::context::{SpanContext, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::Extracted;
use ddtrace::semconv::Key;
use ddtrace::tracer::{Parent, SpanData, Start};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The program wants nothing recorded: `tracer.enabled`.
static IS_OFF: AtomicBool = AtomicBool::new(false);

/// Whether what begins and ends now is recorded, as far as the program has a say in it.
pub(crate) fn is_on() -> bool {
    !IS_OFF.load(Ordering::Relaxed)
}

/// How a span is to begin.
pub(crate) struct Beginning<'a> {
    pub(crate) name: &'a str,
    pub(crate) service: Option<&'a str>,
    pub(crate) resource: Option<&'a str>,
    pub(crate) span_type: Option<&'a str>,
}

impl Beginning<'_> {
    /// Its resource, which is OTLP's name.
    fn shown(&self) -> &str {
        self.resource.unwrap_or(self.name)
    }

    fn fill(&self, data: &mut SpanData) {
        data.set_has_datadog_tags();
        data.set_text(Key::OperationName, self.name);
        // OTLP's name, and said again so that no resource is computed from the tags.
        data.set_text(Key::ResourceName, self.shown());
        for (key, text) in [(Key::Service, self.service), (Key::SpanType, self.span_type)] {
            if let Some(text) = text {
                data.set_text(key, text);
            }
        }
    }
}

/// Where a span that is made by hand is said to hang.
pub(crate) struct Made<'py> {
    pub(crate) trace_id: Option<u128>,
    pub(crate) span_id: Option<u64>,
    pub(crate) parent_id: Option<u64>,
    pub(crate) start_ns: Option<u64>,
    pub(crate) context: Option<Bound<'py, Context>>,
}

/// Starts a span of Datadog's API.
fn begin<'py>(py: Python<'py>, beginning: &Beginning<'_>, parent: Active<'py>) -> PyResult<Bound<'py, Span>> {
    let inherited;
    let service = match (beginning.service, &parent) {
        (None, Active::Span(parent)) => {
            inherited = parent.get().own_service();
            inherited.as_deref()
        }
        (service, _) => service,
    };
    let beginning = Beginning { service, ..*beginning };
    // Datadog's APIs have no kinds: what is of this type without a parent is a request.
    let is_request = beginning.span_type == Some("web");
    let start_as = Start { is_request, ..Start::new(String::from(beginning.shown()), Parent::None) };
    start(py, start_as, parent, None, |data| beginning.fill(data))
}

/// Starts a span of either API under `parent`.
pub(crate) fn start<'py>(
    py: Python<'py>,
    mut start: Start<'_>,
    parent: Active<'py>,
    made_by: Option<Arc<Instrumentation>>,
    fill: impl FnOnce(&mut SpanData),
) -> PyResult<Bound<'py, Span>> {
    let is_on = is_on();
    let tracer = if is_on { &engine().tracer } else { engine().nowhere() };
    let fill = |data: &mut SpanData| {
        fill(data);
        defaults::fill(data);
    };
    let start_ns = *start.start_unix_ns.get_or_insert_with(ddtrace::tracer::now_unix_ns);
    if !matches!(parent, Active::Span(_)) {
        start.native_request = tasks::request_here(py, start.peer);
    }
    let (live, above, shared) = match parent {
        Active::Span(span) => {
            let this = span.get();
            let start = Start { parent: Parent::Local(this.trace(), this.id()), ..reborrow(start) };
            (tracer.start(start, fill), Above::Span(span.clone().unbind()), Arc::clone(&this.shared))
        }
        Active::Context(context) => {
            let this = context.get();
            let shared = Arc::clone(&this.shared);
            let live = match (this.trace(), this.extracted()) {
                (Some((trace, id)), _) => {
                    tracer.start(Start { parent: Parent::Local(trace, id), ..reborrow(start) }, fill)
                }
                (None, extracted) => {
                    let extracted = extracted.unwrap_or_default();
                    let baggage = crate::shared::Members(shared.all_baggage());
                    let start = Start {
                        parent: continued(&extracted),
                        incoming: Some(&extracted),
                        incoming_baggage: extracted.has_baggage.then_some(&baggage as _),
                        ..reborrow(start)
                    };
                    tracer.start(start, fill)
                }
            };
            (live, Above::Context(context.unbind()), shared)
        }
        Active::Nothing => {
            (tracer.start(Start { parent: Parent::None, ..start }, fill), Above::Nothing, Arc::new(Shared::default()))
        }
    };
    let place = if is_on && processors::are_there() { processors::hold(py, live.trace(), &shared) } else { 0 };
    let id = live.id();
    let span = Bound::new(py, Span::of(live, id, start_ns, place, above, shared, made_by))?;
    match processors::begun(&span) {
        Ok(()) => Ok(span),
        Err(error) => Err(given_up(&span, error)),
    }
}

/// A span cannot be given to whoever began it, for an exception that comes out instead.
pub(crate) fn given_up(span: &Bound<'_, Span>, error: PyErr) -> PyErr {
    match Span::abandon(span) {
        Ok(()) => error,
        // What came last is what the program sees, as with `finally`.
        Err(later) => {
            later.set_context(span.py(), Some(error));
            later
        }
    }
}

/// Makes a span the active one here.
fn activated<'py>(py: Python<'py>, span: Bound<'py, Span>) -> PyResult<Bound<'py, PyAny>> {
    match store::activate(py, &Active::Span(span.clone())) {
        Ok(()) => Ok(span.into_any()),
        Err(error) => Err(given_up(&span, error)),
    }
}

/// Makes a span that is of no trace of the program's, and goes nowhere: `Span(name, …)`.
pub(crate) fn made_by_hand(beginning: &Beginning<'_>, made: Made<'_>) -> Span {
    let parent = TraceContext {
        span: SpanContext {
            trace_id: TraceId(made.trace_id.unwrap_or_default()),
            span_id: SpanId(made.parent_id.unwrap_or(0)),
            ..SpanContext::default()
        },
        ..TraceContext::default()
    };
    let start_ns = made.start_ns.unwrap_or_else(ddtrace::tracer::now_unix_ns);
    let parent = if made.trace_id.is_some() { Parent::Context(&parent) } else { Parent::None };
    let start = Start { start_unix_ns: Some(start_ns), ..Start::new(String::from(beginning.shown()), parent) };
    let live = engine().nowhere().start(start, |data| beginning.fill(data));
    let (above, shared) = match made.context {
        Some(context) => (Above::Context(context.clone().unbind()), Arc::clone(&context.get().shared)),
        None => (Above::Nothing, Arc::default()),
    };
    let id = made.span_id.map_or_else(|| live.id(), SpanId);
    Span::of(live, id, start_ns, 0, above, shared, None).by_hand()
}

/// What there is to continue of what came in.
fn continued(extracted: &Extracted) -> Parent<'_> {
    match &extracted.context {
        Some(context) if context.span.trace_id != TraceId(0) => Parent::Context(context),
        _ => Parent::None,
    }
}

/// The same beginning, under a parent that may live shorter.
fn reborrow<'a>(start: Start<'_>) -> Start<'a> {
    Start {
        name: start.name,
        kind: start.kind,
        is_request: start.is_request,
        native_request: start.native_request,
        peer: start.peer,
        start_unix_ns: start.start_unix_ns,
        parent: Parent::None,
        incoming: None,
        incoming_baggage: None,
        scope: start.scope,
    }
}

/// Starts spans. There is one: what it has is the program's.
#[pyclass(frozen, subclass, dict, weakref, module = "ddtrace.trace")]
#[derive(Debug)]
pub(crate) struct Tracer;

fast! {
    /// `trace(name, service=None, resource=None, span_type=None, span_api="datadog")`.
    trace(py, _slf: Tracer, arguments) {
        let given = arguments.take(py, "trace", [c"name", c"service", c"resource", c"span_type", c"span_api"])?;
        let [name, service, resource, span_type, _] = given;
        let parent = store::active(py)?;
        let span = begin_with(py, name, service, resource, span_type, parent)?;
        span.get().set_follows();
        activated(py, span)
    }
}

fast! {
    /// `start_span(name, child_of=None, service=None, resource=None, span_type=None, activate=False, span_api="datadog")`.
    start_span(py, _slf: Tracer, arguments) {
        let given = arguments.take(
            py,
            "start_span",
            [c"name", c"child_of", c"service", c"resource", c"span_type", c"activate", c"span_api"],
        )?;
        let [name, child_of, service, resource, span_type, activate, _] = given;
        let is_active = activate.map(|activate| spared(py, activate.is_truthy())).transpose()?.unwrap_or(false);
        let span = begin_with(py, name, service, resource, span_type, Active::handed_over(child_of.as_deref()))?;
        if is_active { activated(py, span) } else { Ok(span.into_any()) }
    }
}

type Given<'a, 'py> = Option<Borrowed<'a, 'py, PyAny>>;

fn begin_with<'py>(
    py: Python<'py>,
    name: Given<'_, 'py>,
    service: Given<'_, 'py>,
    resource: Given<'_, 'py>,
    span_type: Given<'_, 'py>,
    parent: Active<'py>,
) -> PyResult<Bound<'py, Span>> {
    let Some(name) = name else {
        return Err(pyo3::exceptions::PyTypeError::new_err("a span needs a name"));
    };
    let name = argument(Some(&name)).map_or_else(|| shown(&name).map(Cow::Owned), Ok)?;
    let (service, resource) = (argument(service.as_deref()), argument(resource.as_deref()));
    let span_type = argument(span_type.as_deref());
    let beginning = Beginning {
        name: &name,
        service: service.as_deref(),
        resource: resource.as_deref(),
        span_type: span_type.as_deref(),
    };
    begin(py, &beginning, parent)
}

#[pymethods]
impl Tracer {
    #[new]
    fn new() -> Tracer {
        Tracer
    }

    /// The active span, or None.
    fn current_span<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, Span>>> {
        Ok(match store::active(py)? {
            Active::Span(span) => Some(span),
            _ => None,
        })
    }

    /// The first span of the active trace in this process, or None.
    fn current_root_span<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, Span>>> {
        Ok(self.current_span(py)?.map(|span| local_root(&span)))
    }

    /// What is handed on from here, or None.
    fn current_trace_context<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, Context>>> {
        match store::active(py)? {
            Active::Span(span) => Span::context(&span).map(Some),
            Active::Context(context) => Ok(Some(context)),
            Active::Nothing => Ok(None),
        }
    }

    /// Sets tags of all spans that begin from now on.
    fn set_tags(&self, tags: &Bound<'_, PyAny>) -> PyResult<()> {
        defaults::set_tags(values::pairs(tags, values::tag)?);
        Ok(())
    }

    /// Nothing is to be flushed: what is finished is out of the program's hands.
    fn flush(&self) {}

    /// Nothing is to be shut down but the processors' waiting for the rest of a trace: spans that are finished later are
    /// recorded, too.
    #[pyo3(signature = (timeout=None))]
    fn shutdown(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let _ = timeout;
        processors::hand_on(py)
    }

    /// Whether spans are recorded.
    #[getter]
    fn enabled(&self) -> bool {
        is_on() && engine().records()
    }

    #[setter]
    fn set_enabled(&self, enabled: &Bound<'_, PyAny>) -> PyResult<()> {
        IS_OFF.store(!enabled.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    /// Replaces those who look at finished traces.
    fn _set_processors(&self, processors: Vec<Py<PyAny>>) {
        processors::set(processors);
    }

    /// Has the processors look at what waits for the rest of its trace.
    fn _hand_on(&self, py: Python<'_>) -> PyResult<()> {
        processors::hand_on(py)
    }

    /// Calls `listener` with each span that begins.
    fn on_start_span<'py>(&self, listener: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        processors::listen(listener.clone().unbind());
        listener
    }

    /// Takes a listener away.
    fn deregister_on_start_span<'py>(&self, listener: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        processors::unlisten(&listener)?;
        Ok(listener)
    }

    /// Decides about the trace of a span, if that is not done.
    fn sample(&self, span: &Bound<'_, Span>) {
        let _ = span.get().trace().leaving();
    }

    /// What log records show of the active span.
    fn get_log_correlation_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let settings = engine().tracer.settings();
        let config = &engine().resolution.config;
        let (mut trace_id, mut span_id) = (String::from("0"), String::from("0"));
        let span = self.current_trace_context(py)?.map(|context| context.get().span_context());
        if let Some(span) = span {
            let id = span.trace_id.0;
            trace_id = if id > u128::from(u64::MAX) { format!("{id:032x}") } else { id.to_string() };
            span_id = span.span_id.0.to_string();
        }
        let logged = PyDict::new(py);
        logged.set_item("dd.trace_id", trace_id)?;
        logged.set_item("dd.span_id", span_id)?;
        let [service, env, version] = defaults::said();
        logged.set_item("dd.service", service.or_else(|| settings.service.clone()).unwrap_or_default())?;
        logged.set_item("dd.env", env.as_ref().unwrap_or(&settings.env))?;
        logged.set_item("dd.version", version.or_else(|| config.version.clone()).unwrap_or_default())?;
        Ok(logged)
    }
}

/// What is active, and what becomes so: `tracer.context_provider`.
#[pyclass(frozen, subclass, module = "ddtrace.trace")]
#[derive(Debug)]
pub(crate) struct ContextProvider;

#[pymethods]
impl ContextProvider {
    #[new]
    fn new() -> ContextProvider {
        ContextProvider
    }

    /// The active span, or a context from outside, or None.
    fn active<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(store::active(py)?.object(py))
    }

    /// Makes a span or a context the active one; None makes it that nothing is.
    #[pyo3(signature = (ctx))]
    fn activate<'py>(&self, ctx: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        store::activate(ctx.py(), &Active::handed_over(Some(&ctx)))?;
        Ok(ctx)
    }

    /// Whether anything is active.
    fn _has_active_context(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!matches!(store::active(py)?, Active::Nothing))
    }

    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.active(py)
    }
}
