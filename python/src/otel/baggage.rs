//! Baggage of both APIs: Datadog's belongs to a trace, OpenTelemetry's to a context.
//!
//! While a span of the trace is active they are one: what the trace has, with what OpenTelemetry's API has added, changed
//! and taken away in the current context. To tell the two apart a context of that API has a note of what the trace had when
//! its baggage was put there; so nothing of a context is ever kept in the trace, and what was attached goes when it is
//! detached.

use super::binding::Binding;
use crate::context::Context;
use crate::shared::{Items, put};
use crate::shown::shown;
use crate::store::{self, Active};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// What a context has under a key.
fn under(binding: &Binding, context: Option<&Bound<'_, PyAny>>, key: &Py<PyString>) -> PyResult<Items> {
    let Some(context) = context else { return Ok(Items::new()) };
    let Some(items) = binding.value(context, key)? else { return Ok(Items::new()) };
    let Ok(items) = items.cast::<PyDict>() else { return Ok(Items::new()) };
    items.copy()?.iter().map(|(key, value)| Ok((shown(&key)?, shown(&value)?))).collect()
}

fn has(items: &Items, key: &str) -> bool {
    items.iter().any(|(present, _)| present == key)
}

/// The baggage of a context.
pub(super) fn of_context(binding: &Binding, context: Option<&Bound<'_, PyAny>>) -> PyResult<Items> {
    under(binding, context, &binding.baggage_key)
}

/// What the baggage of a trace is in a context.
pub(super) fn within(binding: &Binding, context: Option<&Bound<'_, PyAny>>, mut items: Items) -> PyResult<Items> {
    let (here, noted) = (under(binding, context, &binding.baggage_key)?, under(binding, context, &binding.noted_key)?);
    items.retain(|(key, _)| has(&here, key) || !has(&noted, key));
    for (key, value) in here.into_iter().filter(|item| !noted.contains(item)) {
        put(&mut items, key, value);
    }
    Ok(items)
}

/// A copy of a context with this baggage, of which the trace has what is noted.
fn with_items<'py>(
    binding: &Binding,
    py: Python<'py>,
    context: Option<&Bound<'py, PyAny>>,
    items: &Items,
    noted: &Items,
) -> PyResult<Bound<'py, PyAny>> {
    let before = context.map(|context| binding.value(context, &binding.baggage_key)).transpose()?.flatten();
    let before = before.as_ref().and_then(|before| before.cast::<PyDict>().ok());
    let (baggage, note) = (PyDict::new(py), PyDict::new(py));
    for (key, value) in items {
        // Values of that API may be no texts, and stay what they are.
        match before.map(|before| before.get_item(key)).transpose()?.flatten() {
            Some(present) if shown(&present)? == *value => baggage.set_item(key, present)?,
            _ => baggage.set_item(key, value)?,
        }
    }
    noted.iter().try_for_each(|(key, value)| note.set_item(key, value))?;
    binding.with(py, context, [(&binding.baggage_key, baggage.as_any()), (&binding.noted_key, note.as_any())])
}

/// A copy of a context for the baggage of the trace that becomes active in it, or of none; `None` where it has that already.
pub(super) fn moved<'py>(
    binding: &Binding,
    py: Python<'py>,
    context: Option<&Bound<'py, PyAny>>,
    trace: Items,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if under(binding, context, &binding.noted_key)? == trace {
        return Ok(None);
    }
    let items = within(binding, context, trace.clone())?;
    with_items(binding, py, context, &items, &trace).map(Some)
}

/// The same for the baggage of a trace that comes in: it wins over what is there.
pub(super) fn arrived<'py>(
    binding: &Binding,
    py: Python<'py>,
    context: Option<&Bound<'py, PyAny>>,
    trace: Items,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // What came in without a trace is of none that goes now.
    let is_of_none = match context.map(|context| binding.incoming(context)).transpose()?.flatten() {
        Some(incoming) => incoming.get().trace().is_none() && !incoming.get().span_context().trace_id.is_valid(),
        None => false,
    };
    if trace.is_empty() && !is_of_none {
        return moved(binding, py, context, trace);
    }
    let mut items = if is_of_none { of_context(binding, context)? } else { within(binding, context, Items::new())? };
    trace.iter().for_each(|(key, value)| put(&mut items, key.clone(), value.clone()));
    with_items(binding, py, context, &items, &trace).map(Some)
}

/// A copy of a context with more baggage that is of no trace.
pub(super) fn added<'py>(
    binding: &Binding,
    py: Python<'py>,
    context: Option<&Bound<'py, PyAny>>,
    more: Items,
) -> PyResult<Bound<'py, PyAny>> {
    if more.is_empty() {
        return binding.with(py, context, []);
    }
    let items = match context.map(|context| binding.value(context, &binding.baggage_key)).transpose()?.flatten() {
        Some(present) => present.cast::<PyDict>().map_or_else(|_| Ok(PyDict::new(py)), |present| present.copy())?,
        None => PyDict::new(py),
    };
    more.into_iter().try_for_each(|(key, value)| items.set_item(key, value))?;
    binding.with(py, context, [(&binding.baggage_key, items.as_any())])
}

type Here<'py> = (&'static Binding, Option<Bound<'py, PyAny>>);

/// The API and its current context, if a trace is the active one in it.
fn here<'py>(py: Python<'py>, trace: &Context) -> PyResult<Option<Here<'py>>> {
    let Some(binding) = Binding::in_use(py)? else { return Ok(None) };
    let is_active = match store::active(py)? {
        Active::Span(span) => std::ptr::eq(&raw const *span.get().shared, &raw const *trace.shared),
        Active::Context(context) => {
            let (context, ids) = (context.get(), |context: &Context| {
                let span = context.span_context();
                (span.trace_id, span.span_id)
            });
            // Another tracer's span in a context is shown anew each time.
            std::ptr::eq(&raw const *context.shared, &raw const *trace.shared)
                || (ids(context) == ids(trace) && trace.trace_id().is_some())
        }
        Active::Nothing => false,
    };
    Ok(if is_active { Some((binding, binding.current(py)?)) } else { None })
}

/// The baggage of a trace, as it is seen from here.
pub(crate) fn seen(py: Python<'_>, trace: &Context) -> PyResult<Items> {
    let items = trace.shared.all_baggage();
    match here(py, trace)? {
        Some((binding, current)) => within(binding, current.as_ref(), items),
        None => Ok(items),
    }
}

/// Changes the baggage of a trace, and of the current context if the trace is active in it.
pub(crate) fn change(py: Python<'_>, trace: &Context, change: impl Fn(&mut Items)) -> PyResult<()> {
    let Some((binding, current)) = here(py, trace)? else {
        trace.shared.change_baggage(change);
        return Ok(());
    };
    let current = current.as_ref();
    let mut items = within(binding, current, trace.shared.all_baggage())?;
    trace.shared.change_baggage(&change);
    change(&mut items);
    let next = with_items(binding, py, current, &items, &trace.shared.all_baggage())?;
    binding.attach(&next).map(drop)
}
