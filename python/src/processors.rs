//! Those who look at finished traces before they are recorded (`trace_processors` of Datadog's API), and those who are told
//! of each span that begins.

mod held;

use crate::span::Span;
use crate::spared::{is_nothing, keep_first};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

pub(crate) use held::hold;

static ARE_THERE: AtomicBool = AtomicBool::new(false);
static ARE_TOLD: AtomicBool = AtomicBool::new(false);
static PROCESSORS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());
static LISTENERS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

/// Bound, as whatever is let go of in a [fast method](crate::ffi::fast) is let go of at once only then.
fn copy<'py>(py: Python<'py>, list: &Mutex<Vec<Py<PyAny>>>) -> Vec<Bound<'py, PyAny>> {
    list.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|item| item.bind(py).clone()).collect()
}

/// Whether finished traces are looked at.
pub(crate) fn are_there() -> bool {
    ARE_THERE.load(Ordering::Relaxed)
}

/// Replaces them.
pub(crate) fn set(processors: Vec<Py<PyAny>>) {
    ARE_THERE.store(!processors.is_empty(), Ordering::Relaxed);
    let before = std::mem::replace(&mut *PROCESSORS.lock().unwrap_or_else(PoisonError::into_inner), processors);
    drop(before);
}

/// Adds one who is told of each span that begins.
pub(crate) fn listen(listener: Py<PyAny>) {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    ARE_TOLD.store(true, Ordering::Relaxed);
}

/// Takes one away.
pub(crate) fn unlisten(listener: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = listener.py();
    let mut kept = Vec::new();
    for present in copy(py, &LISTENERS) {
        if !listener.eq(&present)? {
            kept.push(present.unbind());
        }
    }
    ARE_TOLD.store(!kept.is_empty(), Ordering::Relaxed);
    let before = std::mem::replace(&mut *LISTENERS.lock().unwrap_or_else(PoisonError::into_inner), kept);
    drop(before);
    Ok(())
}

/// One who looks or is told has failed: it is told of, and changes nothing. What is to end what the program does comes out.
pub(crate) fn failed(py: Python<'_>, who: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    if !is_nothing(py, &error)? {
        return Err(error);
    }
    error.write_unraisable(py, Some(who));
    Ok(())
}

/// A span has begun.
pub(crate) fn begun(span: &Bound<'_, Span>) -> PyResult<()> {
    if !ARE_TOLD.load(Ordering::Relaxed) {
        return Ok(());
    }
    for listener in copy(span.py(), &LISTENERS) {
        if let Err(error) = listener.call1((span,)) {
            failed(span.py(), &listener, error)?;
        }
    }
    Ok(())
}

/// A span has ended that is to be looked at.
pub(crate) fn finished(span: &Bound<'_, Span>) -> PyResult<()> {
    look_through_all(span.py(), held::finished(span))
}

/// A span has begun that is to be as if it had not.
pub(crate) fn abandoned(span: &Bound<'_, Span>) -> PyResult<()> {
    look_through_all(span.py(), held::abandoned(span))
}

/// What is held is looked through and recorded, though spans of the same traces are open: nothing more may come.
pub(crate) fn hand_on(py: Python<'_>) -> PyResult<()> {
    look_through_all(py, held::take_all(py))
}

fn look_through_all<'py>(py: Python<'py>, all: Vec<Vec<Bound<'py, Span>>>) -> PyResult<()> {
    let mut failure = Ok(());
    for spans in all {
        keep_first(&mut failure, look_through(py, &spans));
    }
    failure
}

/// Has finished spans of a trace looked through, the first that began first, and records what is left of them; the others
/// are taken back.
fn look_through<'py>(py: Python<'py>, spans: &[Bound<'py, Span>]) -> PyResult<()> {
    let mut left = PyList::new(py, spans)?;
    let mut failure = Ok(());
    for processor in copy(py, &PROCESSORS) {
        match process(&processor, &left) {
            Ok(result) => left = result,
            Err(error) => keep_first(&mut failure, failed(py, &processor, error)),
        }
        if left.is_empty() {
            break;
        }
    }
    let kept: HashSet<usize> = left.iter().map(|span| span.as_ptr() as usize).collect();
    let is_kept = |span: &Bound<'py, Span>| kept.contains(&(span.as_ptr() as usize));
    if let Some(first) = spans.first()
        && kept.len() < spans.len()
        && spans.iter().any(is_kept)
    {
        // While the local root is there, by which rules decide.
        let _ = first.get().trace().is_kept();
    }
    // A trace is complete with its local root, which is among the first.
    for span in spans.iter().rev() {
        if is_kept(span) {
            span.get().record_end();
        } else {
            span.get().withdraw();
        }
    }
    failure
}

/// What a processor leaves of spans; nothing, if it gives None.
fn process<'py>(processor: &Bound<'py, PyAny>, spans: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
    let py = processor.py();
    let result = processor.call_method1("process_trace", (spans,))?;
    if !result.is_truthy()? {
        return Ok(PyList::empty(py));
    }
    match result.cast_into::<PyList>() {
        Ok(result) => Ok(result),
        Err(other) => PyList::new(py, other.into_inner().try_iter()?.collect::<PyResult<Vec<_>>>()?),
    }
}
