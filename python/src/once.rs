//! What is made once, by code of Python's.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What [`PyOnceLock::get_or_try_init`] does, but for this: it waits for whoever is at making the value, also where that is
/// the same thread. That happens, as whatever calls Python can be interrupted there by the handler of a signal, or by a
/// finalizer (`__del__`), which are the program's and make spans, too.
pub(crate) trait Once<T> {
    /// What is there, or else what is made now. Of several that are made at the same time the first one stays.
    fn get_or_make(&self, py: Python<'_>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T>;
}

impl<T> Once<T> for PyOnceLock<T> {
    fn get_or_make(&self, py: Python<'_>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        if let Some(value) = self.get(py) {
            return Ok(value);
        }
        let made = make()?;
        // Only moves it.
        Ok(self.get_or_init(py, || made))
    }
}
