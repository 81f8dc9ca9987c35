//! In which context of Python's (`contextvars`) a span was made active, and whether it has been left there.
//!
//! Tasks, callbacks and what `asyncio.to_thread` does run in copies of the context that they are made in. A copy has the span
//! that was active there, also when that has ended by then. What begins in the copy is under it all the same; in the context
//! in which it was made active, where it may have been ended by another thread, it is active no more.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const UNKNOWN: usize = 0;
const SEVERAL: usize = usize::MAX;

/// Where a span was made active.
#[derive(Debug, Default)]
pub(crate) struct Home {
    context: AtomicUsize,
    has_left: AtomicBool,
    stays: AtomicBool,
}

impl Home {
    /// The context; `None` where it is not known, or there are several.
    pub(crate) fn context(&self) -> Option<usize> {
        match self.context.load(Ordering::Relaxed) {
            UNKNOWN | SEVERAL => None,
            context => Some(context),
        }
    }

    /// It is made active in a context (0: one that cannot be told). One that has ended is active nowhere.
    pub(crate) fn entered(&self, context: usize, has_ended: bool) {
        let before = self.context.load(Ordering::Relaxed);
        let is_first = before == UNKNOWN || before == context;
        let context = if is_first && !has_ended { context } else { SEVERAL };
        self.context.store(context, Ordering::Relaxed);
    }

    /// It has ended, and something else is active there.
    pub(crate) fn left(&self, context: usize) {
        if self.context() == Some(context) {
            self.has_left.store(true, Ordering::Relaxed);
        }
    }

    /// Once it has ended, what is done where it still stands belongs to it all the same, until this is taken back: a request's
    /// end is said by whichever of its tasks sends the last of the answer, and the others go on.
    pub(crate) fn set_stays(&self, stays: bool) {
        self.stays.store(stays, Ordering::Relaxed);
    }

    pub(crate) fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }

    /// Whether a context in which it still stands is a copy of the one in which it was made active, or of a copy of that. A
    /// context of which nothing is left may have given its address to another one, so that alone does not tell.
    pub(crate) fn is_copied_to(&self, here: usize) -> bool {
        self.context().is_some_and(|home| home != here || self.has_left.load(Ordering::Relaxed)) && here != UNKNOWN
    }

    /// Whether it was made active in a context that is not this one.
    pub(crate) fn is_elsewhere(&self, here: usize) -> bool {
        self.context().is_some_and(|home| home != here) && here != UNKNOWN
    }
}
