//! Which span is active: one answer for all APIs.
//!
//! Until the program uses OpenTelemetry's API it is kept in a context variable of our own, and from then on in the context
//! of that API, so that code of either kind sees what the other has made active.

use crate::context::Context;
use crate::once::Once;
use crate::otel::binding::Binding;
use crate::published;
use crate::span::Span;
use crate::variable::Variable;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
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
    OURS.get_or_make(py, || Variable::new(py, "ddtrace_run_active"))
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

    /// The same where something stands in the current context, by what has become of that.
    pub(crate) fn here(self) -> PyResult<Active<'py>> {
        let Active::Span(span) = &self else { return Ok(self) };
        if !span.get().is_finished() {
            return Ok(self);
        }
        if span.get().home.stays() {
            return Span::context(span).map(Active::Context);
        }
        let here = ours(span.py())?.here(span.py())?;
        if span.get().home.is_copied_to(here) {
            return Span::context(span).map(Active::Context);
        }
        after(span, Some(here))
    }
}

/// What is active once a span has ended: the nearest above it that has not. One that has ended, and was active where the
/// context comes from or is the request that is served here, stays: as the context of what begins here.
///
/// `here` is the context that this is asked for, if it is not the current one.
pub(crate) fn after<'py>(span: &Bound<'py, Span>, here: Option<usize>) -> PyResult<Active<'py>> {
    let py = span.py();
    let (mut span, mut here) = (span.clone(), here);
    loop {
        let above = match span.get().after(py) {
            Active::Span(above) if above.get().is_finished() => above,
            above => return Ok(above),
        };
        if above.get().home.stays() {
            return Span::context(&above).map(Active::Context);
        }
        if span.get().follows() {
            let here = match here {
                Some(here) => here,
                None => *here.insert(ours(py)?.here(py)?),
            };
            if above.get().home.is_elsewhere(here) {
                return Span::context(&above).map(Active::Context);
            }
        }
        span = above;
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
    raw(py)?.here()
}

/// What stands in a context, as it is there: to be put into another one.
pub(crate) struct Standing {
    ours: Option<Py<PyAny>>,
    /// The context of OpenTelemetry's API, where that is in use.
    otel: Option<Py<PyAny>>,
}

impl Standing {
    /// What stands in the current context.
    pub(crate) fn here(py: Python<'_>) -> PyResult<Standing> {
        let otel = Binding::in_use(py)?.map(|binding| binding.current(py)).transpose()?.flatten();
        Ok(Standing { ours: ours(py)?.get(py)?.map(Bound::unbind), otel: otel.map(Bound::unbind) })
    }

    /// Tells the garbage collector of it.
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ours)?;
        visit.call(&self.otel)
    }

    /// It stands in the current context from now on, as it does in all copies of the one that it was found in.
    pub(crate) fn put_back(&self, py: Python<'_>) -> PyResult<()> {
        let variable = ours(py)?;
        let value = self.ours.as_ref().map_or_else(|| py.None(), |ours| ours.clone_ref(py));
        let context = variable.context_of(&variable.set(value.bind(py))?);
        if let Some(binding) = Binding::in_use(py)? {
            match &self.otel {
                Some(otel) => binding.attach(otel.bind(py))?,
                // The program has begun to use it since.
                None => binding.attach(&binding.with(py, None, [])?)?,
            };
        }
        published::publish(py, &active(py)?, context);
        Ok(())
    }
}

/// Called before the process forks: its child takes part in the trace that is active here, and both must agree on whether
/// that is kept. Never in the way of the fork.
#[pyfunction]
pub(crate) fn decide_before_fork(py: Python<'_>) {
    // Without a word to the program's own code: an exception of a signal's handler would be lost here.
    let active = match Binding::in_use(py) {
        Ok(Some(binding)) => binding.active_of_ours(py).map_or(Ok(Active::Nothing), Active::here),
        _ => active(py),
    };
    match active {
        Ok(Active::Span(span)) => {
            let _ = span.get().trace().leaving();
        }
        Ok(Active::Context(context)) => {
            if let Some((trace, _)) = context.get().trace() {
                let _ = trace.leaving();
            }
        }
        _ => {}
    }
}

/// Makes it the active one here.
pub(crate) fn activate<'py>(py: Python<'py>, active: &Active<'py>) -> PyResult<()> {
    activate_for(py, active, None)
}

/// Makes active what was so before a span, which has not ended.
pub(crate) fn give_back<'py>(span: &Bound<'py, Span>, before: &Active<'py>) -> PyResult<()> {
    activate_for(span.py(), before, Some(span))
}

fn activate_for<'py>(py: Python<'py>, active: &Active<'py>, left: Option<&Bound<'py, Span>>) -> PyResult<()> {
    let context = put(py, active, left)?;
    published::publish(py, active, context);
    if let Active::Span(span) = active {
        span.get().home.entered(context, span.get().is_finished());
    }
    Ok(())
}

/// Gives the context in which it is, by its address.
fn put<'py>(py: Python<'py>, active: &Active<'py>, left: Option<&Bound<'py, Span>>) -> PyResult<usize> {
    match Binding::in_use(py)? {
        Some(binding) => binding.activate(py, active, left),
        None => {
            let ours = ours(py)?;
            Ok(ours.context_of(&ours.set(&active.object(py))?))
        }
    }
}

/// A span has ended: if it is active here, what is so after it becomes it.
pub(crate) fn leave(span: &Bound<'_, Span>) -> PyResult<()> {
    let py = span.py();
    if matches!(raw(py)?, Active::Span(active) if active.is(span)) {
        // In the API of OpenTelemetry a context keeps the span that it has.
        let kept = span.get().replaced(py).map(|shown| shown.get().span.bind(py).clone());
        let after = match kept.filter(|kept| kept.get().is_otel()) {
            Some(kept) => Active::Span(kept),
            None => after(span, None)?,
        };
        let context = put(py, &after, Some(span))?;
        published::publish(py, &after, context);
        span.get().home.left(context);
    }
    Ok(())
}
