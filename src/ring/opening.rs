//! Who makes a process's ring, where several threads need it for the first time at the same moment.

use super::Ring;
use crate::sys;
// Not shared with the sidecar.
use core::sync::atomic::{AtomicU32, Ordering};

/// A process that could not reach the sidecar tries again at a later record, but not for ever.
const MOST_ATTEMPTS: u32 = 3;
/// How often a thread gives way to the one that makes the ring: that takes about a tenth of a millisecond. Whoever waits
/// for longer makes one itself, as the other may be gone, or be this very thread, which a signal handler has interrupted.
const MOST_TURNS: u32 = 10_000;

/// The attempts of a process. All zero is none.
#[derive(Debug)]
pub struct Opening {
    attempts: AtomicU32,
    is_under_way: AtomicU32,
    missed: AtomicU32,
}

impl Opening {
    /// No attempt yet.
    #[must_use]
    pub const fn new() -> Self {
        Opening { attempts: AtomicU32::new(0), is_under_way: AtomicU32::new(0), missed: AtomicU32::new(0) }
    }

    /// Forgets them: for a forked child, which needs a ring of its own.
    pub fn reset(&self) {
        self.attempts.store(0, Ordering::Relaxed);
        self.is_under_way.store(0, Ordering::Relaxed);
        self.missed.store(0, Ordering::Relaxed);
    }

    /// The ring that is `there`, or else the one that `make` makes and puts there, once for all threads.
    pub fn ring(&self, there: impl Fn() -> Option<Ring>, make: impl FnOnce() -> Option<Ring>) -> Option<Ring> {
        if let Some(ring) = there() {
            return Some(ring);
        }
        if self.attempts.load(Ordering::Relaxed) >= MOST_ATTEMPTS {
            return None;
        }
        if self.is_under_way.swap(1, Ordering::Acquire) != 0 {
            for _ in 0..MOST_TURNS {
                sys::give_way();
                if let Some(ring) = there() {
                    return Some(ring);
                }
                if self.is_under_way.load(Ordering::Acquire) == 0 {
                    break;
                }
            }
        }
        let made = match self.attempts.fetch_add(1, Ordering::Relaxed) {
            0..MOST_ATTEMPTS => make(),
            _ => None,
        };
        self.is_under_way.store(0, Ordering::Release);
        let missed = made.map_or(0, |_| self.missed.swap(0, Ordering::Relaxed));
        if let Some(ring) = made.filter(|_| missed > 0) {
            ring.lose(missed.into());
        }
        made
    }

    /// A record could not be written, as there is no ring. It is counted in the ring that a later attempt makes.
    pub fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for Opening {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{CHUNK_COUNT, RING_SIZE};
    use super::*;
    use core::ptr::{NonNull, null_mut};
    use core::sync::atomic::AtomicPtr;
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    fn memory() -> NonNull<u8> {
        sys::map_private(RING_SIZE).expect("memory")
    }

    fn at(base: &AtomicPtr<u8>) -> Option<Ring> {
        // SAFETY: what is there was initialised and is never unmapped.
        NonNull::new(base.load(Ordering::Acquire)).map(|base| unsafe { Ring::attach(base) })
    }

    #[test]
    fn many_threads_at_once_get_the_ring_that_one_of_them_makes() {
        let (opening, base, made, barrier) =
            (Opening::new(), AtomicPtr::new(null_mut()), AtomicU32::new(0), Barrier::new(32));
        let make = || {
            made.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            // SAFETY: a fresh zeroed mapping that stays.
            let ring = unsafe { Ring::initialise(memory(), CHUNK_COUNT as u32) };
            base.store(ring.base().as_ptr(), Ordering::Release);
            Some(ring)
        };
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    barrier.wait();
                    let ring = opening.ring(|| at(&base), make).expect("a ring");
                    assert_eq!(Some(ring.base()), at(&base).map(Ring::base));
                });
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_is_missed_is_counted_and_attempts_are_few() {
        let (opening, base) = (Opening::new(), AtomicPtr::new(null_mut()));
        assert!(opening.ring(|| at(&base), || None).is_none());
        opening.miss();
        opening.miss();
        // SAFETY: a fresh zeroed mapping that stays.
        let make = || Some(unsafe { Ring::initialise(memory(), CHUNK_COUNT as u32) });
        let ring = opening.ring(|| at(&base), make).expect("a ring");
        // SAFETY: it stays.
        let mut reader = unsafe { super::super::Reader::new(ring.base()) }.expect("a ring");
        assert_eq!(reader.drain(|_| {}).expect("it is sound").lost, 2);
        assert!(opening.ring(|| at(&base), make).is_some(), "the third attempt");
        assert!(opening.ring(|| at(&base), make).is_none(), "and no fourth");
        opening.reset();
        assert!(opening.ring(|| at(&base), make).is_some());
    }

    #[test]
    fn who_interrupted_the_one_that_makes_it_does_not_wait_for_ever() {
        let (opening, base) = (Opening::new(), AtomicPtr::new(null_mut()));
        // SAFETY: a fresh zeroed mapping that stays.
        let make = || Some(unsafe { Ring::initialise(memory(), CHUNK_COUNT as u32) });
        let nested = || opening.ring(|| at(&base), make);
        assert!(opening.ring(|| at(&base), nested).is_some());
    }
}
