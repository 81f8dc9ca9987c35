//! Lanes: chunks that threads share.
//!
//! A thread has a chunk to itself for as long as it lives. Where many threads live, there would soon be none for those that
//! come later. So half of the chunks are had that way at most, and who comes then writes into the chunk of a lane, which is
//! taken for one record. A thread keeps to one lane, so that its records stay in order.
//!
//! Nobody waits for a thread that has taken a lane and does not come to leave it, as it was stopped in the midst of a record
//! or has jumped out of it: the lane gets another chunk, and that thread finds out when it leaves, and completes its own.

use super::layout::{LANE_TAKEN, LANES, MOST_SPINS, STATE_SHARED};
use super::writer::{Chunk, MOVES, Place, SHARES};
use super::{Lost, Ring, ThreadSlot};
use crate::sync::{AtomicU32, Ordering};

/// When so many threads more have come to a lane, chunks of ended threads are looked for: those leave room for others.
const SWEEP_EVERY: u32 = 64;

impl Ring {
    /// Finds a chunk for a record of a thread that may have none to itself.
    pub(super) fn enter_lane(&self, slot: &ThreadSlot) -> Result<Place, Lost> {
        let before = slot.chunk.load(Ordering::Relaxed);
        if before == 0 && self.header().joined.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.complete_orphans();
        }
        let lane = self.lane(slot);
        let (seen, is_taken) = take(lane);
        let current = (seen & !LANE_TAKEN).checked_sub(1).filter(|_| is_taken);
        if let Some(index) = current.filter(|&index| before != MOVES && self.has_room(index)) {
            return Ok(Place { index, chunk: Chunk::OfLane { seen, is_new: false } });
        }
        // It is never written to again, so that the lane's chunks come one after the other.
        if let Some(last) = current {
            self.complete(last);
        }
        match self.take_chunk(STATE_SHARED) {
            Ok(index) => Ok(Place { index, chunk: Chunk::OfLane { seen, is_new: true } }),
            Err(lost) => {
                if is_taken {
                    let _ = lane.compare_exchange(seen, 0, Ordering::Release, Ordering::Relaxed);
                }
                Err(lost)
            }
        }
    }

    /// The record is written into the chunk that [`Ring::enter_lane`] found.
    pub(super) fn leave_lane(&self, slot: &ThreadSlot, index: u32, seen: u32, is_new: bool) {
        // Release pairs with the acquire in `take`: the next thread appends behind this record.
        let is_the_lanes = self
            .lane(slot)
            .compare_exchange(seen, index.wrapping_add(1), Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if !is_the_lanes {
            self.complete(index);
        }
        // The lane's chunk may have been taken before this one was.
        slot.chunk.store(if is_new && !is_the_lanes { MOVES } else { SHARES }, Ordering::Relaxed);
    }

    /// The lane of a thread, by where its slot is.
    #[expect(clippy::indexing_slicing, reason = "the index is bounded in the same expression")]
    pub(super) fn lane(&self, slot: &ThreadSlot) -> &AtomicU32 {
        // Fibonacci hashing: what is set aside for threads lies in regular distances.
        let hash = (core::ptr::from_ref(slot).addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.header().lanes[(hash >> 32) as usize % LANES]
    }
}

/// Takes a lane. Gives what it holds then, or what it held when it could not be had, and whether it could.
fn take(lane: &AtomicU32) -> (u32, bool) {
    let mut seen = lane.load(Ordering::Relaxed);
    for _ in 0..MOST_SPINS {
        if seen & LANE_TAKEN != 0 {
            core::hint::spin_loop();
            seen = lane.load(Ordering::Relaxed);
            continue;
        }
        // Acquire pairs with the release of who had it before.
        match lane.compare_exchange(seen, seen | LANE_TAKEN, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return (seen | LANE_TAKEN, true),
            Err(now) => seen = now,
        }
    }
    // Whoever left it just now leaves a chunk that another goes on with: it must not be put out of the lane.
    (seen | LANE_TAKEN, false)
}
