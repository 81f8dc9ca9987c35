//! Context variables.

use crate::ffi::symbol;
use crate::once::Once;
use crate::shown::type_name;
use pyo3::ffi::{self, PyObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCFunction;
use std::ffi::c_int;

type Get = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> c_int;
type Set = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;
type Reset = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> c_int;

/// What a token begins with: the context in which it was made. That is no part of the API, so it is [tried](can_tell).
#[repr(C)]
struct Token {
    head: ffi::PyObject,
    context: *mut PyObject,
}

/// A `contextvars.ContextVar`.
pub(crate) struct Variable {
    object: Py<PyAny>,
    functions: Option<(Get, Set, Reset)>,
}

impl Variable {
    /// A new one.
    pub(crate) fn new(py: Python<'_>, name: &str) -> PyResult<Variable> {
        // The module in C, which every interpreter has already: `contextvars` only names it.
        let class = py.import("_contextvars")?.getattr("ContextVar")?;
        Variable::of(class.call1((name,))?)
    }

    /// One that there is, or what has its methods.
    pub(crate) fn of(object: Bound<'_, PyAny>) -> PyResult<Variable> {
        let found = (symbol(c"PyContextVar_Get"), symbol(c"PyContextVar_Set"), symbol(c"PyContextVar_Reset"));
        let is_one = type_name(&object)? == "ContextVar";
        let functions = match found {
            _ if !is_one => None,
            // SAFETY: these are their types in every CPython from 3.7.1 on.
            (Some(get), Some(set), Some(reset)) => Some(unsafe {
                (
                    std::mem::transmute::<*mut std::ffi::c_void, Get>(get),
                    std::mem::transmute::<*mut std::ffi::c_void, Set>(set),
                    std::mem::transmute::<*mut std::ffi::c_void, Reset>(reset),
                )
            }),
            _ => None,
        };
        Ok(Variable { object: object.unbind(), functions })
    }

    /// Whether it is a `ContextVar`, which runs no code of the program's.
    pub(crate) fn is_plain(&self) -> bool {
        self.functions.is_some()
    }

    /// Its value here.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = match self.functions {
            Some((get, ..)) => {
                let mut value = std::ptr::null_mut();
                // SAFETY: a variable, no default, and a place for a new reference, which stays null if there is none.
                unsafe {
                    if get(self.object.as_ptr(), std::ptr::null_mut(), &raw mut value) < 0 {
                        return Err(PyErr::fetch(py));
                    }
                    Bound::from_owned_ptr_or_opt(py, value)
                }
            }
            None => Some(self.object.bind(py).call_method1(intern!(py, "get"), (py.None(),))?),
        };
        Ok(value.filter(|value| !value.is_none()))
    }

    /// The context in which it was set, by its address: no other one has that at the same time. 0 where it cannot be told.
    pub(crate) fn context_of(&self, token: &Bound<'_, PyAny>) -> usize {
        if self.functions.is_none() || !can_tell(token.py()) {
            return 0;
        }
        context(token)
    }

    /// The current context, by its address; 0 where it cannot be told. What it is set to is set again.
    pub(crate) fn here(&self, py: Python<'_>) -> PyResult<usize> {
        let value = self.get(py)?.unwrap_or_else(|| py.None().into_bound(py));
        Ok(self.context_of(&self.set(&value)?))
    }

    /// Sets it, and gives what takes it back.
    pub(crate) fn set<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = value.py();
        match self.functions {
            Some((_, set, _)) => {
                let _held_off = hold_off_collections(py)?;
                // SAFETY: a variable and a value; the result is a new reference.
                unsafe { Bound::from_owned_ptr_or_err(py, set(self.object.as_ptr(), value.as_ptr())) }
            }
            None => self.object.bind(py).call_method1(intern!(py, "set"), (value,)),
        }
    }

    /// Sets it in another context.
    pub(crate) fn set_in(&self, context: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let set = self.object.bind(py).getattr(intern!(py, "set"))?;
        let _held_off = hold_off_collections(py)?;
        context.call_method1(intern!(py, "run"), (set, value)).map(drop)
    }

    /// Takes back what was set.
    ///
    /// # Errors
    ///
    /// Where the token is used already, or of another context.
    pub(crate) fn reset(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = token.py();
        match self.functions {
            Some((.., reset)) => {
                let _held_off = hold_off_collections(py)?;
                // SAFETY: a variable, and an object that is checked to be a token of it.
                match unsafe { reset(self.object.as_ptr(), token.as_ptr()) } {
                    0 => Ok(()),
                    _ => Err(PyErr::fetch(py)),
                }
            }
            None => self.object.bind(py).call_method1(intern!(py, "reset"), (token,)).map(drop),
        }
    }
}

/// Until this is dropped no garbage is collected.
///
/// Before 3.12 the allocations within `PyContextVar_Set` can collect garbage, and so run finalizers (`__del__`). One that sets
/// a variable of the same context, as each span does, frees what the interrupted call goes on to read: CPython holds no
/// reference of its own to it. Later releases collect between instructions only.
enum HeldOff {
    Nothing,
    By(Switch),
    /// CPython 3.9 has the function `gc.enable` alone.
    ByFunction(Py<PyAny>),
}

type Switch = unsafe extern "C" fn() -> c_int;

impl Drop for HeldOff {
    fn drop(&mut self) {
        match self {
            HeldOff::Nothing => {}
            // SAFETY: `PyGC_Enable`, by the thread that has called `PyGC_Disable` and is attached to the interpreter since.
            HeldOff::By(enable) => drop(unsafe { enable() }),
            HeldOff::ByFunction(enable) => Python::attach(|py| {
                // What the call itself has raised is to be seen.
                let failure = PyErr::take(py);
                let _ = enable.bind(py).call0();
                if let Some(failure) = failure {
                    failure.restore(py);
                }
            }),
        }
    }
}

/// How collections are held off.
enum Means {
    /// They need not be.
    None,
    Switches(Switch, Switch),
    /// `isenabled`, `disable` and `enable` of `gc`.
    Functions([Py<PyAny>; 3]),
}

fn hold_off_collections(py: Python<'_>) -> PyResult<HeldOff> {
    static MEANS: PyOnceLock<Means> = PyOnceLock::new();
    match MEANS.get_or_make(py, || find_means(py))? {
        Means::None => Ok(HeldOff::Nothing),
        // SAFETY: `PyGC_Disable`, which says whether they were on; this thread is attached to the interpreter.
        Means::Switches(disable, enable) if unsafe { disable() } == 1 => Ok(HeldOff::By(*enable)),
        Means::Functions([is_enabled, disable, enable]) if is_enabled.bind(py).call0()?.is_truthy()? => {
            disable.bind(py).call0()?;
            Ok(HeldOff::ByFunction(enable.clone_ref(py)))
        }
        Means::Switches(..) | Means::Functions(_) => Ok(HeldOff::Nothing),
    }
}

fn find_means(py: Python<'_>) -> PyResult<Means> {
    if py.version_info() >= (3, 12) {
        return Ok(Means::None);
    }
    if let (Some(disable), Some(enable)) = (symbol(c"PyGC_Disable"), symbol(c"PyGC_Enable")) {
        // SAFETY: this is their type in every CPython that has them, from 3.10 on.
        let switch = |function| unsafe { std::mem::transmute::<*mut std::ffi::c_void, Switch>(function) };
        return Ok(Means::Switches(switch(disable), switch(enable)));
    }
    let module = py.import("gc")?;
    let function = |name| module.getattr(name).map(Bound::unbind);
    Ok(Means::Functions([function("isenabled")?, function("disable")?, function("enable")?]))
}

/// Where the context of this address keeps whether it is entered: there is 0 while it is not.
pub(crate) fn entered(py: Python<'_>, context: usize) -> Option<*mut c_int> {
    let offset = entered_at(py).filter(|_| context != 0)?;
    Some((context as *mut u8).wrapping_add(offset).cast())
}

/// Whether the current context, which has this address, is the one that its thread itself has: it was entered by nobody.
pub(crate) fn is_of_thread(py: Python<'_>, context: usize) -> bool {
    // SAFETY: the current context, which lives as long as it is that; `entered_at` has found a field of it there.
    entered(py, context).is_some_and(|entered| unsafe { entered.read() } == 0)
}

/// Where a context keeps whether it is entered. That is no part of the API, so it is tried.
fn entered_at(py: Python<'_>) -> Option<usize> {
    static ENTERED_AT: PyOnceLock<Option<usize>> = PyOnceLock::new();
    ENTERED_AT.get_or_make(py, || Ok(find_entered(py).ok().flatten())).ok().copied().flatten()
}

/// Looks for the one number that is 0 in a context, and 1 while that is entered, and 0 again.
fn find_entered(py: Python<'_>) -> PyResult<Option<usize>> {
    const HEAD: usize = size_of::<ffi::PyObject>();
    // In that context nobody else is to set anything.
    let _held_off = hold_off_collections(py)?;
    let module = py.import("_contextvars")?;
    let context = module.getattr("Context")?.call0()?;
    let size: usize = context.get_type().getattr("__basicsize__")?.extract()?;
    let address = context.as_ptr() as usize;
    let numbers = move || -> Vec<c_int> {
        let offsets = (HEAD..=size.saturating_sub(size_of::<c_int>())).step_by(size_of::<c_int>());
        // SAFETY: inside of the object, which is held here, and aligned as its fields are.
        offsets.map(|offset| unsafe { (address as *const u8).add(offset).cast::<c_int>().read() }).collect()
    };
    let look = PyCFunction::new_closure(py, None, None, move |_, _| numbers())?;
    let before = numbers();
    let inside: Vec<c_int> = context.call_method1("run", (look,))?.extract()?;
    let after = numbers();
    let is_it = |index: &usize| (before[*index], inside[*index], after[*index]) == (0, 1, 0);
    let found: Vec<usize> = (0..inside.len().min(before.len())).filter(is_it).collect();
    Ok(match found[..] {
        [index] => Some(HEAD + index * size_of::<c_int>()),
        _ => None,
    })
}

fn context(token: &Bound<'_, PyAny>) -> usize {
    // SAFETY: `can_tell` has found such objects to be that long, and to have the address there, which is only looked at.
    unsafe { (*token.as_ptr().cast::<Token>()).context as usize }
}

/// Whether tokens tell of their contexts.
fn can_tell(py: Python<'_>) -> bool {
    static CAN_TELL: PyOnceLock<bool> = PyOnceLock::new();
    CAN_TELL.get_or_make(py, || Ok(tried(py).unwrap_or(false))).is_ok_and(|can_tell| *can_tell)
}

/// Sets a variable in two contexts, and looks for them in the tokens. Only the interpreter's own code runs.
fn tried(py: Python<'_>) -> PyResult<bool> {
    let _held_off = hold_off_collections(py)?;
    let module = py.import("_contextvars")?;
    let set = module.getattr("ContextVar")?.call1(("ddtrace_run_tried",))?.getattr("set")?;
    let token_is_of = |context: &Bound<'_, PyAny>| {
        let token = context.call_method1("run", (&set, py.None()))?;
        let size: usize = token.get_type().getattr("__basicsize__")?.extract()?;
        Ok::<_, PyErr>(size >= size_of::<Token>() && self::context(&token) == context.as_ptr() as usize)
    };
    let contexts = [module.call_method0("copy_context")?, module.call_method0("copy_context")?];
    Ok(token_is_of(&contexts[0])? && token_is_of(&contexts[1])?)
}
