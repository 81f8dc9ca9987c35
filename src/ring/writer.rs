//! The process's side of the ring.

use super::layout::{
    CHUNK_CAPACITY, CHUNK_COUNT, CHUNK_HEADER_SIZE, CHUNK_SIZE, CONTROL_STOP, CONTROL_STOP_PROCESS_SPANS, ChunkHeader,
    HEADER_SIZE, Header, MAGIC, MAX_RECORD, MOST_IDLE_PAUSES, MOST_PAUSES, STATE_COMPLETE, STATE_OWNED, VERSION, WAKE_FROM,
    chunk_offset, initial_free_word,
};
use crate::record::RecordWriter;
use crate::sys;
use crate::sync::Ordering;
use core::ops::Range;
use core::ptr::NonNull;
// A thread's own words are shared with nobody but its signal handlers.
use core::sync::atomic::{AtomicU32, compiler_fence};

/// When so many chunks more are in use than before, chunks of ended threads are looked for.
const RECLAIM_EVERY: u32 = 16;

/// So many pauses are made for threads that look at chunks, which takes them less than one. This thread may be such a one itself,
/// in the handler of a signal.
const MOST_LOOKS: u32 = 20;

/// How long a pause is.
const PAUSE_NS: u64 = 1_000_000;

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
    /// Index of the thread's chunk plus one; 0 is none.
    chunk: AtomicU32,
    /// Not zero while a record is being written, so that a signal handler's own record goes elsewhere.
    busy: AtomicU32,
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

/// A mapped ring, to write to.
#[derive(Clone, Copy)]
pub struct Ring {
    base: NonNull<u8>,
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

    /// Uses only the first `chunks` from now on, and as many more as it takes for those that are in use. Gives which bytes of
    /// the mapping nothing touches any more, that were in use before: none where another thread does not come to an end of looking
    /// at them.
    pub fn keep(&self, chunks: usize) -> Range<usize> {
        let header = self.header();
        let before = self.usable();
        let mut end = before;
        while end > chunks as u32 {
            let index = end.wrapping_sub(1);
            let (Some(bits), bit) = (header.free.get(index as usize / 64), 1u64 << (index % 64)) else { break };
            // Taken for good: whoever takes it at the same time, to write there or for this, is left what he has.
            if bits.fetch_and(!bit, Ordering::Acquire) & bit == 0 {
                break;
            }
            end = index;
        }
        header.usable.fetch_min(end, Ordering::SeqCst);
        for _ in 0..MOST_LOOKS {
            if header.looking.load(Ordering::SeqCst) == 0 {
                return chunk_offset(end)..chunk_offset(before);
            }
            sys::pause(core::ptr::from_ref(&header.gave_up).cast(), PAUSE_NS);
        }
        0..0
    }

    fn usable(&self) -> u32 {
        self.header().usable.load(Ordering::SeqCst).min(CHUNK_COUNT as u32)
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, lives as long as self, and starts with a Header made of atomics only, so
        // that other threads and the sidecar may change it under the shared reference.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    fn chunk(&self, index: u32) -> &ChunkHeader {
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
        if slot.busy.load(Ordering::Relaxed) != 0 {
            return self.append_nested(write);
        }
        slot.busy.store(1, Ordering::Relaxed);
        // A signal handler on this thread must see the flag before the chunk changes, and the chunk whole after it.
        compiler_fence(Ordering::SeqCst);
        let result = self.append_owned(slot, write);
        compiler_fence(Ordering::SeqCst);
        slot.busy.store(0, Ordering::Relaxed);
        result
    }

    /// Counts records that could not even be begun, because the process had no memory for a span, or no ring yet.
    pub fn lose(&self, records: u64) {
        self.header().lost_memory.fetch_add(records, Ordering::Relaxed);
    }

    fn append_owned(&self, slot: &ThreadSlot, write: impl FnOnce(&mut RecordWriter)) -> Result<(), Lost> {
        let owned = slot.chunk.load(Ordering::Relaxed).checked_sub(1).filter(|&index| self.has_room(index));
        let index = match owned {
            Some(index) => index,
            None => {
                if let Some(full) = slot.chunk.load(Ordering::Relaxed).checked_sub(1) {
                    self.complete(full);
                    slot.chunk.store(0, Ordering::Relaxed);
                }
                let taken = self.take_chunk()?;
                slot.chunk.store(taken.wrapping_add(1), Ordering::Relaxed);
                taken
            }
        };
        self.write_into(index, write)
    }

    /// The record of a signal handler that interrupted this thread's own record: it gets a chunk to itself.
    fn append_nested(&self, write: impl FnOnce(&mut RecordWriter)) -> Result<(), Lost> {
        let index = self.take_chunk()?;
        let result = self.write_into(index, write);
        self.complete(index);
        result
    }

    fn has_room(&self, index: u32) -> bool {
        (index as usize) < CHUNK_COUNT
            && (self.chunk(index).committed.load(Ordering::Relaxed) as usize).wrapping_add(MAX_RECORD) <= CHUNK_CAPACITY
    }

    fn complete(&self, index: u32) {
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

    /// Takes a free chunk; where there is none, waits for the sidecar for a moment.
    ///
    /// A burst of a hundred thousand spans finds room; beyond that a program that outruns the sidecar loses a little time
    /// rather than spans. A sidecar that gives nothing back, as it is stopped or gone, is waited for once.
    fn take_chunk(&self) -> Result<u32, Lost> {
        let header = self.header();
        if let Some(index) = self.take_free() {
            if header.gave_up.load(Ordering::Relaxed) != 0 {
                header.gave_up.store(0, Ordering::Relaxed);
            }
            return self.open_chunk(index);
        }
        let (mut taken, mut idle) = (header.taken.load(Ordering::Relaxed), 0u32);
        for _ in 0..MOST_PAUSES {
            if header.gave_up.load(Ordering::Relaxed) != 0 || idle >= MOST_IDLE_PAUSES {
                break;
            }
            let before = core::mem::replace(&mut taken, header.taken.load(Ordering::Relaxed));
            idle = if taken == before { idle.wrapping_add(1) } else { 0 };
            self.wake_sidecar();
            sys::pause(core::ptr::from_ref(&header.gave_up).cast(), PAUSE_NS);
            if let Some(index) = self.take_free() {
                return self.open_chunk(index);
            }
        }
        header.gave_up.store(1, Ordering::Relaxed);
        header.lost_full.fetch_add(1, Ordering::Relaxed);
        Err(Lost::Full)
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

    /// Marks the chunks of threads that have ended as complete: nobody appends to them any more, and the reader gives
    /// them back. A new thread with a dead one's number only delays that.
    ///
    /// `taken` is the chunk that was taken last. Beyond it, and beyond what is backed, no chunk is looked at: a look at
    /// memory that is not there yet makes the kernel allocate it.
    fn complete_orphans(&self, taken: u32) {
        let pid = sys::getpid();
        // Both in one order with those of `keep`: either that one knows of the look, or this knows what is left.
        self.header().looking.fetch_add(1, Ordering::SeqCst);
        let end = self.header().backed.load(Ordering::Relaxed).max(taken).min(self.usable());
        for index in 0..end {
            let chunk = self.chunk(index);
            // Acquire pairs with the release in `open_chunk`: the owner is the one of this state.
            if chunk.state.load(Ordering::Acquire) == STATE_OWNED
                && !sys::thread_exists(pid, chunk.owner.load(Ordering::Relaxed))
            {
                // Pairs with the dead thread's release: whoever sees the chunk complete sees its last record as well.
                let _ = chunk.committed.load(Ordering::Acquire);
                self.complete(index);
            }
        }
        // Release: the looks are over.
        self.header().looking.fetch_sub(1, Ordering::Release);
    }

    fn open_chunk(&self, index: u32) -> Result<u32, Lost> {
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
                Ok(()) => drop(header.backed.fetch_max(index.wrapping_add(1), Ordering::Relaxed)),
                // Kernels before 5.14 do not know the advice: touch the pages as they come.
                Err(sys::Errno::EINVAL) => {}
                Err(_) => {
                    if let Some(bits) = header.free.get(index as usize / 64) {
                        bits.fetch_or(1 << (index % 64), Ordering::Release);
                    }
                    header.lost_memory.fetch_add(1, Ordering::Relaxed);
                    return Err(Lost::Memory);
                }
            }
        }
        if index >= RECLAIM_EVERY && index.is_multiple_of(RECLAIM_EVERY) {
            self.complete_orphans(index);
        }
        let chunk = self.chunk(index);
        chunk.owner.store(sys::gettid(), Ordering::Relaxed);
        // Release pairs with the reader's acquire: whoever counts this chunk sees what this thread did with those before.
        chunk.sequence.store(header.taken.fetch_add(1, Ordering::Release), Ordering::Relaxed);
        // Pairs with the reader's acquire load of the state: whoever sees it owned sees which chunk comes after which.
        chunk.state.store(STATE_OWNED, Ordering::Release);
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
