//! Classes derived from such as are written in C.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::ffi::CString;

/// A class derived from one that is written in C, which the messages of the interpreter call the same: with its module, as those
/// are that are made by `class` are not. Like that one's, its objects have no attributes of their own.
#[pyfunction]
pub(crate) fn derived<'py>(py: Python<'py>, base: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let name = CString::new(format!("{}.{}", base.module()?, base.name()?))?;
    // Before 3.12 a class keeps the pointer. There are few, and they stay.
    let name = Box::leak(name.into_boxed_c_str());
    let mut slots = [ffi::PyType_Slot { slot: 0, pfunc: std::ptr::null_mut() }];
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        // As much as the base has.
        basicsize: 0,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as _,
        slots: slots.as_mut_ptr(),
    };
    let bases = PyTuple::new(py, [base])?;
    // SAFETY: the specification and its list of slots, which ends with the one that is 0, are read during the call only; the name
    // lives forever; the bases are a tuple of a class. A new reference or null with an exception comes back.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpecWithBases(&raw mut spec, bases.as_ptr())) }
}
