//! Requests that a server hands to its application: none is a part of an earlier one.
//!
//! A server may make the task of a request in a context that comes from another request of the same connection. Where a request
//! has the loop read on, as uvicorn does it once a large body is taken in, asyncio does so in a copy of the context of that
//! request from then on: also what comes after it.

use super::HAVE_STOPPED;
use crate::once::Once;
use crate::store::Standing;
use crate::variable::Variable;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::atomic::Ordering;

/// What is around the requests of a server.
#[pyclass(frozen, module = "ddtrace_run")]
struct Around {
    server: Py<PyAny>,
    standing: Standing,
}

#[pymethods]
impl Around {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.server)?;
        self.standing.visit(&visit)
    }
}

/// In the contexts that come from a request: what is around that.
fn around(py: Python<'_>) -> PyResult<&'static Variable> {
    static AROUND: PyOnceLock<Variable> = PyOnceLock::new();
    AROUND.get_or_make(py, || Variable::new(py, "ddtrace_run_around"))
}

/// A server hands over a request, in the context that this is called in. If that comes from another request of the same server,
/// what is active is what was so around that one.
///
/// Whether that one has ended is not asked: within it somebody may call its application, but nobody this server.
#[pyfunction]
pub(crate) fn arrives(server: Bound<'_, PyAny>) -> PyResult<()> {
    if HAVE_STOPPED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let py = server.py();
    let variable = around(py)?;
    if let Some(known) = variable.get(py)?
        && let Ok(known) = known.cast::<Around>()
        && known.get().server.is(&server)
    {
        return known.get().standing.put_back(py);
    }
    let standing = Standing::here(py)?;
    variable.set(Bound::new(py, Around { server: server.unbind(), standing })?.as_any()).map(drop)
}
