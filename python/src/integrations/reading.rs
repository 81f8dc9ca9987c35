//! Clients that read the bodies of answers before the program has them.
//!
//! What is asked for within such a call is over when its body has been read, or could not be; it is active until the headers
//! have come. What reads bodies asks for the [`Call`] that waits for one, and ends that. Of those whose bodies the program reads by
//! itself [`held`] knows.

use super::{Call, held};
use crate::garbage::visit_locked;
use crate::once::Once;
use crate::variable::Variable;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The call of a client's that a context is in.
fn current(py: Python<'_>) -> PyResult<&'static Variable> {
    static CURRENT: PyOnceLock<Variable> = PyOnceLock::new();
    CURRENT.get_or_make(py, || Variable::new(py, "ddtrace_run_reading"))
}

fn here(py: Python<'_>) -> PyResult<Option<Bound<'_, Reading>>> {
    Ok(current(py)?.get(py)?.and_then(|reading| reading.cast_into().ok()))
}

/// A call of a client's, from its begin to its end.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Reading {
    /// Whether it reads bodies: not those that the program wants to stream.
    reads: bool,
    before: Option<Py<PyAny>>,
    /// Answers whose bodies have not been read, and their requests.
    unread: Mutex<Vec<(Py<PyAny>, Py<Call>)>>,
}

impl Reading {
    fn unread(&self) -> MutexGuard<'_, Vec<(Py<PyAny>, Py<Call>)>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let unread: Vec<_> = self.unread().iter().map(|(_, call)| call.clone_ref(py)).collect();
        unread.iter().try_for_each(|call| call.get().failed(py, error))
    }

    pub(super) fn finish(slf: &Bound<'_, Reading>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        // A coroutine may be closed in another context than its own.
        if here(py)?.is_some_and(|reading| reading.is(slf)) {
            let before = this.before.as_ref().map_or_else(|| py.None(), |before| before.clone_ref(py));
            current(py)?.set(before.bind(py))?;
        }
        let unread = std::mem::take(&mut *this.unread());
        unread.iter().try_for_each(|(_, call)| call.get().finish(py))
    }
}

#[pymethods]
impl Reading {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.before)?;
        visit_locked(&self.unread, |unread| {
            unread.iter().try_for_each(|(response, call)| visit.call(response).and_then(|()| visit.call(call)))
        })
    }

    fn __clear__(&self) {
        let unread = std::mem::take(&mut *self.unread());
        drop(unread);
    }

    /// Begins; `reads` is whether bodies are read.
    #[staticmethod]
    fn begin(py: Python<'_>, reads: bool) -> PyResult<Bound<'_, Reading>> {
        let before = current(py)?.get(py)?.map(Bound::unbind);
        let reading = Bound::new(py, Reading { reads, before, unread: Mutex::default() })?;
        current(py)?.set(reading.as_any())?;
        Ok(reading)
    }

    /// It has failed by an exception.
    fn fail(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.failed(py, error)
    }

    /// It is over, and so is whatever was not read.
    fn end(slf: &Bound<'_, Self>) -> PyResult<()> {
        Reading::finish(slf)
    }
}

/// The headers of an answer have come. If its body is read by the call that its request is made in, the request is over when
/// that is done: whoever ends it next leaves it, and it is active no more.
#[pyfunction]
pub(crate) fn wait_for_body(py: Python<'_>, call: &Bound<'_, Call>, response: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(reading) = here(py)?.filter(|reading| reading.get().reads) else { return Ok(()) };
    call.get().put_off();
    call.get().span.get().tell();
    let this = (response.clone().unbind(), call.clone().unbind());
    // Who asks again has given up the answer before.
    let before = std::mem::replace(&mut *reading.get().unread(), vec![this]);
    before.iter().try_for_each(|(_, call)| call.get().finish(py))
}

/// The request whose answer's body is read now, or closed unread; None if none waits for that.
#[pyfunction]
pub(crate) fn reads_body<'py>(py: Python<'py>, response: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Call>>> {
    let Some(reading) = here(py)? else { return Ok(None) };
    let mut unread = reading.get().unread();
    let at = unread.iter().position(|(waiting, _)| waiting.is(response));
    Ok(at.map(|at| unread.swap_remove(at).1.into_bound(py)))
}

/// Ends a request when the rest of its answer's body has come: what a stream calls then. A stream that is given up before, with
/// what it was to call, has the request end as well.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Rest {
    call: Py<Call>,
}

#[pymethods]
impl Rest {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.call)
    }

    /// Whoever ends the request next leaves it; it is active until then.
    #[new]
    fn new(call: Bound<'_, Call>) -> Rest {
        call.get().put_off();
        Rest { call: call.unbind() }
    }

    /// The request.
    #[getter]
    fn call(&self, py: Python<'_>) -> Py<Call> {
        self.call.clone_ref(py)
    }

    /// The head of the answer has come, and the program has the rest to read.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        held::hold(self.call.bind(py))
    }

    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.call.get().finish(py)
    }

    /// It does not come, because of an exception.
    #[pyo3(name = "fail")]
    pub(super) fn failed(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.call.get().failed(py, error)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        Python::attach(|py| {
            held::let_go(self.call.bind(py));
            let _ = self.call.get().finish_in_finalizer(py);
        });
    }
}
