//! Those who look at finished traces before they are recorded (`trace_processors` of Datadog's API), and those who are told
//! of each span that begins.

use crate::span::Span;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static ARE_THERE: AtomicBool = AtomicBool::new(false);
static ARE_TOLD: AtomicBool = AtomicBool::new(false);
static PROCESSORS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());
static LISTENERS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

fn copy(py: Python<'_>, list: &Mutex<Vec<Py<PyAny>>>) -> Vec<Py<PyAny>> {
    list.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|item| item.clone_ref(py)).collect()
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
            kept.push(present);
        }
    }
    ARE_TOLD.store(!kept.is_empty(), Ordering::Relaxed);
    let before = std::mem::replace(&mut *LISTENERS.lock().unwrap_or_else(PoisonError::into_inner), kept);
    drop(before);
    Ok(())
}

/// A span has begun.
pub(crate) fn begun(span: &Bound<'_, Span>) {
    if are_there() {
        span.get().shared.begin_waiting();
    }
    if !ARE_TOLD.load(Ordering::Relaxed) {
        return;
    }
    for listener in copy(span.py(), &LISTENERS) {
        if let Err(error) = listener.bind(span.py()).call1((span,)) {
            error.write_unraisable(span.py(), Some(listener.bind(span.py())));
        }
    }
}

/// A span has ended. When the last one of its trace has, all of them are looked through and recorded: as dropped, if one of
/// the processors gives None for them.
pub(crate) fn finished(span: &Bound<'_, Span>) -> PyResult<()> {
    let py = span.py();
    let Some(spans) = span.get().shared.wait(span.clone().unbind()) else { return Ok(()) };
    let mut left = PyList::new(py, &spans)?.into_any();
    for processor in copy(py, &PROCESSORS) {
        match processor.bind(py).call_method1("process_trace", (&left,)) {
            Ok(result) if result.is_none() => {
                span.get().trace().decide_manually(false);
                break;
            }
            Ok(result) => left = result,
            // A processor that fails changes nothing.
            Err(error) => error.write_unraisable(py, Some(processor.bind(py))),
        }
    }
    for span in spans {
        span.get().record_end();
    }
    Ok(())
}
