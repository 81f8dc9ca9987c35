//! Exceptions, as spans tell of them. How they are shown is written in Python (`ddtrace_run/_errors.py`), and imported when
//! the first one comes.

use crate::span::Span;
use crate::values::{self, Value};
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

fn helper<'py>(py: Python<'py>, cell: &'static PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let find = || Ok::<_, PyErr>(py.import("ddtrace_run._errors")?.getattr(name)?.unbind());
    Ok(cell.get_or_try_init(py, find)?.bind(py).clone())
}

/// `described(type, value, traceback, limit)`: type, message and stack.
pub(crate) fn described(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static FOUND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    helper(py, &FOUND, "described")
}

/// `stack(limit)`: where the program is.
pub(crate) fn stack(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static FOUND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    helper(py, &FOUND, "stack")
}

/// By whose rules an event tells of an exception.
#[derive(Clone, Copy)]
pub(crate) enum Naming {
    /// Types with their module, also those that are built in.
    Datadog,
    /// Types that are built in by their name alone; and whether the exception leaves the span.
    OpenTelemetry { escaped: bool },
}

/// `event(exception, is_datadog)`: type, message and stack as OpenTelemetry has them.
fn event(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static FOUND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    helper(py, &FOUND, "event")
}

/// Whether it only ends the program, successfully.
pub(crate) fn is_success(exception: &Bound<'_, PyAny>) -> bool {
    exception.is_instance_of::<PySystemExit>()
        && exception.getattr("code").is_ok_and(|code| code.extract::<i64>().is_ok_and(|code| code == 0))
}

/// Adds the event that tells of an exception.
pub(crate) fn record(
    span: &Bound<'_, Span>,
    exception: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyAny>>,
    time: Option<u64>,
    naming: Naming,
) -> PyResult<()> {
    let (kind, message, stack): (String, String, String) =
        { event(span.py())?.call1((exception, matches!(naming, Naming::Datadog)))?.extract()? };
    let mut all = vec![
        (String::from("exception.type"), Value::Text(kind.into())),
        (String::from("exception.message"), Value::Text(message.into())),
        (String::from("exception.stacktrace"), Value::Text(stack.into())),
    ];
    if let Naming::OpenTelemetry { escaped } = naming {
        all.push((String::from("exception.escaped"), Value::Text(if escaped { "True" } else { "False" }.into())));
    }
    // The caller's win.
    for (name, value) in
        attributes.filter(|given| !given.is_none()).map(values::attributes).transpose()?.unwrap_or_default()
    {
        all.retain(|(present, _)| *present != name);
        all.push((name, value));
    }
    span.get().add_event("exception", time, &all);
    Ok(())
}
