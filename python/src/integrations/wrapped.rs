//! What is put in the place of a library's functions.

use super::awaited::Awaited;
use super::reading::{Reading, Rest};
use super::{Call, Integration, wsgi};
use crate::spared::is_nothing;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::sync::Mutex;

/// Where a request has what is traced of it: in the `environ` of WSGI and the scope of ASGI.
pub(super) const MARK: &str = "ddtrace_run.call";

pub(super) fn mark(request: &Bound<'_, PyDict>, call: &Bound<'_, Call>) -> PyResult<()> {
    request.set_item(intern!(request.py(), MARK), call)
}

pub(super) fn marked<'py>(request: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, Call>>> {
    let call = request.get_item(intern!(request.py(), MARK))?;
    Ok(call.and_then(|call| call.cast_into().ok()))
}

/// What is traced of a request, by its `environ` or scope; None where nothing is.
#[pyfunction]
pub(crate) fn call_of<'py>(request: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Call>>> {
    match request.cast::<PyDict>() {
        Ok(request) => marked(request),
        Err(_) => Ok(None),
    }
}

/// An integration has failed: a line tells of the first time, and the program goes on. What is to end what the program does
/// comes out.
pub(super) fn is_told(py: Python<'_>, integration: &str, error: PyErr) -> PyResult<()> {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    if !is_nothing(py, &error)? {
        return Err(error);
    }
    {
        // Nobody is waited for: in a forked child, whoever holds it may not be there.
        let Ok(mut told) = TOLD.try_lock() else { return Ok(()) };
        if told.iter().any(|known| known == integration) {
            return Ok(());
        }
        told.push(integration.into());
    }
    let note = py.import("ddtrace_run._note")?.getattr("note")?;
    note.call1((format!("the integration of {integration} has failed, some of it is not traced: {error}"),))?;
    Ok(())
}

/// Calls a function of an integration's; None where it fails.
#[pyfunction]
#[pyo3(signature = (name, function, *args, **kwargs))]
pub(crate) fn guarded<'py>(
    py: Python<'py>,
    name: &str,
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    match function.call(args, kwargs) {
        Ok(result) => Ok(result),
        Err(error) => {
            is_told(py, name, error)?;
            Ok(py.None().into_bound(py))
        }
    }
}

/// What is traced of a call has failed.
fn failed(traced: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = traced.py();
    if let Ok(call) = traced.cast::<Call>() {
        return call.get().failed(py, error);
    }
    if let Ok(rest) = traced.cast::<Rest>() {
        return rest.get().failed(py, error);
    }
    traced.cast::<Reading>().map_or(Ok(()), |reading| reading.get().failed(py, error))
}

/// What is traced of a call is over.
fn finish(traced: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(call) = traced.cast::<Call>() {
        return call.get().finish(traced.py());
    }
    // The end of a `Rest` is when that is called, or forgotten.
    traced.cast::<Reading>().map_or(Ok(()), Reading::finish)
}

/// What is done around a function.
enum Around {
    /// `before` is called with its arguments, and gives what is traced of the call, or None; `after` with that and the result.
    Hooks { name: String, before: Py<PyAny>, after: Option<Py<PyAny>> },
    /// `change` is called with its arguments, and gives those that it is called with.
    Changed { name: String, change: Py<PyAny> },
    /// It makes a coroutine. `change` also gives what begins the span; `after` is called with that and the result.
    Coroutine { name: String, change: Py<PyAny>, after: Py<PyAny> },
    /// It is an application of WSGI.
    Wsgi(Py<Integration>),
}

/// A function of a library's that is traced. Being no function of Python's it is in no traceback.
#[pyclass(frozen, weakref, dict, module = "ddtrace_run")]
pub(crate) struct Wrapped {
    original: Py<PyAny>,
    around: Around,
}

#[pymethods]
impl Wrapped {
    #[new]
    #[pyo3(signature = (name, original, before, after=None))]
    fn new(name: String, original: Py<PyAny>, before: Py<PyAny>, after: Option<Py<PyAny>>) -> Wrapped {
        Wrapped { original, around: Around::Hooks { name, before, after } }
    }

    /// An application of WSGI, whose requests are traced.
    #[staticmethod]
    fn wsgi(integration: Py<Integration>, application: Py<PyAny>) -> Wrapped {
        Wrapped { original: application, around: Around::Wsgi(integration) }
    }

    /// A function that is called with other arguments than it is given: `change` makes a tuple and a mapping of those.
    #[staticmethod]
    fn changed(name: String, original: Py<PyAny>, change: Py<PyAny>) -> Wrapped {
        Wrapped { original, around: Around::Changed { name, change } }
    }

    /// The same of one that makes a coroutine. `change` also gives what begins what is traced when that begins; `after` is
    /// called with that and the result.
    #[staticmethod]
    fn coroutine(name: String, original: Py<PyAny>, change: Py<PyAny>, after: Py<PyAny>) -> Wrapped {
        Wrapped { original, around: Around::Coroutine { name, change, after } }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.original)?;
        match &self.around {
            Around::Hooks { before, after, .. } => visit.call(before).and_then(|()| visit.call(after)),
            Around::Changed { change, .. } => visit.call(change),
            Around::Coroutine { change, after, .. } => visit.call(change).and_then(|()| visit.call(after)),
            Around::Wsgi(integration) => visit.call(integration),
        }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let original = self.original.bind(py);
        let (name, before, after) = match &self.around {
            Around::Wsgi(integration) if kwargs.is_none_or(|kwargs| kwargs.is_empty()) => {
                return wsgi::call(py, integration.get(), original, args);
            }
            Around::Wsgi(_) => return original.call(args, kwargs),
            Around::Changed { name, change } => {
                let changed = change.bind(py).call(args, kwargs);
                return match changed.and_then(|changed| changed.extract::<(Bound<'_, PyTuple>, Bound<'_, PyDict>)>()) {
                    Ok((args, kwargs)) => original.call(args, Some(&kwargs)),
                    Err(error) => {
                        is_told(py, name, error)?;
                        original.call(args, kwargs)
                    }
                };
            }
            Around::Coroutine { name, change, after } => {
                let changed = change.bind(py).call(args, kwargs);
                let changed =
                    changed.and_then(|changed| changed.extract::<(Bound<'_, PyTuple>, Bound<'_, PyDict>, Py<PyAny>)>());
                return match changed {
                    Ok((args, kwargs, begin)) => {
                        let coroutine = original.call(args, Some(&kwargs))?.unbind();
                        let awaited = Awaited::new(name, coroutine, begin, after.clone_ref(py));
                        Ok(Bound::new(py, awaited)?.into_any())
                    }
                    Err(error) => {
                        is_told(py, name, error)?;
                        original.call(args, kwargs)
                    }
                };
            }
            Around::Hooks { name, before, after } => (name, before, after),
        };
        let traced = match before.bind(py).call(args, kwargs) {
            Ok(traced) => traced,
            Err(error) => {
                is_told(py, name, error)?;
                return original.call(args, kwargs);
            }
        };
        match original.call(args, kwargs) {
            Ok(result) => {
                if let Some(after) = after.as_ref().filter(|_| !traced.is_none())
                    && let Err(error) = after.bind(py).call1((&traced, &result))
                {
                    is_told(py, name, error)?;
                }
                finish(&traced)?;
                Ok(result)
            }
            Err(error) => {
                failed(&traced, error.value(py))?;
                finish(&traced)?;
                Err(error)
            }
        }
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if instance.is_none() {
            return Ok(slf.into_any());
        }
        let py = slf.py();
        py.import("types")?.getattr(intern!(py, "MethodType"))?.call1((slf, instance))
    }

    /// What is asked of the function is the function's.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if name == "__wrapped__" {
            return Ok(self.original.bind(py).clone());
        }
        self.original.bind(py).getattr(name)
    }

    /// Whoever asks whether it is a function is told so, as `unittest.mock` does before it imitates one.
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.original.bind(py).get_type().into_any()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.original.bind(py).repr()?.to_string())
    }

    /// As functions are: by name.
    fn __reduce__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.original.bind(py).getattr("__qualname__")?.unbind())
    }
}

/// What is asked of a class first is the function's as well.
pub(crate) fn hide_class(py: Python<'_>) -> PyResult<()> {
    let (class, property) = (py.get_type::<Wrapped>(), py.import("builtins")?.getattr("property")?);
    for name in ["__doc__", "__module__"] {
        let get = py.import("_operator")?.call_method1("attrgetter", (format!("__wrapped__.{name}"),))?;
        class.setattr(name, property.call1((get,))?)?;
    }
    Ok(())
}
