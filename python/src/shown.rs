//! Values as texts: what `str` makes of them.

use crate::ffi::text;
use crate::spared::{spared, succeeded};
use crate::values::integer;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyString, PyTuple};
use std::ffi::CStr;
use std::fmt::Write as _;

/// `str(value)`; what cannot be shown is said to be so, as nothing of the program's may fail for a tag.
///
/// # Errors
///
/// What is to end what the program does. `str` of anything runs the handlers of signals that have come, so what is built in
/// is shown without it.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(string) = value.cast_exact::<PyString>() {
        return Ok(text(string).into_owned());
    }
    let mut out = String::new();
    if is_written(value, 0, &mut out) {
        return Ok(out);
    }
    let py = value.py();
    // What their handlers raise is none of the value's exceptions.
    py.check_signals()?;
    match succeeded(py, value.str())? {
        Some(string) => Ok(text(&string).into_owned()),
        None => Ok(format!("<{} that cannot be shown>", type_name(value)?)),
    }
}

/// The name of a value's type, without its module.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> PyResult<String> {
    // A class of classes may have code for it.
    let name = spared(value.py(), value.get_type().name().map(Some))?;
    Ok(name.map(|name| text(&name).into_owned()).unwrap_or_default())
}

/// Writes what is built in and has nothing else in it, without running anything; whether it is that. Above `depth` 0 it is
/// within another value.
fn is_written(value: &Bound<'_, PyAny>, depth: usize, out: &mut String) -> bool {
    /// Deeper than that a list may have itself in it.
    const DEPTH: usize = 8;
    let written = if let Ok(string) = value.cast_exact::<PyString>() {
        return is_quoted(&text(string), out);
    } else if value.is_none() {
        write!(out, "None")
    } else if let Ok(truth) = value.cast::<PyBool>() {
        write!(out, "{}", if truth.is_true() { "True" } else { "False" })
    } else if let Ok(number) = value.cast_exact::<PyInt>() {
        let Some(number) = integer(number) else { return false };
        write!(out, "{number}")
    } else if let Ok(number) = value.cast_exact::<PyFloat>() {
        return is_float_written(number.value(), out);
    } else if depth == DEPTH {
        return false;
    } else if let Ok(list) = value.cast_exact::<PyList>() {
        out.push('[');
        let is_written = are_written(list.iter(), depth, out);
        out.push(']');
        return is_written;
    } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        out.push('(');
        let is_written = are_written(tuple.iter(), depth, out);
        out.push_str(if tuple.len() == 1 { ",)" } else { ")" });
        return is_written;
    } else {
        return false;
    };
    written.is_ok()
}

fn are_written<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize, out: &mut String) -> bool {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        if !is_written(&item, depth + 1, out) {
            return false;
        }
    }
    true
}

/// Writes a text within another value, if that is the text in quotes.
fn is_quoted(text: &str, out: &mut String) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\'' && byte != b'\\';
    if !text.bytes().all(is_plain) {
        return false;
    }
    out.extend(["'", text, "'"]);
    true
}

fn is_float_written(number: f64, out: &mut String) -> bool {
    const REPR: std::ffi::c_char = b'r' as std::ffi::c_char;
    // SAFETY: the thread is attached, as there are Python's values; the text is a C string of our own, given back below.
    unsafe {
        let text = ffi::PyOS_double_to_string(number, REPR, 0, ffi::Py_DTSF_ADD_DOT_0, std::ptr::null_mut());
        if text.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        out.push_str(&CStr::from_ptr(text).to_string_lossy());
        ffi::PyMem_Free(text.cast());
    }
    true
}
