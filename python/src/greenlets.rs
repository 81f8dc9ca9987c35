//! Greenlets of gevent: in one that is active which is so where it is made, as in a task of asyncio.
//!
//! A greenlet has a context (`contextvars`) of its own, which is empty unless somebody gives it one. So each is given one as it
//! is made, in which nothing but what is active is set; what the program gives it later takes its place.
//!
//! Nothing that a program can see is in the way for that: `gevent.Greenlet` stays the class that it is. What makes its objects
//! is a function in the class's structure (`tp_new`), which the classes that are derived from it call, too.

use crate::otel::binding::Binding;
use crate::spared::spared;
use crate::store::{self, Active};
use crate::variable::Variable;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};

type New = unsafe extern "C" fn(*mut PyTypeObject, *mut PyObject, *mut PyObject) -> *mut PyObject;

/// Words of a `PyTypeObject` before three of its last slots. They are no part of the limited API, so they are [tried](can_tell).
const SLOTS: [(usize, c_int); 3] = [(37, ffi::Py_tp_init), (38, ffi::Py_tp_alloc), (TP_NEW, ffi::Py_tp_new)];
const TP_NEW: usize = 39;

/// What made greenlets before; null as long as nobody takes part.
static MADE_BY: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Takes part in the making of greenlets of this class from now on, unless `DD_TRACE_GEVENT_ENABLED` is false.
#[pyfunction]
pub(crate) fn hand_on_to_greenlets(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let off = std::env::var("DD_TRACE_GEVENT_ENABLED").unwrap_or_default();
    let is_off = ["false", "0"].contains(&off.trim().to_ascii_lowercase().as_str());
    // That of gevent in pure Python has no function of its own there.
    let is_compiled = class.getattr(intern!(py, "__dict__"))?.contains(intern!(py, "__new__"))?;
    if is_off || !is_compiled || !can_tell(py)? || !MADE_BY.load(Ordering::Relaxed).is_null() {
        return Ok(());
    }
    let before = word(class.as_ptr(), TP_NEW);
    if before.is_null() {
        return Ok(());
    }
    MADE_BY.store(before, Ordering::Relaxed);
    replace(class, before)
}

/// Takes part where gevent has been imported already, and else as soon as it has been (`ddtrace_run/_finder.py`).
pub(crate) fn look_for_gevent(py: Python<'_>) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    let found = modules.call_method1("get", ("gevent.greenlet",))?;
    match found.getattr_opt("Greenlet")? {
        Some(class) => hand_on_to_greenlets(class.cast::<PyType>()?),
        None => Ok(()),
    }
}

/// Puts ours in the place of what made objects of a class, and of those derived from it that have taken it over.
fn replace(class: &Bound<'_, PyType>, before: *mut c_void) -> PyResult<()> {
    if word(class.as_ptr(), TP_NEW) != before {
        return Ok(());
    }
    // SAFETY: a type is as long as that (`can_tell` has found the slot there), and the interpreter's lock is held, under which
    // alone it is read.
    unsafe { *class.as_ptr().cast::<*mut c_void>().add(TP_NEW) = make as New as *mut c_void };
    for derived in class.call_method0("__subclasses__")?.try_iter()? {
        replace(derived?.cast::<PyType>()?, before)?;
    }
    Ok(())
}

fn word(class: *mut PyObject, index: usize) -> *mut c_void {
    // SAFETY: a type, which is longer than that.
    unsafe { *class.cast::<*mut c_void>().add(index) }
}

/// Whether types have their slots where they are looked for: those of a new class say so.
fn can_tell(py: Python<'_>) -> PyResult<bool> {
    let class = py.get_type::<PyType>().call1(("Tried", (), pyo3::types::PyDict::new(py)))?;
    Ok(SLOTS.iter().all(|(index, slot)| {
        // SAFETY: a type that was made at run time, and slots that each such type can be asked for.
        let known = unsafe { ffi::PyType_GetSlot(class.as_ptr().cast(), *slot) };
        !known.is_null() && known == word(class.as_ptr(), *index)
    }))
}

/// Makes a greenlet as it would be made, and gives it what is active.
unsafe extern "C" fn make(class: *mut PyTypeObject, args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    let before = MADE_BY.load(Ordering::Relaxed);
    // SAFETY: set before any class had this function; what was in its slot has this type.
    let before: New = unsafe { std::mem::transmute(before) };
    // SAFETY: the interpreter's own arguments.
    let made = unsafe { before(class, args, kwargs) };
    if made.is_null() {
        return made;
    }
    // SAFETY: whoever makes an object is attached to the interpreter.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a new reference.
    let made = unsafe { Bound::from_owned_ptr(py, made) };
    match catch_unwind(AssertUnwindSafe(|| spared(py, give(&made)))) {
        Ok(Err(error)) => {
            error.restore(py);
            std::ptr::null_mut()
        }
        _ => made.into_ptr(),
    }
}

fn give(greenlet: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = greenlet.py();
    let Some((variable, value)) = active_as_it_is(py)? else { return Ok(()) };
    // By the descriptor of greenlet's own class, past whatever a derived one does with attributes.
    let descriptor = py.import(intern!(py, "greenlet"))?.getattr(intern!(py, "greenlet"))?;
    let descriptor = descriptor.getattr(intern!(py, "gr_context"))?;
    let has_none = || Ok::<_, PyErr>(descriptor.call_method1(intern!(py, "__get__"), (greenlet,))?.is_none());
    if is_for_a_thread(py)? || !has_none()? {
        return Ok(());
    }
    let context = py.import(intern!(py, "_contextvars"))?.call_method0(intern!(py, "Context"))?;
    variable.set_in(&context, &value)?;
    descriptor.call_method1(intern!(py, "__set__"), (greenlet, context)).map(drop)
}

/// Where what is active is kept, and the value there: the span itself, as a copy of the context would have it.
fn active_as_it_is(py: Python<'_>) -> PyResult<Option<(&'static Variable, Bound<'_, PyAny>)>> {
    if matches!(store::active(py)?, Active::Nothing) {
        return Ok(None);
    }
    if let Some(binding) = Binding::in_use(py)?
        && let Some(current) = binding.current(py)?
    {
        return Ok(Some((binding.variable(), current)));
    }
    let ours = store::ours(py)?;
    Ok(ours.get(py)?.map(|active| (ours, active)))
}

/// Whether gevent makes it to stand for a thread: such begin with nothing, as they do without gevent.
fn is_for_a_thread(py: Python<'_>) -> PyResult<bool> {
    // SAFETY: gives a borrowed reference to what runs on this thread, or null.
    let frame = unsafe { ffi::PyEval_GetFrame() };
    // SAFETY: as above.
    let Some(frame) = (unsafe { Bound::from_borrowed_ptr_or_opt(py, frame.cast()) }) else { return Ok(false) };
    let name = frame.getattr(intern!(py, "f_globals"))?.get_item(intern!(py, "__name__"))?;
    name.eq(intern!(py, "gevent.thread"))
}
