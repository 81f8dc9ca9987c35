//! Which span is active: one answer for all APIs.
//!
//! Until the program uses OpenTelemetry's API it is kept in a context variable of our own, and from then on in the context
//! of that API, so that code of either kind sees what the other has made active.

use crate::context::Context;
use crate::otel::binding::Binding;
use crate::span::Span;
use crate::variable::Variable;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What is active.
#[derive(Clone, Debug)]
pub(crate) enum Active<'py> {
    Nothing,
    Span(Bound<'py, Span>),
    /// A context from outside.
    Context(Bound<'py, Context>),
}

pub(crate) fn ours(py: Python<'_>) -> PyResult<&'static Variable> {
    static OURS: PyOnceLock<Variable> = PyOnceLock::new();
    OURS.get_or_try_init(py, || Variable::new(py, "ddtrace_run_active"))
}

impl<'py> Active<'py> {
    /// What a program hands to Datadog's API.
    pub(crate) fn handed_over(value: Option<&Bound<'py, PyAny>>) -> Active<'py> {
        let active = Active::of(value);
        if let Active::Context(context) = &active {
            context.get().handed_over();
        }
        active
    }

    /// What was put into the variable.
    pub(crate) fn of(value: Option<&Bound<'py, PyAny>>) -> Active<'py> {
        let Some(value) = value else { return Active::Nothing };
        if let Ok(span) = value.cast::<Span>() {
            return Active::Span(span.clone());
        }
        value.cast::<Context>().map_or(Active::Nothing, |context| Active::Context(context.clone()))
    }

    /// As Python has it.
    pub(crate) fn object(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Active::Nothing => py.None().into_bound(py),
            Active::Span(span) => span.clone().into_any(),
            Active::Context(context) => context.clone().into_any(),
        }
    }

    /// The nearest to it that has not ended.
    pub(crate) fn open(self) -> Active<'py> {
        let mut active = self;
        while let Active::Span(span) = &active {
            if !span.get().is_finished() {
                break;
            }
            active = span.get().after(span.py());
        }
        active
    }
}

/// What is active here, whether it has ended or not.
fn raw(py: Python<'_>) -> PyResult<Active<'_>> {
    if let Some(binding) = Binding::in_use(py)?
        && let Some(active) = binding.active(py)?
    {
        return Ok(active);
    }
    Ok(Active::of(ours(py)?.get(py)?.as_ref()))
}

/// What is active here.
pub(crate) fn active(py: Python<'_>) -> PyResult<Active<'_>> {
    raw(py).map(Active::open)
}

/// Called before the process forks: its child takes part in the trace that is active here, and both must agree on whether
/// that is kept. Never in the way of the fork.
#[pyfunction]
pub(crate) fn decide_before_fork(py: Python<'_>) {
    // Without a word to the program's own code: an exception of a signal's handler would be lost here.
    let active = match Binding::in_use(py) {
        Ok(Some(binding)) => binding.active_of_ours(py).map_or(Active::Nothing, Active::open),
        _ => active(py).unwrap_or(Active::Nothing),
    };
    if let Active::Span(span) = active {
        let _ = span.get().trace().leaving();
    }
}

/// Makes it the active one here.
pub(crate) fn activate<'py>(py: Python<'py>, active: &Active<'py>) -> PyResult<()> {
    put(py, active, None)
}

fn put<'py>(py: Python<'py>, active: &Active<'py>, left: Option<&Bound<'py, Span>>) -> PyResult<()> {
    match Binding::in_use(py)? {
        Some(binding) => binding.activate(py, active, left),
        None => ours(py)?.set(&active.object(py)).map(drop),
    }
}

/// A span has ended: if it is active here, what is so after it becomes it.
pub(crate) fn leave(span: &Bound<'_, Span>) -> PyResult<()> {
    let py = span.py();
    if matches!(raw(py)?, Active::Span(active) if active.is(span)) {
        put(py, &span.get().after(py).open(), Some(span))?;
    }
    Ok(())
}
