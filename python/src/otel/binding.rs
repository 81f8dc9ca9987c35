//! What the OpenTelemetry API of this program is: its classes, and where it keeps what is current.

use super::span::OtelSpan;
use super::suppressed::Suppressed;
use crate::context::Context;
use crate::engine::engine;
use crate::integrations::stands_for_all;
use crate::once::Once;
use crate::shared::Items;
use crate::span::Span;
use crate::spared::{spared, succeeded};
use crate::store::Active;
use crate::variable::Variable;
use ddtrace::context::{FLAG_SAMPLED, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::tracecontext::TraceParent;
use ddtrace::propagation::{Extracted, w3c_form};
use ddtrace::span::SpanKind;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use std::sync::Arc;

/// The API, once the program uses it.
pub(crate) struct Binding {
    /// Where the current context is kept.
    variable: Variable,
    /// Under this name a context has its span,
    span_key: Py<PyString>,
    /// under this one its baggage,
    pub(super) baggage_key: Py<PyString>,
    /// under this one what of that is the trace's,
    pub(super) noted_key: Py<PyString>,
    /// and under this one what came in with a request, if ours has read it.
    pub(super) incoming_key: Py<PyString>,
    suppressed: Suppressed,
    context_class: Py<PyAny>,
    span_context_class: Py<PyAny>,
    trace_flags_class: Py<PyAny>,
    trace_state_class: Py<PyAny>,
    non_recording_class: Py<PyAny>,
    invalid_span: Py<PyAny>,
    no_state: Py<PyAny>,
    kinds: [Py<PyAny>; 5],
    /// The module `opentelemetry.trace`, whose provider may be set at any time.
    trace_names: Py<PyDict>,
    /// The provider that is set, and whether it is one of ours.
    known_provider: PyOnceLock<(Py<PyAny>, bool)>,
}

static BINDING: PyOnceLock<Binding> = PyOnceLock::new();

/// Takes note of the API: from now on, what is active is kept in its context.
#[pyfunction]
pub(crate) fn bind_otel(
    trace: &Bound<'_, PyModule>,
    variable: Bound<'_, PyAny>,
    keys: [Py<PyString>; 2],
) -> PyResult<()> {
    let py = trace.py();
    let context_class = py.import("opentelemetry.context.context")?.getattr("Context")?.unbind();
    let named = |name: &str| Ok::<_, PyErr>(trace.getattr(name)?.unbind());
    let kind_class = trace.getattr("SpanKind")?;
    let kind = |name: &str| Ok::<_, PyErr>(kind_class.getattr(name)?.unbind());
    let [span_key, baggage_key] = keys;
    let before = crate::store::active(py)?;
    let binding = Binding {
        variable: Variable::of(variable)?,
        span_key,
        baggage_key,
        noted_key: PyString::new(py, "ddtrace_run-baggage").unbind(),
        incoming_key: PyString::new(py, "ddtrace_run-incoming").unbind(),
        suppressed: Suppressed::of(py)?,
        context_class,
        span_context_class: named("SpanContext")?,
        trace_flags_class: named("TraceFlags")?,
        trace_state_class: named("TraceState")?,
        non_recording_class: named("NonRecordingSpan")?,
        invalid_span: named("INVALID_SPAN")?,
        no_state: trace.getattr("TraceState")?.call0()?.unbind(),
        kinds: [kind("INTERNAL")?, kind("SERVER")?, kind("CLIENT")?, kind("PRODUCER")?, kind("CONSUMER")?],
        trace_names: trace.dict().unbind(),
        known_provider: PyOnceLock::new(),
    };
    if BINDING.set(py, binding).is_ok() && !matches!(before, Active::Nothing) {
        crate::store::activate(py, &before)?;
    }
    Ok(())
}

/// Whether the API is bound already.
#[pyfunction]
pub(crate) fn is_otel_bound(py: Python<'_>) -> bool {
    Binding::get(py).is_some()
}

impl Binding {
    /// The API, if the program uses it.
    pub(crate) fn get(py: Python<'_>) -> Option<&'static Binding> {
        BINDING.get(py)
    }

    /// The API, if what is active is kept in its context: not where the program has set a provider of its own, whose spans
    /// are nothing to us, and ours nothing to them.
    pub(crate) fn in_use(py: Python<'_>) -> PyResult<Option<&'static Binding>> {
        let Some(binding) = BINDING.get(py) else { return Ok(None) };
        Ok(match binding.provider(py)? {
            Some(provider) if !binding.is_ours(&provider)? => None,
            _ => Some(binding),
        })
    }

    /// Whether a provider is one of ours.
    fn is_ours(&self, provider: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = provider.py();
        let is_marked = || spared(py, provider.hasattr(intern!(py, "_is_ddtrace_run")));
        let (known, ours) = self.known_provider.get_or_make(py, || {
            let is_ours = is_marked()?;
            Ok::<_, PyErr>((provider.clone().unbind(), is_ours))
        })?;
        // It can be set only once, but the fixtures of tests take it back.
        if provider.is(known) { Ok(*ours) } else { is_marked() }
    }

    /// Where the current context is kept.
    pub(crate) fn variable(&'static self) -> &'static Variable {
        &self.variable
    }

    /// The current context.
    pub(crate) fn current<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.variable.get(py)
    }

    /// Makes a context the current one; gives what takes that back.
    pub(crate) fn attach<'py>(&self, context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.variable.set(context)
    }

    /// Takes back what was attached.
    pub(crate) fn detach(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        self.variable.reset(token)
    }

    /// A value of a context.
    pub(crate) fn value<'py>(
        &self,
        context: &Bound<'py, PyAny>,
        key: &Py<PyString>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = context.py();
        let value = if context.is_instance_of::<PyDict>() {
            self.item(context, key)?
        } else {
            spared(py, context.call_method1(intern!(py, "get"), (key,)).map(Some))?
        };
        Ok(value.filter(|value| !value.is_none()))
    }

    /// An item of a dictionary.
    fn item<'py>(&self, dict: &Bound<'py, PyAny>, key: &Py<PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = dict.py();
        // SAFETY: a dictionary and a key. The item is borrowed, or null: with an exception, if there is one.
        unsafe {
            let value = ffi::PyDict_GetItemWithError(dict.as_ptr(), key.as_ptr());
            if value.is_null() && !ffi::PyErr_Occurred().is_null() {
                return Err(PyErr::fetch(py));
            }
            Ok(Bound::from_borrowed_ptr_or_opt(py, value))
        }
    }

    /// A copy of a context with other values.
    pub(crate) fn with<'py, const N: usize>(
        &self,
        py: Python<'py>,
        context: Option<&Bound<'py, PyAny>>,
        values: [(&Py<PyString>, &Bound<'py, PyAny>); N],
    ) -> PyResult<Bound<'py, PyAny>> {
        let class = self.context_class.bind(py);
        let copy = match context {
            Some(context) => class.call1((context,))?,
            None => class.call0()?,
        };
        for (key, value) in values {
            // SAFETY: a dictionary by its class, though one that refuses to be changed by its methods; nobody else has it.
            let failed = unsafe { ffi::PyDict_SetItem(copy.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0;
            if failed {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(copy)
    }

    /// A copy of a context whose span is another.
    pub(crate) fn with_span<'py>(
        &self,
        py: Python<'py>,
        context: Option<&Bound<'py, PyAny>>,
        span: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.with(py, context, [(&self.span_key, span)])
    }

    /// What is active in the current context; `None` where the API knows of nothing.
    pub(crate) fn active<'py>(&self, py: Python<'py>) -> PyResult<Option<Active<'py>>> {
        match self.current(py)? {
            Some(context) => self.active_in(&context),
            None => Ok(None),
        }
    }

    /// The span of ours that is active in the current context, as far as can be told without running code of the program's.
    pub(crate) fn active_of_ours<'py>(&self, py: Python<'py>) -> Option<Active<'py>> {
        self.span_of_ours(py).map(Active::Span)
    }

    fn span_of_ours<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Span>> {
        if !self.variable.is_plain() {
            return None;
        }
        let context = self.current(py).ok()??;
        let span = context.is_instance_of::<PyDict>().then(|| self.item(&context, &self.span_key).ok())??;
        let span = span?.cast_into::<OtelSpan>().ok()?;
        Some(span.get().span.bind(py).clone())
    }

    /// Tells native code what is active in the current context of the API now, which is in that one of Python's.
    pub(crate) fn publish_current(&self, py: Python<'_>, context: usize) {
        let active = if self.variable.is_plain() { self.span_of_ours(py) } else { None };
        crate::published::publish_span(active.as_ref(), py, context);
    }

    /// What is active in a context.
    pub(crate) fn active_in<'py>(&self, context: &Bound<'py, PyAny>) -> PyResult<Option<Active<'py>>> {
        let Some(span) = self.value(context, &self.span_key)? else { return Ok(None) };
        if let Ok(span) = span.cast::<OtelSpan>() {
            return Ok(Some(Active::Span(span.get().span.bind(context.py()).clone())));
        }
        self.of_others(context, &span).map(Some)
    }

    /// The span in a context that is none of ours: one that came in, or another tracer's.
    fn of_others<'py>(&self, context: &Bound<'py, PyAny>, span: &Bound<'py, PyAny>) -> PyResult<Active<'py>> {
        let py = context.py();
        let Some(told) = succeeded(py, span.call_method0(intern!(py, "get_span_context")))? else {
            return Ok(Active::Nothing);
        };
        if !is_valid(&told)? {
            // There may be baggage alone, links to what is not continued, or a trace without a span to hang under.
            let is_invalid = |incoming: &Bound<'py, Context>| {
                let span = incoming.get().span_context();
                !span.trace_id.is_valid() || !span.span_id.is_valid()
            };
            return Ok(self.incoming(context)?.filter(is_invalid).map_or(Active::Nothing, Active::Context));
        }
        let Some(told) = succeeded(py, self.read(&told))? else { return Ok(Active::Nothing) };
        if let Some(incoming) = self.incoming(context)? {
            let known = incoming.get().span_context();
            if (known.trace_id, known.span_id) == (told.span.trace_id, told.span.span_id) {
                return Ok(Active::Context(incoming));
            }
        }
        Ok(Active::Context(Bound::new(py, context_of(told))?))
    }

    /// The `SpanContext` of the span in a context, or in the current one.
    pub(crate) fn told<'py>(
        &self,
        py: Python<'py>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let current = match context {
            Some(context) => Some(context.clone()),
            None => self.current(py)?,
        };
        let Some(current) = current else { return Ok(None) };
        let Some(span) = self.value(&current, &self.span_key)? else { return Ok(None) };
        // One of ours that has ended: what is above it says its own.
        if span.is_instance_of::<OtelSpan>() {
            return Ok(None);
        }
        let Some(told) = succeeded(py, span.call_method0(intern!(py, "get_span_context")))? else { return Ok(None) };
        Ok(if is_valid(&told)? { Some(told) } else { None })
    }

    /// What came in with a request, if ours has read it.
    pub(crate) fn incoming<'py>(&self, context: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Context>>> {
        let incoming = self.value(context, &self.incoming_key)?;
        Ok(incoming.and_then(|incoming| incoming.cast_into::<Context>().ok()))
    }

    /// A `SpanContext` of the API's.
    pub(crate) fn read(&self, span: &Bound<'_, PyAny>) -> PyResult<TraceContext> {
        let py = span.py();
        let trace_id: u128 = span.getattr(intern!(py, "trace_id"))?.extract()?;
        let span_id: u64 = span.getattr(intern!(py, "span_id"))?.extract()?;
        let flags: u8 = span.getattr(intern!(py, "trace_flags"))?.extract()?;
        let state = span.getattr(intern!(py, "trace_state"))?;
        let state: String = match state.is_truthy()? {
            true => state.call_method0(intern!(py, "to_header"))?.extract()?,
            false => String::new(),
        };
        let is_remote = span.getattr(intern!(py, "is_remote"))?.is_truthy()?;
        let parent = TraceParent { trace_id: TraceId(trace_id), span_id: SpanId(span_id), flags };
        Ok(w3c_form::read(parent, &state, is_remote))
    }

    /// The `SpanContext` of the API for a context.
    pub(crate) fn span_context<'py>(
        &self,
        py: Python<'py>,
        (trace_id, span_id, flags): (TraceId, SpanId, u8),
        is_remote: bool,
        state: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let state = if state.is_empty() {
            self.no_state.bind(py).clone()
        } else {
            self.trace_state_class.bind(py).call_method1(intern!(py, "from_header"), (vec![state],))?
        };
        let flags = self.trace_flags_class.bind(py).call1((flags,))?;
        self.span_context_class.bind(py).call1((trace_id.0, span_id.0, is_remote, flags, state))
    }

    /// The span of the API that shows a context from outside.
    pub(crate) fn non_recording<'py>(&self, py: Python<'py>, context: &TraceContext) -> PyResult<Bound<'py, PyAny>> {
        let ids = (context.span.trace_id, context.span.span_id, context.span.trace_flags());
        let shown = self.span_context(py, ids, context.is_remote, &w3c_form::state_of(context))?;
        self.non_recording_class.bind(py).call1((shown,))
    }

    /// Makes a span, a context or nothing the active one, in a copy of the current context. `left` is the span in whose
    /// place that is, if one has ended: what it was put in the place of comes back as it was. Gives the context of Python's in
    /// which that is, by its address.
    pub(crate) fn activate<'py>(
        &self,
        py: Python<'py>,
        active: &Active<'py>,
        left: Option<&Bound<'py, Span>>,
    ) -> PyResult<usize> {
        let mut current = self.current(py)?;
        let baggage = match active {
            Active::Nothing => Some(Items::new()),
            Active::Span(span) => Some(span.get().shared.all_baggage()),
            Active::Context(_) => None,
        };
        if let Some(baggage) = baggage
            && let Some(moved) = super::baggage::moved(self, py, current.as_ref(), baggage)?
        {
            current = Some(moved);
        }
        let current = current.as_ref();
        let next = match active {
            Active::Nothing => self.with_span(py, current, self.invalid_span.bind(py))?,
            Active::Span(span) => {
                let before = left.and_then(|left| left.get().replaced(py));
                let shown = match before.filter(|before| before.get().span.is(span)) {
                    Some(before) => before,
                    None => {
                        let present = current.map(|current| self.value(current, &self.span_key)).transpose()?.flatten();
                        if let Some(present) = present
                            && let Ok(present) = present.cast_into::<OtelSpan>()
                            && (matches!(span.get().above(py), Active::Span(above) if above.is(&present.get().span))
                                || present.get().span.get().is_otel() && present.get().span.get().is_finished())
                        {
                            span.get().set_replaced(present);
                        }
                        OtelSpan::showing(span)?
                    }
                };
                self.with_span(py, current, shown.as_any())?
            }
            Active::Context(context) => self.with_incoming(py, current, context)?,
        };
        self.suppressed.put(&next, stands_for_all(active))?;
        Ok(self.variable.context_of(&self.attach(&next)?))
    }

    /// A copy of a context in which something has come in.
    pub(crate) fn with_incoming<'py>(
        &self,
        py: Python<'py>,
        current: Option<&Bound<'py, PyAny>>,
        context: &Bound<'py, Context>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = context.get();
        let carried = match this.trace() {
            Some((trace, id)) => {
                let mut context = trace.context_so_far(id);
                // What nobody has decided about is kept as a rule, and there is no asking later.
                context.span.flags |= FLAG_SAMPLED;
                context
            }
            None => this.extracted().and_then(|extracted| extracted.context).unwrap_or_default(),
        };
        let span = match carried.span.trace_id {
            TraceId(0) => self.invalid_span.bind(py).clone(),
            _ => self.non_recording(py, &carried)?,
        };
        let moved = super::baggage::arrived(self, py, current, this.shared.all_baggage())?;
        let current = moved.as_ref().or(current);
        self.with(py, current, [(&self.span_key, &span), (&self.incoming_key, context.as_any())])
    }

    /// The class of the API's spans that stand for others.
    pub(crate) fn non_recording_class<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.non_recording_class.bind(py).clone()
    }

    /// A kind of the API's.
    pub(crate) fn kind(&self, kind: Option<&Bound<'_, PyAny>>) -> SpanKind {
        const KINDS: [SpanKind; 5] =
            [SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer];
        let known = |kind: &Bound<'_, PyAny>| self.kinds.iter().position(|known| kind.is(known));
        kind.and_then(known).map_or(SpanKind::Internal, |index| KINDS[index])
    }

    /// The API's word for a kind.
    pub(crate) fn kind_object(&self, py: Python<'_>, kind: SpanKind) -> Py<PyAny> {
        self.kinds[(kind as usize).saturating_sub(1).min(4)].clone_ref(py)
    }

    /// The provider that the program has set.
    pub(crate) fn provider<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let provider = self.trace_names.bind(py).get_item(intern!(py, "_TRACER_PROVIDER"))?;
        Ok(provider.filter(|provider| !provider.is_none()))
    }
}

/// Whether a `SpanContext` stands for a span.
fn is_valid(told: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = told.py();
    spared(py, told.getattr(intern!(py, "is_valid")).and_then(|valid| valid.is_truthy()))
}

/// A context that an API has told of: of a trace of this process, where there is one.
pub(crate) fn context_of(told: TraceContext) -> Context {
    if !told.is_remote
        && let Some(trace) = engine().tracer.active(told.span.trace_id)
    {
        return Context::local(trace, told.span.span_id, Arc::default());
    }
    Context::carried(Extracted { context: Some(told), ..Extracted::default() }, Vec::new())
}

/// The span in a context, or what is active here if there is no context: what a new span hangs under.
pub(crate) fn parent<'py>(
    py: Python<'py>,
    binding: &Binding,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Active<'py>> {
    match context {
        Some(context) => Ok(binding.active_in(context)?.unwrap_or(Active::Nothing)),
        None => match binding.active(py)? {
            // One of Datadog's API is active until it has ended, be that in another thread.
            Some(Active::Span(span)) if !span.get().is_otel() => Active::Span(span).here(),
            Some(active) => Ok(active),
            // What was made active before the program used this API.
            None => crate::store::active(py),
        },
    }
}
