//! Span processors of the program's own, such as the OpenTelemetry SDK has: they are told when spans start and end.

use super::span::OtelSpan;
use crate::processors::failed;
use crate::spared::keep_first;
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static ARE_THERE: AtomicBool = AtomicBool::new(false);
static PROCESSORS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

/// Adds one.
#[pyfunction]
pub(crate) fn add_span_processor(processor: Py<PyAny>) {
    PROCESSORS.lock().unwrap_or_else(PoisonError::into_inner).push(processor);
    ARE_THERE.store(true, Ordering::Relaxed);
}

/// All of them, in the order in which they were added.
#[pyfunction]
pub(crate) fn span_processors(py: Python<'_>) -> Vec<Bound<'_, PyAny>> {
    let processors = PROCESSORS.lock().unwrap_or_else(PoisonError::into_inner);
    processors.iter().map(|processor| processor.bind(py).clone()).collect()
}

/// All are told, whatever one of them raises.
fn tell(py: Python<'_>, call: impl Fn(&Bound<'_, PyAny>) -> PyResult<()>) -> PyResult<()> {
    let mut failure = Ok(());
    if !ARE_THERE.load(Ordering::Relaxed) {
        return failure;
    }
    for processor in span_processors(py) {
        // One that fails is not to hurt what is traced.
        if let Err(error) = call(&processor) {
            keep_first(&mut failure, failed(py, &processor, error));
        }
    }
    failure
}

/// A span has started.
pub(super) fn started(span: &Bound<'_, OtelSpan>, context: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let py = span.py();
    tell(py, |processor| processor.call_method1(intern!(py, "on_start"), (span, context)).map(drop))
}

/// A span is about to end.
pub(super) fn ending(span: &Bound<'_, OtelSpan>) -> PyResult<()> {
    let py = span.py();
    tell(py, |processor| match processor.getattr_opt(intern!(py, "_on_ending"))? {
        Some(ending) => ending.call1((span,)).map(drop),
        None => Ok(()),
    })
}

/// A span has ended.
pub(super) fn ended(span: &Bound<'_, OtelSpan>) -> PyResult<()> {
    let py = span.py();
    tell(py, |processor| processor.call_method1(intern!(py, "on_end"), (span,)).map(drop))
}
