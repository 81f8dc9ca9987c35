//! How a process takes chunks of the ring, and which it keeps.

use super::layout::{
    CHUNK_COUNT, CHUNK_SIZE, MOST_IDLE_MS, MOST_WAIT_MS, STATE_OWNED, WAKE_FROM, chunk_offset,
};
use super::{Lost, Ring};
use crate::sync::Ordering;
use crate::sys;
use core::ops::Range;

/// When so many chunks more are in use than before, chunks of ended threads are looked for.
const RECLAIM_EVERY: u32 = 16;

/// So many pauses are made for threads that look at chunks, which takes them less than one. This thread may be such a one itself,
/// in the handler of a signal.
const MOST_LOOKS: u32 = 20;

const NS_PER_MS: u64 = 1_000_000;

/// Where more threads than this wait for chunks, their pauses are longer by a millisecond for each so many: else they would leave
/// no processor to the sidecar, for which they wait.
const WAITERS_PER_MS: u32 = 16;
/// The longest pause, in milliseconds.
const LONGEST_PAUSE_MS: u32 = 32;

/// So many chunks stay free where only few are kept: enough for the threads that share.
const SPARE: usize = 24;

impl Ring {
    /// Uses only the first `chunks` from now on, and as many more as it takes for those that are in use and some that are
    /// free. Gives which bytes of the mapping nothing touches any more, that were in use before: none where another thread does
    /// not come to an end of looking at them.
    pub fn keep(&self, chunks: usize) -> Range<usize> {
        let header = self.header();
        let before = self.usable();
        let mut end = before;
        while end > chunks as u32 && self.free_chunks() > chunks.min(SPARE) as u32 {
            let index = end.wrapping_sub(1);
            let (Some(bits), bit) = (header.free.get(index as usize / 64), 1u64 << (index % 64)) else { break };
            // Taken for good: whoever takes it at the same time, to write there or for this, is left what he has.
            if bits.fetch_and(!bit, Ordering::Acquire) & bit == 0 {
                break;
            }
            end = index;
        }
        header.usable.fetch_min(end, Ordering::SeqCst);
        header.most_held.fetch_min(end / 2, Ordering::Relaxed);
        for _ in 0..MOST_LOOKS {
            if header.looking.load(Ordering::SeqCst) == 0 {
                return chunk_offset(end)..chunk_offset(before);
            }
            self.pause(1);
        }
        0..0
    }

    fn usable(&self) -> u32 {
        self.header().usable.load(Ordering::SeqCst).min(CHUNK_COUNT as u32)
    }

    fn free_chunks(&self) -> u32 {
        self.header().free.iter().map(|bits| bits.load(Ordering::Relaxed).count_ones()).sum()
    }

    /// Whether the thread may have a chunk to itself from now on.
    pub(super) fn claim(&self) -> bool {
        let header = self.header();
        let most = header.most_held.load(Ordering::Relaxed);
        if header.held.load(Ordering::Relaxed) >= most {
            return false;
        }
        let is_one_of_them = header.held.fetch_add(1, Ordering::Relaxed) < most;
        if !is_one_of_them {
            self.release();
        }
        is_one_of_them
    }

    /// Whether a thread that had a chunk to itself may have another. It may not where fewer chunks are kept since.
    pub(super) fn may_go_on_holding(&self) -> bool {
        let header = self.header();
        let may = header.held.load(Ordering::Relaxed) <= header.most_held.load(Ordering::Relaxed);
        if !may {
            self.release();
        }
        may
    }

    /// Counts a chunk that a thread has to itself whether it may or not.
    pub(super) fn hold(&self) {
        self.header().held.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back [`Ring::hold`], or a claim.
    pub(super) fn release(&self) {
        self.header().held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a free chunk, to be in this state; where there is none, waits for the sidecar for a moment.
    ///
    /// A burst of a hundred thousand spans finds room; beyond that a program that outruns the sidecar loses a little time
    /// rather than spans. A sidecar that gives nothing back, as it is stopped or gone, is waited for once.
    pub(super) fn take_chunk(&self, state: u32) -> Result<u32, Lost> {
        let header = self.header();
        if let Some(index) = self.take_free() {
            if header.gave_up.load(Ordering::Relaxed) != 0 {
                header.gave_up.store(0, Ordering::Relaxed);
            }
            return self.open_chunk(index, state);
        }
        let (mut taken, mut waited, mut idle) = (header.taken.load(Ordering::Relaxed), 0u32, 0u32);
        while waited < MOST_WAIT_MS && idle < MOST_IDLE_MS && header.gave_up.load(Ordering::Relaxed) == 0 {
            self.wake_sidecar();
            let paused = self.pause_for_chunks();
            waited = waited.saturating_add(paused);
            let before = core::mem::replace(&mut taken, header.taken.load(Ordering::Relaxed));
            idle = if taken == before { idle.saturating_add(paused) } else { 0 };
            if let Some(index) = self.take_free() {
                return self.open_chunk(index, state);
            }
        }
        // As long as others find chunks it is this thread alone that has had no luck.
        if idle >= MOST_IDLE_MS {
            header.gave_up.store(1, Ordering::Relaxed);
        }
        header.lost_full.fetch_add(1, Ordering::Relaxed);
        Err(Lost::Full)
    }

    /// Pauses as one of those who wait for chunks: gives for how many milliseconds.
    pub(super) fn pause_for_chunks(&self) -> u32 {
        let waiting = &self.header().waiting;
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let length = (before / WAITERS_PER_MS).min(LONGEST_PAUSE_MS.wrapping_sub(1)).wrapping_add(1);
        self.pause(length);
        waiting.fetch_sub(1, Ordering::Relaxed);
        length
    }

    fn pause(&self, milliseconds: u32) {
        sys::pause(core::ptr::from_ref(&self.header().gave_up).cast(), u64::from(milliseconds).wrapping_mul(NS_PER_MS));
    }

    /// Takes the lowest free chunk, so that little memory is touched.
    fn take_free(&self) -> Option<u32> {
        let header = self.header();
        for (word, bits) in header.free.iter().enumerate() {
            let mut seen = bits.load(Ordering::Relaxed);
            // Each round either takes a bit or sees that another thread took one: at most 64 of them.
            while seen != 0 {
                let bit = seen.trailing_zeros();
                // Acquire pairs with the reader's release when it gave the chunk back: its reset header is visible.
                match bits.compare_exchange_weak(seen, seen & !(1 << bit), Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return Some((word as u32).wrapping_mul(64).wrapping_add(bit)),
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    /// Looks for chunks of threads that have ended now and then, by the chunk that was taken.
    pub(super) fn has_taken(&self, index: u32) {
        if index >= RECLAIM_EVERY && index.is_multiple_of(RECLAIM_EVERY) {
            self.complete_orphans();
        }
    }

    /// Marks the chunks of threads that have ended as complete: nobody appends to them any more, and the reader gives
    /// them back. A new thread with a dead one's number only delays that.
    ///
    /// One thread at a time does it: where two did, one could mark a chunk that the other has marked before, and that a living
    /// thread has by now.
    pub(super) fn complete_orphans(&self) {
        let (header, pid, me) = (self.header(), sys::getpid(), sys::gettid());
        let other = header.sweeper.load(Ordering::Relaxed);
        // One that has ended in the midst of it does not come back, nor does this one where it has jumped out of it. What it has
        // counted is counted then.
        if other != 0 && other != me && sys::thread_exists(pid, other) {
            return;
        }
        // Both in one order with those of `keep`: either that one knows of the look, or this knows what is left.
        if other == 0 {
            header.looking.fetch_add(1, Ordering::SeqCst);
        }
        if header.sweeper.compare_exchange(other, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            if other == 0 {
                header.looking.fetch_sub(1, Ordering::Release);
            }
            return;
        }
        // A look at memory that is not there yet makes the kernel allocate it.
        let end = header.backed.load(Ordering::Relaxed).min(self.usable());
        for index in 0..end {
            let chunk = self.chunk(index);
            // Acquire pairs with the release in `open_chunk`: the owner is the one of this state.
            if chunk.state.load(Ordering::Acquire) == STATE_OWNED
                && !sys::thread_exists(pid, chunk.owner.load(Ordering::Relaxed))
            {
                // Pairs with the dead thread's release: whoever sees the chunk complete sees its last record as well.
                let _ = chunk.committed.load(Ordering::Acquire);
                self.complete(index);
                self.release();
            }
        }
        header.sweeper.store(0, Ordering::Release);
        // Release: the looks are over.
        header.looking.fetch_sub(1, Ordering::Release);
    }

    fn open_chunk(&self, index: u32, state: u32) -> Result<u32, Lost> {
        let header = self.header();
        if index >= self.usable() {
            header.lost_full.fetch_add(1, Ordering::Relaxed);
            return Err(Lost::Full);
        }
        if index >= header.backed.load(Ordering::Relaxed) {
            // SAFETY: the range is one chunk of our own mapping; populating changes no content.
            let populated = unsafe {
                sys::advise(self.base.add(chunk_offset(index)), CHUNK_SIZE, sys::Advice::PopulateWrite)
            };
            match populated {
                // Kernels before 5.14 do not know the advice: touch the pages as they come.
                Ok(()) | Err(sys::Errno::EINVAL) => {
                    header.backed.fetch_max(index.wrapping_add(1), Ordering::Relaxed);
                }
                Err(_) => {
                    if let Some(bits) = header.free.get(index as usize / 64) {
                        bits.fetch_or(1 << (index % 64), Ordering::Release);
                    }
                    header.lost_memory.fetch_add(1, Ordering::Relaxed);
                    return Err(Lost::Memory);
                }
            }
        }
        let chunk = self.chunk(index);
        chunk.owner.store(sys::gettid(), Ordering::Relaxed);
        // Release pairs with the reader's acquire: whoever counts this chunk sees what this thread did with those before.
        chunk.sequence.store(header.taken.fetch_add(1, Ordering::Release), Ordering::Relaxed);
        // Pairs with the reader's acquire load of the state: whoever sees it taken sees which chunk comes after which.
        chunk.state.store(state, Ordering::Release);
        if index >= WAKE_FROM {
            self.wake_sidecar();
        }
        Ok(index)
    }

    /// Much waits to be read. Only the first one to see that the sidecar sleeps makes the system call.
    fn wake_sidecar(&self) {
        let asleep = &self.header().asleep;
        // Nothing hangs on the order: the sidecar looks at all that there is.
        if asleep.load(Ordering::Relaxed) != 0 && asleep.swap(0, Ordering::Relaxed) != 0 {
            sys::wake_one(core::ptr::from_ref(asleep).cast());
        }
    }
}
