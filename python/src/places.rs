//! What is active in contexts that a thread enters and leaves, as tasks of event loops have them, told to native code of the
//! process (`preload`).
//!
//! Nobody is told when a task goes on and when it waits. But a context keeps whether it is entered, and native code looks there:
//! in which of those that it was told of its thread is, and so what is active.

use crate::engine::engine;
use crate::variable;
use ddtrace::interface::{MOST_PLACES, Place};
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

/// From so many on, contexts that nobody else has any more are let go of.
const FEW: usize = 8;

thread_local! {
    static PLACES: RefCell<Option<Places>> = const { RefCell::new(None) };
}

/// This handle is what is active in the context of that address, which somebody holds; 0 is nothing.
pub(crate) fn publish(py: Python<'_>, context: usize, span: u64) {
    let Some(entered) = variable::entered(py, context) else { return };
    let told = PLACES.try_with(|places| {
        let mut places = places.try_borrow_mut().ok()?;
        if span == 0 && places.is_none() {
            return None;
        }
        Some(places.get_or_insert_with(Places::new).tell(py, context, entered, span))
    });
    // What is in a context may have finalizers, so this comes last.
    drop(told);
}

/// The places of one thread.
struct Places {
    /// What native code reads. The last one is always empty.
    list: Box<[Place; MOST_PLACES]>,
    /// The contexts, in the same order: what is in the list stays in memory.
    contexts: Vec<Py<PyAny>>,
}

impl Places {
    fn new() -> Places {
        let places = Places { list: Box::new(std::array::from_fn(|_| Place::default())), contexts: Vec::new() };
        // SAFETY: the list is on the heap and stays there until `drop` takes it back. `tell` and `remove` alone change it: they
        // leave the last place empty, and `contexts` holds what places point into.
        unsafe { engine().tracer.tell_places(Some(&places.list)) };
        places
    }

    /// Gives what is not held any more.
    fn tell(&mut self, py: Python<'_>, context: usize, entered: *mut c_int, span: u64) -> Vec<Py<PyAny>> {
        let mut gone = Vec::new();
        if self.contexts.len() >= FEW {
            for index in (0..self.contexts.len()).rev() {
                // SAFETY: an object that is held, by a thread that is attached to the interpreter.
                if unsafe { ffi::Py_REFCNT(self.contexts[index].as_ptr()) } == 1 {
                    gone.push(self.remove(index));
                }
            }
        }
        match self.contexts.iter().position(|known| known.as_ptr() as usize == context) {
            Some(index) if span == 0 => gone.push(self.remove(index)),
            Some(index) => self.list[index].span.store(span, Ordering::Relaxed),
            None if span == 0 => {}
            None => {
                if self.contexts.len() + 1 == MOST_PLACES {
                    gone.push(self.remove(0));
                }
                let place = &self.list[self.contexts.len()];
                // SAFETY: the caller's context, which somebody holds until this is back.
                self.contexts.push(unsafe { Bound::from_borrowed_ptr(py, context as *mut ffi::PyObject) }.unbind());
                place.span.store(span, Ordering::Relaxed);
                place.entered.store(entered, Ordering::Release);
            }
        }
        gone
    }

    /// Another one takes the place.
    fn remove(&mut self, index: usize) -> Py<PyAny> {
        let last = &self.list[self.contexts.len() - 1];
        self.list[index].span.store(last.span.load(Ordering::Relaxed), Ordering::Relaxed);
        self.list[index].entered.store(last.entered.load(Ordering::Relaxed), Ordering::Release);
        last.entered.store(null_mut(), Ordering::Release);
        self.contexts.swap_remove(index)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        // SAFETY: nothing is read any more.
        unsafe { engine().tracer.tell_places(None) };
    }
}
