//! What fails of a program's own code while ours runs it: to show a value, to read a mapping, to ask an object of another
//! tracer's. The program runs with the API alone, or with a tracer that asks nothing, so a failure is nothing. But such code
//! is also where a signal's handler runs and raises: that is meant for whatever the program does at the time, and comes out.

use crate::errors;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

/// The default where the program's code has failed.
///
/// # Errors
///
/// What is to end what the program does: exceptions that are no `Exception` (of Ctrl-C, of the end of the program, a task or
/// a generator), and those that a signal's handler has raised.
pub(crate) fn spared<T: Default>(py: Python<'_>, read: PyResult<T>) -> PyResult<T> {
    match read {
        Err(error) if is_nothing(py, &error)? => Ok(T::default()),
        read => read,
    }
}

/// The same for what has succeeded or not.
pub(crate) fn succeeded<T>(py: Python<'_>, read: PyResult<T>) -> PyResult<Option<T>> {
    spared(py, read.map(Some))
}

/// Whether an exception may be dropped.
///
/// # Errors
///
/// What is raised meanwhile, and is to end what the program does.
pub(crate) fn is_nothing(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    if !error.is_instance_of::<PyException>(py) {
        return Ok(false);
    }
    // No code of the program's has raised what has no traceback, so no handler has.
    let Some(traceback) = error.traceback(py) else { return Ok(true) };
    match errors::is_of_a_signal(&traceback) {
        Ok(is_of_a_signal) => Ok(!is_of_a_signal),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Keeps the first of several failures.
pub(crate) fn keep_first(first: &mut PyResult<()>, next: PyResult<()>) {
    if first.is_ok() {
        *first = next;
    }
}
