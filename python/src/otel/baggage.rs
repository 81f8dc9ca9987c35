//! Baggage of both APIs: Datadog's belongs to a trace, OpenTelemetry's to a context. What one sets, the other sees while a
//! span of the trace is active.

use super::binding::Binding;
use crate::shared::Shared;
use crate::store::{self, Active};
use crate::values::shown;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Whether a trace is the active one.
fn is_active(py: Python<'_>, shared: &Shared) -> PyResult<bool> {
    Ok(match store::active(py)? {
        Active::Span(span) => std::ptr::eq(&raw const *span.get().shared, shared),
        Active::Context(context) => std::ptr::eq(&raw const *context.get().shared, shared),
        Active::Nothing => false,
    })
}

/// The baggage of a context.
pub(crate) fn of<'py>(binding: &Binding, context: &Bound<'py, PyAny>) -> PyResult<Vec<(String, String)>> {
    let Some(items) = binding.value(context, &binding.baggage_key) else { return Ok(Vec::new()) };
    let Ok(items) = items.cast::<PyDict>() else { return Ok(Vec::new()) };
    Ok(items.copy()?.iter().map(|(key, value)| (shown(&key), shown(&value))).collect())
}

/// The baggage of a context with more in it.
pub(crate) fn merged<'py>(
    binding: &Binding,
    py: Python<'py>,
    context: Option<&Bound<'py, PyAny>>,
    more: Vec<(String, String)>,
) -> PyResult<Bound<'py, PyDict>> {
    let items = match context.and_then(|context| binding.value(context, &binding.baggage_key)) {
        Some(present) => present.cast::<PyDict>().map_or_else(|_| Ok(PyDict::new(py)), |present| present.copy())?,
        None => PyDict::new(py),
    };
    more.into_iter().try_for_each(|(key, value)| items.set_item(key, value))?;
    Ok(items)
}

/// A trace's baggage has changed through Datadog's API: by one more item, or to what it is now.
pub(crate) fn set(py: Python<'_>, shared: &Shared, item: Option<(&str, &str)>) -> PyResult<()> {
    let Some(binding) = Binding::get(py) else { return Ok(()) };
    if !is_active(py, shared)? {
        return Ok(());
    }
    let current = binding.current(py)?;
    let items = match item {
        Some((key, value)) => merged(binding, py, current.as_ref(), vec![(key.into(), value.into())])?,
        None => merged(binding, py, None, shared.all_baggage())?,
    };
    let next = binding.with(py, current.as_ref(), [(&binding.baggage_key, items.as_any())])?;
    binding.attach(&next).map(drop)
}

/// Takes over into a trace's baggage what the current context of OpenTelemetry's API has.
pub(crate) fn bring(py: Python<'_>, shared: &Shared) -> PyResult<()> {
    let Some(binding) = Binding::get(py) else { return Ok(()) };
    let Some(current) = binding.current(py)? else { return Ok(()) };
    let items = of(binding, &current)?;
    if !items.is_empty() && is_active(py, shared)? {
        items.into_iter().for_each(|(key, value)| shared.set_baggage_item(key, value));
    }
    Ok(())
}
