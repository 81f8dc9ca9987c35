//! Lanes: chunks that threads share.
//!
//! A thread has a chunk to itself for as long as it lives. Where many threads live, there would soon be none for those that
//! come later. So half of the chunks are had that way at most, and who comes then writes into the chunk of a lane, which is
//! taken for one record. A thread keeps to one lane, so that its records stay in order.
//!
//! Nobody waits for a thread that has taken a lane and does not come to leave it, as it was stopped in the midst of a record
//! or has jumped out of it: the lane gets another chunk, and that thread finds out when it leaves, and completes its own.
//! Where no chunk is free, one thread of each lane waits for one, and the others for that thread.

use super::layout::{LANE_TAKEN, LANE_WAITS, LANES, MOST_SPINS, MOST_WAIT_MS, STATE_SHARED};
use super::writer::{Chunk, IN_LANE, MOVES, Place, SHARES, is_in_lane};
use super::{Lost, Ring, ThreadSlot};
use crate::sync::{AtomicU32, Ordering};

/// When so many threads more have come to a lane, chunks of ended threads are looked for: those leave room for others.
const SWEEP_EVERY: u32 = 64;

/// So often a thread begins again as others have come in between, before it goes without the lane.
const MOST_ROUNDS: u32 = 1000;

impl Ring {
    /// Finds a chunk for a record of a thread that may have none to itself.
    pub(super) fn enter_lane(&self, slot: &ThreadSlot) -> Result<Place, Lost> {
        let before = slot.chunk.load(Ordering::Relaxed);
        if before == 0 && self.header().joined.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.complete_orphans();
        }
        let lane = self.lane(slot);
        let place = match self.take_lane(lane, before == MOVES) {
            Some((index, seen)) => Place { index, chunk: Chunk::OfLane { seen, is_new: false } },
            None => match self.take_chunk(STATE_SHARED) {
                Ok(index) => {
                    self.has_taken(index);
                    Place { index, chunk: Chunk::OfLane { seen: LANE_WAITS, is_new: true } }
                }
                Err(lost) => {
                    let _ = lane.compare_exchange(LANE_WAITS, 0, Ordering::Release, Ordering::Relaxed);
                    return Err(lost);
                }
            },
        };
        slot.chunk.store(place.index | IN_LANE, Ordering::Relaxed);
        Ok(place)
    }

    /// Takes a lane, with its chunk: gives that, and what the lane holds then. `None` where the thread is to take a chunk
    /// for the lane, as that has none in which there is room; or which it must not write into, if it `moves`.
    fn take_lane(&self, lane: &AtomicU32, moves: bool) -> Option<(u32, u32)> {
        let (mut spins, mut waited) = (0u32, 0u32);
        for _ in 0..MOST_ROUNDS {
            let seen = lane.load(Ordering::Relaxed);
            if seen == LANE_WAITS {
                if waited >= MOST_WAIT_MS || self.header().gave_up.load(Ordering::Relaxed) != 0 {
                    return None;
                }
                waited = waited.saturating_add(self.pause_for_chunks());
            } else if seen & LANE_TAKEN == 0 {
                let taken = seen | LANE_TAKEN;
                // Acquire pairs with the release of who had it before.
                if lane.compare_exchange(seen, taken, Ordering::Acquire, Ordering::Relaxed).is_err() {
                    continue;
                }
                let last = seen.checked_sub(1);
                if let Some(index) = last.filter(|&index| !moves && self.has_room(index)) {
                    return Some((index, taken));
                }
                // It is never written to again, so that the lane's chunks come one after the other.
                if let Some(last) = last {
                    self.complete(last);
                }
                if lane.compare_exchange(taken, LANE_WAITS, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    return None;
                }
            } else if spins < MOST_SPINS {
                spins = spins.wrapping_add(1);
                core::hint::spin_loop();
            } else if lane.compare_exchange(seen, LANE_WAITS, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return None;
            }
        }
        None
    }

    /// What the thread was writing into its lane when it jumped out of that: nobody else goes on with the chunk.
    pub(super) fn abandon_lane(&self, slot: &ThreadSlot) {
        let chunk = slot.chunk.load(Ordering::Relaxed);
        if is_in_lane(chunk) {
            let index = chunk & !IN_LANE;
            self.complete(index);
            let held = index.wrapping_add(1) | LANE_TAKEN;
            let _ = self.lane(slot).compare_exchange(held, 0, Ordering::Release, Ordering::Relaxed);
            slot.chunk.store(MOVES, Ordering::Relaxed);
        }
    }

    /// The record is written into the chunk that [`Ring::enter_lane`] found.
    pub(super) fn leave_lane(&self, slot: &ThreadSlot, index: u32, seen: u32, is_new: bool) {
        // Before: what a handler jumps out of from here on is not this thread's any more.
        slot.chunk.store(SHARES, Ordering::Relaxed);
        let next = index.wrapping_add(1);
        // Release pairs with the acquire in `take_lane`: the next thread appends behind this record.
        if self.lane(slot).compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed).is_ok() {
            return;
        }
        self.complete(index);
        if is_new {
            // The lane's chunk may have been taken before this one was.
            slot.chunk.store(MOVES, Ordering::Relaxed);
        }
    }

    /// The lane of a thread, by where its slot is.
    #[expect(clippy::indexing_slicing, reason = "the index is bounded in the same expression")]
    pub(super) fn lane(&self, slot: &ThreadSlot) -> &AtomicU32 {
        // Fibonacci hashing: what is set aside for threads lies in regular distances.
        let hash = (core::ptr::from_ref(slot).addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.header().lanes[(hash >> 32) as usize % LANES]
    }
}
