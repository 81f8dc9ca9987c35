//! What PyO3 leaves out under the limited API of Python 3.9, and what a span is started and ended by: methods that are
//! called without a tuple for their arguments, texts without a copy, and context variables.
//!
//! All of it is the same in every CPython from 3.9 on. Fast calls and `PyUnicode_AsUTF8AndSize` became part of the limited
//! API in 3.10; the functions for context variables are no part of it, so they are looked up, and where a later release
//! should lack them the methods of the variable do.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

unsafe extern "C" {
    fn PyUnicode_AsUTF8AndSize(text: *mut PyObject, size: *mut Py_ssize_t) -> *const c_char;
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// A function of Python's by its name, if this interpreter has it.
pub(crate) fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the null handle is the default one of glibc and musl; the name is a C string.
    let found = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The text of a `str`; what has no UTF-8 form (lone surrogates) is replaced.
pub(crate) fn text<'a>(string: &'a Bound<'_, PyString>) -> Cow<'a, str> {
    let mut size = 0;
    // SAFETY: it is a string; the bytes live as long as it does, and are UTF-8 of that length.
    unsafe {
        let bytes = PyUnicode_AsUTF8AndSize(string.as_ptr(), &raw mut size);
        if !bytes.is_null() {
            let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), size.unsigned_abs());
            return Cow::Borrowed(std::str::from_utf8_unchecked(bytes));
        }
        ffi::PyErr_Clear();
    }
    Cow::Owned(string.to_string_lossy().into_owned())
}

/// The arguments of a fast call, as CPython hands them over.
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    given: *const *mut PyObject,
    positional: usize,
    names: *mut PyObject,
}

impl Arguments {
    /// Puts the arguments in the order of their names; what is not given is `None`. `what` is the function, for the error.
    pub(crate) fn take<'a, 'py, const N: usize>(
        &self,
        py: Python<'py>,
        what: &str,
        names: [&CStr; N],
    ) -> PyResult<[Option<Borrowed<'a, 'py, PyAny>>; N]> {
        let mut taken = [const { None }; N];
        if self.positional > N {
            return Err(PyTypeError::new_err(format!(
                "{what}() takes at most {N} arguments ({} given)",
                self.positional
            )));
        }
        for (index, place) in taken.iter_mut().enumerate().take(self.positional) {
            // SAFETY: CPython gives that many arguments, which it keeps alive during the call.
            *place = Some(unsafe { Borrowed::from_ptr(py, *self.given.add(index)) });
        }
        if self.names.is_null() {
            return Ok(taken);
        }
        // SAFETY: a tuple of names, whose values follow the positional arguments.
        let count = unsafe { ffi::PyTuple_Size(self.names) }.unsigned_abs();
        for index in 0..count {
            // SAFETY: as above; the index is in the tuple.
            let (name, value) = unsafe {
                let name = ffi::PyTuple_GetItem(self.names, index as Py_ssize_t);
                (name, Borrowed::from_ptr(py, *self.given.add(self.positional + index)))
            };
            // SAFETY: names of arguments are strings, and so is the other.
            let is = |known: &&CStr| unsafe { ffi::PyUnicode_CompareWithASCIIString(name, known.as_ptr()) == 0 };
            match names.iter().position(is) {
                Some(place) if taken[place].is_none() => taken[place] = Some(value),
                found => {
                    // SAFETY: it lives as long as the tuple.
                    let name = unsafe { Borrowed::<PyAny>::from_ptr(py, name) }.cast::<PyString>()?.to_owned();
                    let name = text(&name);
                    let problem = if found.is_some() { "multiple values for" } else { "an unexpected keyword" };
                    return Err(PyTypeError::new_err(format!("{what}() got {problem} argument '{name}'")));
                }
            }
        }
        Ok(taken)
    }
}

/// A method as CPython calls it.
pub(crate) type FastMethod =
    unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, Py_ssize_t, *mut PyObject) -> *mut PyObject;

/// Runs the body of a fast method: a Python error is raised, and so is a panic.
///
/// # Safety
///
/// To be called with what CPython has given, by a thread that is attached.
pub(crate) unsafe fn run<F>(
    given: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
    body: F,
) -> *mut PyObject
where
    F: for<'py> FnOnce(Python<'py>, Arguments) -> PyResult<Bound<'py, PyAny>>,
{
    // SAFETY: CPython calls with the thread attached.
    let py = unsafe { Python::assume_attached() };
    let arguments = Arguments { given, positional: count.unsigned_abs(), names };
    match catch_unwind(AssertUnwindSafe(|| body(py, arguments))) {
        Ok(Ok(value)) => value.into_ptr(),
        Ok(Err(error)) => {
            error.restore(py);
            std::ptr::null_mut()
        }
        Err(panic) => {
            drop(panic);
            pyo3::exceptions::PyRuntimeError::new_err("ddtrace-run has failed; please report this").restore(py);
            std::ptr::null_mut()
        }
    }
}

/// Gives a class a method that is called without a tuple.
pub(crate) fn add_method(
    class: &Bound<'_, PyType>,
    name: &'static CStr,
    doc: &'static CStr,
    method: FastMethod,
) -> PyResult<()> {
    const METH_KEYWORDS: c_int = 0x0002;
    const METH_FASTCALL: c_int = 0x0080;
    // SAFETY: all of them are pointers to functions, and the flags say which one it is.
    let meth = unsafe {
        ffi::PyMethodDefPointer {
            PyCFunction: std::mem::transmute::<
                FastMethod,
                unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject,
            >(method),
        }
    };
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: meth,
        ml_flags: METH_FASTCALL | METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: the definition is never freed, and the class is one.
    let descriptor =
        unsafe { Bound::from_owned_ptr_or_err(class.py(), ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))? };
    class.setattr(PyString::new(class.py(), &name.to_string_lossy()), descriptor)
}

/// Declares a fast method: `fast!(name(py, slf: Class, arguments) { … })`.
macro_rules! fast {
    ($(#[$attribute:meta])* $name:ident($py:ident, $slf:ident: $class:ty, $arguments:ident) $body:block) => {
        $(#[$attribute])*
        pub(crate) unsafe extern "C" fn $name(
            slf: *mut pyo3::ffi::PyObject,
            given: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            names: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            // SAFETY: called by CPython, as a method of the class: the descriptor has checked what it is called on.
            unsafe {
                $crate::ffi::run(given, count, names, |$py, $arguments| {
                    let $slf = pyo3::Borrowed::<pyo3::PyAny>::from_ptr($py, slf).cast_unchecked::<$class>();
                    $body
                })
            }
        }
    };
}
pub(crate) use fast;
