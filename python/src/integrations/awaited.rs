//! Coroutines that are traced without a frame of Python's: a warning that names its caller by how many frames that is away names
//! the same one.

use super::Call;
use super::wrapped::is_told;
use crate::garbage::visit_locked;
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyException, PyStopIteration};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::sync::{Mutex, PoisonError};

/// How far it is.
enum State {
    /// Not begun: what begins the span.
    Waits(Py<PyAny>),
    Runs(Py<Call>),
    /// It is over, or nothing is traced.
    Rests,
}

/// Stands for a coroutine.
#[pyclass(frozen, weakref, module = "ddtrace_run")]
pub(crate) struct Awaited {
    name: String,
    coroutine: Py<PyAny>,
    /// Called with what is traced and the result.
    after: Py<PyAny>,
    state: Mutex<State>,
}

impl Awaited {
    pub(super) fn new(name: &str, coroutine: Py<PyAny>, begin: Py<PyAny>, after: Py<PyAny>) -> Awaited {
        Awaited { name: name.into(), coroutine, after, state: Mutex::new(State::Waits(begin)) }
    }

    fn put(&self, state: State) -> State {
        std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state)
    }

    /// What has not begun, begins.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let begin = match self.put(State::Rests) {
            State::Waits(begin) => begin,
            other => {
                self.put(other);
                return Ok(());
            }
        };
        match begin.bind(py).call0() {
            Ok(call) => {
                if let Ok(call) = call.cast_into::<Call>() {
                    self.put(State::Runs(call.unbind()));
                }
                Ok(())
            }
            Err(error) => is_told(py, &self.name, error),
        }
    }

    /// Hands on what one step of the coroutine has come to.
    fn came<'py>(&self, py: Python<'py>, step: PyResult<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let Err(error) = step else { return step };
        let State::Runs(call) = self.put(State::Rests) else { return Err(error) };
        if error.is_instance_of::<PyStopIteration>(py) {
            let result = error.value(py).getattr(intern!(py, "value"))?;
            if let Err(error) = self.after.bind(py).call1((&call, result)) {
                is_told(py, &self.name, error)?;
            }
        } else {
            call.get().failed(py, error.value(py))?;
        }
        call.get().finish(py)?;
        Err(error)
    }
}

#[pymethods]
impl Awaited {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.coroutine)?;
        visit.call(&self.after)?;
        visit_locked(&self.state, |state| match state {
            State::Waits(begin) => visit.call(begin),
            State::Runs(call) => visit.call(call),
            State::Rests => Ok(()),
        })
    }

    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.send(py, py.None().into_bound(py))
    }

    fn send<'py>(&self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py)?;
        self.came(py, self.coroutine.bind(py).call_method1(intern!(py, "send"), (value,)))
    }

    #[pyo3(signature = (*args))]
    fn throw<'py>(&self, py: Python<'py>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.came(py, self.coroutine.bind(py).call_method1(intern!(py, "throw"), args))
    }

    fn close<'py>(&self, py: Python<'py>) -> PyResult<()> {
        let closed = self.coroutine.bind(py).call_method0(intern!(py, "close"));
        if let State::Runs(call) = self.put(State::Rests) {
            if let Err(error) = closed.as_ref().map_err(|error| error.value(py)).map(drop)
                && error.is_instance_of::<PyException>()
            {
                call.get().failed(py, error)?;
            }
            call.get().finish(py)?;
        }
        closed.map(drop)
    }

    /// What is asked of the coroutine.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.coroutine.bind(py).getattr(name)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let State::Runs(call) = self.put(State::Rests) {
            // Nobody awaits it any more.
            Python::attach(|py| {
                let _ = call.get().finish_in_finalizer(py);
            });
        }
    }
}
