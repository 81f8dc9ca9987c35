//! The sidecar's side of the ring. Everything in the memory is untrusted input.

use super::layout::{
    BITMAP_WORDS, CHUNK_CAPACITY, CHUNK_COUNT, CHUNK_HEADER_SIZE, CONTROL_STOP, CONTROL_STOP_PROCESS_SPANS, ChunkHeader,
    HEADER_SIZE, Header, MAGIC, RING_SIZE, STATE_COMPLETE, STATE_FREE, VERSION, chunk_offset,
};
use super::rates;
use core::fmt;
use core::ptr::NonNull;
use crate::sync::{AtomicU64, Ordering};
use std::vec;
use std::vec::Vec;

/// Why a ring cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Corrupt {
    /// Not a ring, or one of another release.
    Foreign,
    /// A committed length that is impossible: beyond the chunk, or smaller than before.
    Length,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Corrupt::Foreign => "the shared memory is not a ring of this release",
            Corrupt::Length => "the shared memory has an impossible committed length",
        })
    }
}

/// What one look at a ring brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drained {
    /// Bytes of records.
    pub bytes: usize,
    /// Records that the process could not write since the ring was made.
    pub lost: u64,
    /// There was no room for all that is in it.
    pub is_cut_short: bool,
}

/// Reads one process's ring.
pub struct Reader {
    base: NonNull<u8>,
    /// How much of each chunk has been read; private, so that the process cannot change it.
    read: Vec<u32>,
    /// How often the rates were written; private for the same reason.
    rates_written: u32,
}

// SAFETY: the reader owns its mapping; the memory behind it is accessed by atomics and copies only.
unsafe impl Send for Reader {}

impl Reader {
    /// Reads the ring at `base`.
    ///
    /// # Errors
    ///
    /// [`Corrupt::Foreign`] where the header is not one of this release.
    ///
    /// # Safety
    ///
    /// `base` is the page-aligned start of a writable mapping of [`RING_SIZE`] bytes that cannot be truncated and
    /// stays until the `Reader` is dropped.
    pub unsafe fn new(base: NonNull<u8>) -> Result<Reader, Corrupt> {
        let reader = Reader { base, read: vec![0; CHUNK_COUNT], rates_written: 0 };
        let header = reader.header();
        // Pairs with the release store in Ring::initialise.
        let known = header.magic.load(Ordering::Acquire) == !MAGIC
            && header.version.load(Ordering::Relaxed) == VERSION
            && header.header_size.load(Ordering::Relaxed) as usize == HEADER_SIZE
            && header.chunk_count.load(Ordering::Relaxed) as usize == CHUNK_COUNT;
        if known { Ok(reader) } else { Err(Corrupt::Foreign) }
    }

    /// The start of the mapping, [`RING_SIZE`] bytes long.
    #[must_use]
    pub fn mapping(&self) -> (NonNull<u8>, usize) {
        (self.base, RING_SIZE)
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, lives as long as self and starts with a header of atomics only.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    #[expect(clippy::indexing_slicing, reason = "the index is bounded in the same expression")]
    fn free_word(&self, word: usize) -> &AtomicU64 {
        // CHUNK_COUNT chunks need no more words than there are.
        &self.header().free[word.min(BITMAP_WORDS - 1)]
    }

    fn chunk(&self, index: usize) -> &ChunkHeader {
        // SAFETY: `index` comes from iterating over the CHUNK_COUNT chunks of the mapping; atomics only.
        unsafe { self.base.add(chunk_offset(index as u32)).cast::<ChunkHeader>().as_ref() }
    }

    /// Tells the process to record nothing any more.
    pub fn stop(&self) {
        self.header().control.fetch_or(CONTROL_STOP, Ordering::Relaxed);
    }

    /// Tells the process that processes are no spans any more; everything else it goes on recording.
    pub fn stop_process_spans(&self) {
        self.header().control.fetch_or(CONTROL_STOP_PROCESS_SPANS, Ordering::Relaxed);
    }

    /// Tells the process the Agent's sampling rates, by [`rate_key`](super::rate_key), in the place of those before.
    /// What finds no room is left out.
    pub fn set_rates(&mut self, rates: &[(u64, f64)]) {
        self.rates_written = self.rates_written.wrapping_add(2);
        rates::write(self.header(), self.rates_written, rates);
    }

    /// Hands all that is committed and not yet read to `take`, chunk by chunk in the order in which they were taken, and
    /// gives finished chunks back. So the records of a thread come in its order, in one call and from one to the next.
    ///
    /// # Errors
    ///
    /// [`Corrupt::Length`]; what was handed out before stays valid.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> Result<Drained, Corrupt> {
        self.drain_while(|bytes| {
            take(bytes);
            true
        })
    }

    /// As [`Reader::drain`], until `take` says that it has no room: what it was offered last stays in the ring then, with
    /// all that comes after, for the next time.
    ///
    /// # Errors
    ///
    /// As [`Reader::drain`].
    pub fn drain_while(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> Result<Drained, Corrupt> {
        let mut drained = Drained::default();
        let mut copy = Vec::new();
        for (_, index) in self.chunks_in_use() {
            let (word, bit) = (index / 64, 1u64 << (index % 64));
            let chunk = self.chunk(index);
            // The state first: if it says complete, the length read after it is final (pairs with Ring::complete).
            let state = chunk.state.load(Ordering::Acquire);
            // Pairs with the release store in Ring::write_into.
            let committed = chunk.committed.load(Ordering::Acquire);
            let read = self.read.get(index).copied().unwrap_or_default();
            if committed as usize > CHUNK_CAPACITY || committed < read {
                return Err(Corrupt::Length);
            }
            if committed > read {
                copy.resize((committed - read) as usize, 0u8);
                chunk.bytes.read(read, committed);
                // SAFETY: [read, committed) lies inside the chunk (checked above). The process may change the bytes
                // meanwhile; they are copied as raw bytes through pointers and parsed only from the private copy.
                unsafe {
                    let start = self.base.add(chunk_offset(index as u32) + CHUNK_HEADER_SIZE + read as usize);
                    core::ptr::copy_nonoverlapping(start.as_ptr(), copy.as_mut_ptr(), copy.len());
                }
                if !take(&copy) {
                    drained.is_cut_short = true;
                    break;
                }
                drained.bytes += copy.len();
            }
            let finished = state == STATE_COMPLETE;
            if finished {
                chunk.committed.store(0, Ordering::Relaxed);
                chunk.state.store(STATE_FREE, Ordering::Relaxed);
                // Pairs with the acquire in Ring::take_chunk: the next owner finds the header reset.
                self.free_word(word).fetch_or(bit, Ordering::Release);
            }
            if let Some(read) = self.read.get_mut(index) {
                *read = if finished { 0 } else { committed };
            }
        }
        let header = self.header();
        drained.lost = [&header.lost_full, &header.lost_memory, &header.lost_large]
            .iter()
            .fold(0u64, |sum, counter| sum.saturating_add(counter.load(Ordering::Relaxed)));
        Ok(drained)
    }

    /// The chunks that may have something to read, the one that was taken first at the front. A thread takes a chunk
    /// when it is through with the one before, but not always one that lies behind it.
    ///
    /// Those that are taken while this looks around are left for the next time: one that a thread filled after it was
    /// found free would come after that thread's next one.
    fn chunks_in_use(&self) -> Vec<(u64, usize)> {
        // Pairs with the release in Ring::open_chunk.
        let before = self.header().taken.load(Ordering::Acquire);
        let is_taken = |index: &usize| {
            let free = self.free_word(index / 64).load(Ordering::Acquire) & (1u64 << (index % 64)) != 0;
            // Acquire pairs with the release in Ring::open_chunk: the sequence is the one of this owner.
            !free && self.chunk(*index).state.load(Ordering::Acquire) != STATE_FREE
        };
        // A look at the others would allocate them. 0 is a process of a release that did not say.
        let usable = match self.header().usable.load(Ordering::Relaxed) as usize {
            0 => CHUNK_COUNT,
            usable => usable.min(CHUNK_COUNT),
        };
        let taken = (0..usable).filter(is_taken);
        let mut chunks: Vec<_> = taken
            .map(|index| (self.chunk(index).sequence.load(Ordering::Relaxed), index))
            .filter(|(sequence, _)| *sequence < before)
            .collect();
        chunks.sort_unstable();
        chunks
    }
}
