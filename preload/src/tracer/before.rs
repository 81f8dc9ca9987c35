//! What was active on a thread before a span or a context was.

use super::handle::Handle;
use super::{Tracer, thread};
use core::sync::atomic::{AtomicU64, Ordering};

/// On how many threads at the same time a span can be active without one of them forgetting what was before.
const THREADS: usize = 2;
/// So many handles are looked at to find an open one; deeper ones are taken for forgotten.
pub(super) const MOST_STEPS: usize = 256;

/// For the last threads that it was activated on, each in one word: a thread's number, and the handle that was active
/// there, both of which are known to be of this process. All zero is none.
#[derive(Default)]
pub(crate) struct Before([AtomicU64; THREADS]);

/// The bits of a handle that are the process's and no part of what is kept.
const EPOCH: u64 = 0xffff << 16;

impl Before {
    /// Forgets everything, in a slot that nobody else uses.
    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|word| *word.get_mut() = 0);
    }

    /// What was active on this thread, if this has been activated there.
    fn of(&self, thread: u16) -> Option<u64> {
        let of_thread = |word: u64| (word >> 16) as u16 == thread;
        self.0.iter().map(|word| word.load(Ordering::Relaxed)).find(|word| of_thread(*word)).map(|word| word & !EPOCH)
    }

    /// Keeps what was active on this thread, in place of what was known of it or of another thread.
    fn set(&self, thread: u16, number: u64) {
        let new = number & !EPOCH | u64::from(thread) << 16;
        let known = |wanted: u16| self.0.iter().find(|word| (word.load(Ordering::Relaxed) >> 16) as u16 == wanted);
        if let Some(word) = known(thread).or_else(|| known(0)).or(self.0.last()) {
            word.store(new, Ordering::Relaxed);
        }
    }
}

impl Tracer {
    /// Calls `look` with what is known of a span or a context, be it open or not. `None` if it is forgotten.
    fn before<R>(&'static self, number: u64, look: impl FnOnce(&Before) -> R) -> Option<R> {
        Some(match self.handle(number)? {
            Handle::Span(key) => look(&self.spans.recall(key)?.before),
            Handle::Context(key) => look(&self.traces.recall(key)?.before),
        })
    }

    /// What was active on this thread before this was; 0 for nothing.
    pub(super) fn before_on(&'static self, number: u64, thread: u16) -> u64 {
        let kept = self.before(number, |before| before.of(thread)).flatten().unwrap_or(0);
        if kept == 0 { 0 } else { kept | u64::from(self.epoch) << 16 }
    }

    /// This one if it is open, else the nearest of those before it on this thread that is; 0 for none.
    pub(super) fn nearest_open(&'static self, mut number: u64, thread: u16) -> u64 {
        for _ in 0..MOST_STEPS {
            if number == 0 || self.is_open(number) {
                return number;
            }
            number = self.before_on(number, thread);
        }
        0
    }

    pub(super) fn is_open(&'static self, number: u64) -> bool {
        match self.handle(number) {
            Some(Handle::Span(key)) => self.spans.enter(key).is_some(),
            Some(Handle::Context(key)) => self.traces.enter(key).is_some(),
            None => false,
        }
    }

    /// What is active on this thread and has not ended; 0 for nothing.
    pub(super) fn active(&'static self) -> u64 {
        let thread = thread::current();
        let number = thread.active.load(Ordering::Relaxed);
        // The usual cases, without a look at the thread's number.
        if number == 0 || self.is_open(number) {
            return number;
        }
        let open = match self.handle(number) {
            Some(_) => self.nearest_open(number, thread.number()),
            None => self.adopt(number).unwrap_or(0),
        };
        thread.active.store(open, Ordering::Relaxed);
        open
    }

    /// What new spans on this thread belong under: what is active, else the request that the thread serves.
    pub(super) fn surroundings(&'static self) -> u64 {
        match self.active() {
            0 => self.request(),
            number => number,
        }
    }

    pub(super) fn request(&'static self) -> u64 {
        let place = &thread::current().request;
        let number = place.load(Ordering::Relaxed);
        if number == 0 {
            return 0;
        }
        if let Some(span) = self.span(number) {
            // Another thread has read more of it, and works on it now.
            let served_by = span.served_by.load(Ordering::Relaxed);
            if served_by == 0 || served_by == thread::current().number() {
                return number;
            }
            place.store(0, Ordering::Relaxed);
            return 0;
        }
        if self.is_open(number) {
            return number;
        }
        // One of the process that this one was forked from is its child's as well.
        let open = if self.handle(number).is_some() { 0 } else { self.adopt(number).unwrap_or(0) };
        place.store(open, Ordering::Relaxed);
        open
    }

    /// Makes a span or a context the active one, and gives the one that was; of what has ended, the one before it.
    pub(super) fn activate(&'static self, number: u64) -> u64 {
        let thread = thread::current();
        let active = self.active();
        if active == number {
            return active;
        }
        let own = thread.number();
        let new = self.nearest_open(number, own);
        // That one knows better what was before it than whoever comes back to it from further in.
        let comes_back = new != number || new == 0 || self.is_known_on(new, own) && self.is_before(new, active, own);
        if !comes_back {
            self.before(new, |before| before.set(own, active));
        }
        thread.active.store(new, Ordering::Relaxed);
        active
    }

    fn is_known_on(&'static self, number: u64, thread: u16) -> bool {
        self.before(number, |before| before.of(thread).is_some()).unwrap_or(false)
    }

    /// Whether `number` was active on this thread before `last` was; nothing is after everything.
    fn is_before(&'static self, number: u64, last: u64, thread: u16) -> bool {
        let mut later = last;
        if later == 0 {
            return true;
        }
        for _ in 0..MOST_STEPS {
            later = self.before_on(later, thread);
            if later == number || later == 0 {
                return later == number;
            }
        }
        false
    }

    /// A span has ended: what was before it is active where it was, and is before what was active after it.
    pub(super) fn deactivate(&'static self, number: u64, span: &Before) {
        let thread = thread::current();
        let active = thread.active.load(Ordering::Relaxed);
        if active == 0 {
            return;
        }
        let own = thread.number();
        let Some(kept) = span.of(own) else {
            if active == number {
                thread.active.store(0, Ordering::Relaxed);
            }
            return;
        };
        let before = if kept == 0 { 0 } else { kept | u64::from(self.epoch) << 16 };
        if active == number {
            thread.active.store(self.nearest_open(before, own), Ordering::Relaxed);
            return;
        }
        let mut later = active;
        for _ in 0..MOST_STEPS {
            let next = self.before_on(later, own);
            if next == number {
                self.before(later, |later| later.set(own, before));
            }
            if next == number || next == 0 {
                return;
            }
            later = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_and_the_last_ones_are_kept() {
        let mut before = Before::default();
        assert_eq!(before.of(1), None);
        before.set(1, 7 << 32 | 3 << 16 | 5);
        before.set(2, 0);
        assert_eq!((before.of(1), before.of(2), before.of(3)), (Some(7 << 32 | 5), Some(0), None));
        before.set(1, 9);
        assert_eq!((before.of(1), before.of(2)), (Some(9), Some(0)));
        before.set(3, 8);
        assert_eq!((before.of(1), before.of(2), before.of(3)), (Some(9), None, Some(8)));
        before.clear();
        assert_eq!(before.of(1), None);
    }
}
