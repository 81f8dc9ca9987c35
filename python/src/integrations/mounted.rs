//! Applications that are mounted in others, as far as they are reached by other means than the scope of ASGI: what has no mark of
//! the request around it finds that by the context.

use super::wrapped::mark;
use super::{Call, Integration};
use crate::once::Once;
use crate::store::{self, Active};
use crate::variable::Variable;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// Where an `environ` has the path that its application is mounted at, as the route of the request around it has it.
const PATH: &str = "ddtrace_run.mounted";

/// The request that has last reached a mount, here.
fn current(py: Python<'_>) -> PyResult<&'static Variable> {
    static CURRENT: PyOnceLock<Variable> = PyOnceLock::new();
    CURRENT.get_or_make(py, || Variable::new(py, "ddtrace_run_mounted"))
}

/// A request has reached a mount.
pub(super) fn enter(call: &Bound<'_, Call>) -> PyResult<()> {
    current(call.py())?.set(call.as_any()).map(drop)
}

/// Marks the `environ` of an application of WSGI, if that is what has been mounted in an active request.
pub(super) fn join(py: Python<'_>, integration: &Integration, environ: &Bound<'_, PyDict>) -> PyResult<()> {
    if !integration.is_on() {
        return Ok(());
    }
    let Some(call) = current(py)?.get(py)?.and_then(|call| call.cast_into::<Call>().ok()) else { return Ok(()) };
    let Some(path) = call.get().mounted_at() else { return Ok(()) };
    // What a view calls by itself is another request.
    if !matches!(store::active(py)?, Active::Span(active) if active.is(call.get().span.bind(py))) {
        return Ok(());
    }
    environ.set_item(intern!(py, PATH), path)?;
    mark(environ, &call)?;
    integration.name_span(call.get());
    Ok(())
}
