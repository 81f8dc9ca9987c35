//! What has the instrumentations of OpenTelemetry make no span below one of ours that stands for what they would tell of.

use crate::integrations::stands_for_all;
use crate::store;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// What the API's context has under the keys that instrumentations look at: true while a client's span of ours is active. A context
/// that a task or a callback has copied is so no longer than that.
#[pyclass(frozen, module = "ddtrace_run")]
struct Suppression;

#[pymethods]
impl Suppression {
    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(stands_for_all(&store::active(py)?))
    }
}

/// The keys, as far as the release of the API has them, and what contexts have under them.
pub(super) struct Suppressed {
    keys: Vec<Py<PyString>>,
    value: Py<Suppression>,
}

impl Suppressed {
    pub(super) fn of(py: Python<'_>) -> PyResult<Suppressed> {
        let context = py.import("opentelemetry.context")?;
        // The name without a number is what older instrumentations look for, and newer ones, too.
        let mut keys = vec![PyString::intern(py, "suppress_instrumentation").unbind()];
        for name in ["_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY"] {
            if let Ok(key) = context.getattr(name)
                && let Ok(key) = key.cast_into_exact::<PyString>()
            {
                keys.push(key.unbind());
            }
        }
        Ok(Suppressed { keys, value: Py::new(py, Suppression)? })
    }

    /// Puts it into a context that nobody else has yet, or takes it out. What the program has there by itself stays.
    pub(super) fn put(&self, context: &Bound<'_, PyAny>, is_wanted: bool) -> PyResult<()> {
        let py = context.py();
        for key in &self.keys {
            // SAFETY: a dictionary, by the class of contexts, and a key that is a string. The item is borrowed, or null: with an
            // exception, if there is one.
            let failed = unsafe {
                let present = ffi::PyDict_GetItemWithError(context.as_ptr(), key.as_ptr());
                match (is_wanted, present.is_null()) {
                    (true, true) if ffi::PyErr_Occurred().is_null() => {
                        ffi::PyDict_SetItem(context.as_ptr(), key.as_ptr(), self.value.as_ptr()) != 0
                    }
                    (false, false) if present == self.value.as_ptr() => {
                        ffi::PyDict_DelItem(context.as_ptr(), key.as_ptr()) != 0
                    }
                    (_, is_absent) => is_absent && !ffi::PyErr_Occurred().is_null(),
                }
            };
            if failed {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(())
    }
}
