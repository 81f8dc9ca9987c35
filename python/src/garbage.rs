//! What the garbage collector of Python's is told of what our objects hold.
//!
//! Whoever holds an object of the program's tells of it (`__traverse__`): else the collector takes that object for one that is in
//! use, and with it all from which it can be reached, for good. What is behind a lock, and so can come to be in a cycle later than
//! it was made, is let go of as well (`__clear__`). What an object holds from its begin on is not: it was there before, so that each
//! cycle has something else that is let go of, and our object does what it does until nobody has it any more.
//!
//! Not told of is what spans hold, of which there may be very many: what they are below, and their contexts. Those know of what is
//! below them only if the program says so, and the parts of spans to which it can attach something (`OtelSpan`) are let go of as they end.

use pyo3::PyTraverseError;
use std::sync::{Mutex, TryLockError};

/// Tells of what is behind a lock. Nobody is waited for: what is locked counts as being in use. Locks of ours are held only by
/// threads that are attached to the interpreter, and of those no other one goes on while garbage is looked for, so that it is the
/// same throughout.
pub(crate) fn visit_locked<T>(
    value: &Mutex<T>,
    visit: impl FnOnce(&T) -> Result<(), PyTraverseError>,
) -> Result<(), PyTraverseError> {
    match value.try_lock() {
        Ok(value) => visit(&value),
        Err(TryLockError::Poisoned(value)) => visit(&value.into_inner()),
        Err(TryLockError::WouldBlock) => Ok(()),
    }
}
