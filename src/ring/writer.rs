//! The process's side of the ring.

use super::layout::{
    CHUNK_CAPACITY, CHUNK_COUNT, CHUNK_HEADER_SIZE, CHUNK_SIZE, CONTROL_STOP, CONTROL_STOP_PROCESS_SPANS, ChunkHeader,
    HEADER_SIZE, Header, MAGIC, MAX_RECORD, MOST_HELD, STATE_COMPLETE, STATE_OWNED, VERSION, chunk_offset, initial_free_word,
};
use crate::record::RecordWriter;
use crate::sys;
use crate::sync::Ordering;
use core::ptr::NonNull;
// A thread's own words are shared with nobody but its signal handlers.
use core::sync::atomic::{AtomicU32, compiler_fence};

/// Why a record was not written. It is counted in the ring's header, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// Every chunk is taken: the sidecar is stopped or gone.
    Full,
    /// The kernel had no memory for another chunk.
    Memory,
    /// The record did not fit.
    TooLarge,
    /// The sidecar asked for silence. Not a loss, and not counted.
    Stopped,
}

/// What a thread keeps between two records. Lives in thread-local memory; all zero is a thread without a chunk.
#[repr(C)]
pub struct ThreadSlot {
    /// Index of the thread's chunk plus one; 0 is none, [`SHARES`] and [`MOVES`] are those of others, too.
    pub(super) chunk: AtomicU32,
    /// Not zero while a record is being written, so that a signal handler's own record goes elsewhere: [`here`].
    busy: AtomicU32,
}

/// The thread writes into the chunks of its lane.
pub(super) const SHARES: u32 = u32::MAX;
/// As [`SHARES`], but its last record may be in a chunk that was taken after the lane's, which it must not write into then.
pub(super) const MOVES: u32 = u32::MAX - 1;

/// Bit beside the index of a chunk that the thread has from its lane, for the record that it writes.
pub(super) const IN_LANE: u32 = 1 << 31;

pub(super) fn is_in_lane(chunk: u32) -> bool {
    chunk & IN_LANE != 0 && !matches!(chunk, SHARES | MOVES)
}

impl ThreadSlot {
    /// A thread that owns no chunk yet.
    #[must_use]
    pub const fn new() -> Self {
        ThreadSlot { chunk: AtomicU32::new(0), busy: AtomicU32::new(0) }
    }

    /// Forgets the chunk: for a forked child, whose ring is another one.
    pub fn reset(&self) {
        self.chunk.store(0, Ordering::Relaxed);
        self.busy.store(0, Ordering::Relaxed);
    }
}

impl Default for ThreadSlot {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a record is to be written.
pub(super) struct Place {
    pub(super) index: u32,
    pub(super) chunk: Chunk,
}

/// Whose chunk that is.
pub(super) enum Chunk {
    /// The thread's.
    Own,
    /// That record's alone, of a signal handler that has interrupted another one of its thread.
    OfOneRecord,
    /// The lane's, for this record: see [`Ring::enter_lane`].
    OfLane {
        /// What the lane holds if nobody else has changed it.
        seen: u32,
        /// The chunk is not the lane's yet.
        is_new: bool,
    },
}

/// Where the calling thread is on its stack, in units of [`STACK_UNIT`] bytes, to within one: the lowest bits of that. Never 0.
#[inline]
fn here() -> u32 {
    let mark = 0u8;
    (core::ptr::from_ref(&mark).addr() / STACK_UNIT) as u32 | 1
}

const STACK_UNIT: usize = 16;
/// What the kernel puts on the stack of a thread whose signal is handled, at least, in units: on x86-64 the 128 bytes that it leaves
/// alone, 440 of the frame, and 512 of registers; on others it is more.
const LEAST_FRAME: i32 = 1024 / STACK_UNIT as i32;

/// A mapped ring, to write to.
#[derive(Clone, Copy)]
pub struct Ring {
    pub(super) base: NonNull<u8>,
}

impl Ring {
    /// Makes a fresh, zeroed mapping a ring of which the first `backed` chunks are backed by memory.
    ///
    /// # Safety
    ///
    /// `base` is the start of a zeroed, writable, page-aligned mapping of `RING_SIZE` bytes that stays as long as the
    /// `Ring` and its copies are used; of fewer, if [`keep`](Ring::keep) says so before anything else is done with it.
    pub unsafe fn initialise(base: NonNull<u8>, backed: u32) -> Ring {
        let ring = Ring { base };
        let header = ring.header();
        for (word, bits) in header.free.iter().enumerate() {
            bits.store(initial_free_word(word), Ordering::Relaxed);
        }
        header.version.store(VERSION, Ordering::Relaxed);
        header.header_size.store(HEADER_SIZE as u32, Ordering::Relaxed);
        header.chunk_size.store(CHUNK_SIZE as u32, Ordering::Relaxed);
        header.chunk_count.store(CHUNK_COUNT as u32, Ordering::Relaxed);
        header.backed.store(backed, Ordering::Relaxed);
        header.usable.store(CHUNK_COUNT as u32, Ordering::Relaxed);
        header.most_held.store(MOST_HELD, Ordering::Relaxed);
        // Pairs with the reader's acquire: whoever sees the magic sees the rest.
        header.magic.store(!MAGIC, Ordering::Release);
        ring
    }

    /// A ring that [`Ring::initialise`] made earlier in this process.
    ///
    /// # Safety
    ///
    /// As for [`Ring::initialise`], which has been called on `base`.
    #[must_use]
    pub unsafe fn attach(base: NonNull<u8>) -> Ring {
        Ring { base }
    }

    /// The start of the mapping.
    #[must_use]
    pub fn base(self) -> NonNull<u8> {
        self.base
    }

    /// Whether the sidecar still wants to know of processes, rather than only of what they record of their own.
    #[must_use]
    pub fn wants_process_spans(&self) -> bool {
        self.header().control.load(Ordering::Relaxed) & (CONTROL_STOP | CONTROL_STOP_PROCESS_SPANS) == 0
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, lives as long as self, and starts with a Header made of atomics only, so
        // that other threads and the sidecar may change it under the shared reference.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    pub(super) fn chunk(&self, index: u32) -> &ChunkHeader {
        // SAFETY: callers give an index below CHUNK_COUNT, so the offset is inside the mapping and 64-byte aligned;
        // the header is made of atomics only.
        unsafe { self.base.add(chunk_offset(index)).cast::<ChunkHeader>().as_ref() }
    }

    /// Writes one record; `write` fills it in. System calls are made only when the ring grows.
    ///
    /// # Errors
    ///
    /// [`Lost`], after counting it.
    pub fn append(&self, slot: &ThreadSlot, write: impl FnOnce(&mut RecordWriter)) -> Result<(), Lost> {
        if self.header().control.load(Ordering::Relaxed) & CONTROL_STOP != 0 {
            return Err(Lost::Stopped);
        }
        let (here, busy) = (here(), slot.busy.load(Ordering::Relaxed));
        // A signal handler that interrupted this thread's own record.
        let is_nested = busy != 0 && !self.is_abandoned(slot, busy, here);
        if !is_nested {
            slot.busy.store(here, Ordering::Relaxed);
        }
        // A signal handler on this thread must see the flag before the chunk changes, and the chunk whole after it.
        compiler_fence(Ordering::SeqCst);
        let result = self.find_place(slot, is_nested).and_then(|place| {
            let result = self.write_into(place.index, write);
            if !matches!(place.chunk, Chunk::Own) {
                self.leave(slot, &place);
            }
            result
        });
        compiler_fence(Ordering::SeqCst);
        if !is_nested {
            slot.busy.store(0, Ordering::Relaxed);
        }
        result
    }

    /// Counts records that could not even be begun, because the process had no memory for a span, or no ring yet.
    pub fn lose(&self, records: u64) {
        self.header().lost_memory.fetch_add(records, Ordering::Relaxed);
    }

    /// Whether the record that is marked as being written is not any more, as a signal's handler has jumped out of it: then the
    /// thread is not where it could be in a handler that has interrupted that record, further down on its stack.
    #[cold]
    #[inline(never)]
    fn is_abandoned(&self, slot: &ThreadSlot, busy: u32, here: u32) -> bool {
        let below = busy.wrapping_sub(here).cast_signed();
        let is_abandoned = below < LEAST_FRAME && sys::signal_stack_left().is_none();
        if is_abandoned {
            self.abandon_lane(slot);
        }
        is_abandoned
    }

    fn find_place(&self, slot: &ThreadSlot, is_nested: bool) -> Result<Place, Lost> {
        let chunk = slot.chunk.load(Ordering::Relaxed);
        match chunk.checked_sub(1).filter(|&index| !is_nested && self.has_room(index)) {
            Some(index) => Ok(Place { index, chunk: Chunk::Own }),
            None => self.take_place(slot, chunk, is_nested),
        }
    }

    /// Takes a chunk, for the thread whose slot says `chunk`.
    #[cold]
    #[inline(never)]
    fn take_place(&self, slot: &ThreadSlot, chunk: u32, is_nested: bool) -> Result<Place, Lost> {
        let may_hold = match chunk {
            _ if is_nested => {
                self.hold();
                true
            }
            0 | SHARES | MOVES => self.claim(),
            full => {
                self.complete(full.wrapping_sub(1));
                slot.chunk.store(MOVES, Ordering::Relaxed);
                self.may_go_on_holding()
            }
        };
        if !may_hold {
            return self.enter_lane(slot);
        }
        let index = self.take_chunk(STATE_OWNED).inspect_err(|_| self.release())?;
        if is_nested {
            return Ok(Place { index, chunk: Chunk::OfOneRecord });
        }
        self.has_taken(index);
        slot.chunk.store(index.wrapping_add(1), Ordering::Relaxed);
        Ok(Place { index, chunk: Chunk::Own })
    }

    /// The record is written, into a chunk that was taken for it alone.
    #[cold]
    #[inline(never)]
    fn leave(&self, slot: &ThreadSlot, place: &Place) {
        match place.chunk {
            Chunk::Own => {}
            Chunk::OfOneRecord => {
                self.complete(place.index);
                self.release();
            }
            Chunk::OfLane { seen, is_new } => self.leave_lane(slot, place.index, seen, is_new),
        }
    }

    pub(super) fn has_room(&self, index: u32) -> bool {
        (index as usize) < CHUNK_COUNT
            && (self.chunk(index).committed.load(Ordering::Relaxed) as usize).wrapping_add(MAX_RECORD) <= CHUNK_CAPACITY
    }

    pub(super) fn complete(&self, index: u32) {
        if (index as usize) < CHUNK_COUNT {
            // Pairs with the reader's acquire load of the state: complete means that the committed length is final.
            self.chunk(index).state.store(STATE_COMPLETE, Ordering::Release);
        }
    }

    fn write_into(&self, index: u32, write: impl FnOnce(&mut RecordWriter)) -> Result<(), Lost> {
        let chunk = self.chunk(index);
        let committed = chunk.committed.load(Ordering::Relaxed);
        // The memory is the process's own, but shared: a scribbling host must not send us out of the mapping.
        if committed as usize + MAX_RECORD > CHUNK_CAPACITY {
            return Err(Lost::Full);
        }
        // SAFETY: the offset is inside the chunk with MAX_RECORD bytes after it (checked above); this thread owns the
        // chunk, so nobody else writes there, and the reader does not look beyond the committed length.
        let mut record = unsafe {
            let start = self.base.add(chunk_offset(index) + CHUNK_HEADER_SIZE + committed as usize);
            RecordWriter::new(start, MAX_RECORD)
        };
        write(&mut record);
        match record.finish() {
            Some(length) => {
                chunk.bytes.write(committed, length);
                // Pairs with the reader's acquire load: the bytes below the length are visible before the length is.
                chunk.committed.store(committed.wrapping_add(length), Ordering::Release);
                Ok(())
            }
            None => {
                self.header().lost_large.fetch_add(1, Ordering::Relaxed);
                Err(Lost::TooLarge)
            }
        }
    }
}
