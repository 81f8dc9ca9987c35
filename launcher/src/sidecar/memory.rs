//! What the sidecar's memory is held to: one number for all that it allocates, whatever it is for.
//!
//! The bound is on the sum, as the allocator knows it, since what grows is in many places: spans that are open, traces that
//! wait for their end, decisions that are remembered, the places of payloads. Who makes room is `deliver.rs`.

use std::alloc::System;

use cap::Cap;

/// Counts what is allocated; it limits nothing, as an allocation that fails would be the end.
#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// What a group of spans takes while it is put together, encoded for each receiver, compressed and sent.
const FOR_A_MOMENT: u64 = 12 << 20;

/// How much the sidecar may hold in memory.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    most: usize,
}

impl Budget {
    /// Of what may be taken in all, a part is for what is allocated for a moment, and a third of the rest for what the
    /// allocator needs for itself: spans are many small blocks.
    pub fn of(max_bytes: u64) -> Budget {
        Budget { most: usize::try_from(max_bytes.saturating_sub(FOR_A_MOMENT) / 3 * 2).unwrap_or(usize::MAX) }
    }

    /// Whether there is more than there may be.
    pub fn is_exceeded(self) -> bool {
        ALLOCATED.allocated() > self.most
    }

    /// Whether there is so much room that it need not be made again at once.
    pub fn has_room(self) -> bool {
        ALLOCATED.allocated() <= self.most / 8 * 7
    }

    /// A share of it, in bytes.
    pub fn part(self, of: usize) -> usize {
        self.most / of
    }
}

/// Memory that was needed for a burst goes back to the machine when that is over: the allocator would keep it.
#[derive(Debug, Default)]
pub struct Ebb {
    /// How much had been worked through at the last look, and when memory was last given back.
    last: u64,
    given_back: u64,
    /// What was still allocated then.
    left: usize,
}

impl Ebb {
    /// After so many bytes it is worth it.
    const WORTH: u64 = 2 << 20;
    /// Or when so many more are free than the last time: each of a few small blocks keeps a page.
    const FREED: usize = 64 << 10;

    /// Looks whether nothing is done any more, and memory is to be given back; `done` are all bytes that were worked through
    /// so far. Who is told so makes room in what it has, and says [`give_back`](Ebb::give_back).
    pub fn is_due(&mut self, done: u64) -> bool {
        let is_quiet = std::mem::replace(&mut self.last, done) == done;
        let freed = self.left.saturating_sub(ALLOCATED.allocated());
        is_quiet && (done - self.given_back >= Self::WORTH || freed >= Self::FREED)
    }

    /// Gives back what is free.
    pub fn give_back(&mut self) {
        self.given_back = self.last;
        self.left = ALLOCATED.allocated();
        // SAFETY: no pointers; what is allocated stays.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_counted_until_it_is_freed() {
        let before = ALLOCATED.allocated();
        let much = vec![1u8; 256 << 20];
        // Other tests allocate and free at the same time, but not so much.
        assert!(ALLOCATED.allocated() > before + (128 << 20));
        let budget = Budget::of(256 << 20);
        assert!(budget.is_exceeded() && !budget.has_room());
        drop(much);
        assert!(ALLOCATED.allocated() < before + (128 << 20));
    }
}
