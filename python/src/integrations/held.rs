//! Requests whose answers the program holds without having read them to the end.
//!
//! What is known of such a request is told at once, and it ends with the interpreter at the latest: an answer that nothing lets
//! go, as no module is cleared as long as a daemon thread runs in it, has not failed for that.

use super::Call;
use crate::once::Once;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By the addresses of the calls. Locked attached to the interpreter only, and never while code of Python's runs.
fn held() -> MutexGuard<'static, BTreeMap<usize, Py<Call>>> {
    static HELD: Mutex<BTreeMap<usize, Py<Call>>> = Mutex::new(BTreeMap::new());
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The head of the answer to a request has come; it lasts until [`let_go`].
pub(super) fn hold(call: &Bound<'_, Call>) -> PyResult<()> {
    static ENDS: PyOnceLock<()> = PyOnceLock::new();
    let py = call.py();
    call.get().span.get().tell();
    ENDS.get_or_make(py, || {
        py.import("atexit")?.call_method1("register", (wrap_pyfunction!(end_held, py)?,))?;
        Ok(())
    })?;
    let before = held().insert(call.as_ptr() as usize, call.clone().unbind());
    drop(before);
    Ok(())
}

/// Its answer is held no more.
pub(super) fn let_go(call: &Bound<'_, Call>) {
    let known = held().remove(&(call.as_ptr() as usize));
    drop(known);
}

/// The interpreter ends: nobody reads the rest.
#[pyfunction]
fn end_held(py: Python<'_>) -> PyResult<()> {
    let all = std::mem::take(&mut *held());
    all.into_values().try_for_each(|call| call.get().finish(py))
}
