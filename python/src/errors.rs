//! Exceptions, as spans tell of them. How they are shown is written in Python (`ddtrace_run/_errors.py`).

use crate::ffi::text;
use crate::once::Once;
use crate::shown::{shown, type_name};
use crate::span::Span;
use crate::spared::succeeded;
use crate::values::{self, Value};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTraceback};

/// The functions of `_errors`.
struct Helpers {
    described: Py<PyAny>,
    stack: Py<PyAny>,
    event: Py<PyAny>,
    is_of_a_signal: Py<PyAny>,
}

static HELPERS: PyOnceLock<Helpers> = PyOnceLock::new();

/// Imports them, with the extension: when an exception comes that may not be possible any more, as descriptors have run out,
/// the root is another or the interpreter is ending.
pub(crate) fn load(py: Python<'_>) -> PyResult<()> {
    HELPERS.get_or_make(py, || {
        let module = py.import("ddtrace_run._errors")?;
        let named = |name| Ok::<_, PyErr>(module.getattr(name)?.unbind());
        Ok::<_, PyErr>(Helpers {
            described: named("described")?,
            stack: named("stack")?,
            event: named("event")?,
            is_of_a_signal: named("is_of_a_signal")?,
        })
    })?;
    Ok(())
}

/// What one of them makes of what it is called with. `None` where it fails: whatever is told, it is told by a program that is
/// in trouble already. What is raised to end the program is raised.
fn call<'py, T>(
    py: Python<'py>,
    helper: impl FnOnce(&Helpers) -> &Py<PyAny>,
    arguments: impl PyCallArgs<'py>,
) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    let Some(helpers) = HELPERS.get(py) else { return Ok(None) };
    let called = helper(helpers).bind(py).call1(arguments);
    let Some(told) = succeeded(py, called)? else { return Ok(None) };
    Ok(told.extract().ok())
}

/// Whether the handler of a signal has raised what has this traceback.
pub(crate) fn is_of_a_signal(traceback: &Bound<'_, PyTraceback>) -> PyResult<bool> {
    let py = traceback.py();
    match HELPERS.get(py) {
        Some(helpers) => helpers.is_of_a_signal.bind(py).call1((traceback,))?.is_truthy(),
        None => Ok(false),
    }
}

/// What is told of an exception.
pub(crate) struct Told {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) stack: String,
}

impl Told {
    /// The texts of a helper, or the little that can be said of an exception without one.
    fn of<'py>(
        texts: Option<(Bound<'py, PyString>, Bound<'py, PyString>, Bound<'py, PyString>)>,
        exception: &Bound<'py, PyAny>,
    ) -> PyResult<Told> {
        let owned = |string: &Bound<'_, PyString>| text(string).into_owned();
        Ok(match texts {
            Some((kind, message, stack)) => Told { kind: owned(&kind), message: owned(&message), stack: owned(&stack) },
            None => Told { kind: type_name(exception)?, message: shown(exception)?, stack: String::new() },
        })
    }
}

/// Type, message and stack by the rules of Datadog's API.
pub(crate) fn described<'py>(
    kind: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
    traceback: &Bound<'py, PyAny>,
    limit: Option<&Bound<'py, PyAny>>,
) -> PyResult<Told> {
    let texts = call(kind.py(), |helpers| &helpers.described, (kind, value, traceback, limit))?;
    Told::of(texts, value)
}

/// Where the program is.
pub(crate) fn stack(py: Python<'_>, limit: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    let stack: Option<Bound<'_, PyString>> = call(py, |helpers| &helpers.stack, (limit,))?;
    Ok(stack.map(|stack| text(&stack).into_owned()).unwrap_or_default())
}

/// By whose rules an event tells of an exception.
#[derive(Clone, Copy)]
pub(crate) enum Naming {
    /// Types with their module, also those that are built in.
    Datadog,
    /// Types that are built in by their name alone; and whether the exception leaves the span.
    OpenTelemetry { escaped: bool },
}

/// Whether it only ends the program, successfully.
pub(crate) fn is_success(exception: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !exception.is_instance_of::<PySystemExit>() {
        return Ok(false);
    }
    let code = exception.getattr("code").and_then(|code| code.extract::<i64>());
    Ok(succeeded(exception.py(), code)? == Some(0))
}

/// Adds the event that tells of an exception.
pub(crate) fn record(
    span: &Bound<'_, Span>,
    exception: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyAny>>,
    time: Option<u64>,
    naming: Naming,
) -> PyResult<()> {
    let arguments = (exception, matches!(naming, Naming::Datadog));
    let told = Told::of(call(span.py(), |helpers| &helpers.event, arguments)?, exception)?;
    let mut all = vec![
        (String::from("exception.type"), Value::Text(told.kind.into())),
        (String::from("exception.message"), Value::Text(told.message.into())),
        (String::from("exception.stacktrace"), Value::Text(told.stack.into())),
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

/// Adds the event that tells by which exception a span of an integration has failed, and gives its type and message.
pub(crate) fn record_failure(span: &Bound<'_, Span>, exception: &Bound<'_, PyAny>) -> PyResult<(String, String)> {
    let Told { kind, message, stack } =
        Told::of(call(span.py(), |helpers| &helpers.event, (exception, false))?, exception)?;
    let all =
        [("exception.type", kind.clone()), ("exception.message", message.clone()), ("exception.stacktrace", stack)];
    let all = all.map(|(name, text)| (String::from(name), Value::Text(text.into())));
    span.get().add_event("exception", None, &all);
    Ok((kind, message))
}
