//! The code that ships, writer and reader and rates, under loom: every interleaving that the bounds of the search allow,
//! and every reordering that the orderings allow.
//!
//! The ring lies in memory of the test's own, with loom's atomics in the places of the real ones, two chunks and two
//! records in each. [`super::model`] is smaller, and shows that a weaker ordering would be noticed.

use super::layout::{CHUNK_COUNT, ChunkHeader, Header, RING_SIZE, chunk_offset};
use super::{Lost, Reader, Ring, ThreadSlot};
use crate::ids::SpanId;
use crate::record::records;
use crate::sampling::AgentRates;
use crate::sync::Ordering;
use core::ptr::NonNull;
use loom::thread;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::vec::Vec;

/// Memory for a ring, as a fresh memfd would be.
struct Memory(NonNull<u8>);

impl Memory {
    fn layout() -> Layout {
        Layout::from_size_align(RING_SIZE, 4096).unwrap()
    }

    fn new() -> Memory {
        // SAFETY: the layout is not empty; the places of the headers lie inside of it and are aligned to a page or to
        // the size of a chunk, a multiple of eight.
        unsafe {
            let base = NonNull::new(alloc_zeroed(Memory::layout())).unwrap();
            base.cast::<Header>().write(Header::zeroed());
            for index in 0..CHUNK_COUNT as u32 {
                base.add(chunk_offset(index)).cast::<ChunkHeader>().write(ChunkHeader::zeroed());
            }
            Memory(base)
        }
    }

    fn pair(&self) -> (Ring, Reader) {
        // SAFETY: a zeroed ring that outlives both in each test.
        unsafe { (Ring::initialise(self.0, CHUNK_COUNT as u32), Reader::new(self.0).unwrap()) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by `new`; threads, rings and readers are gone. loom forgets its atomics with each execution.
        unsafe {
            for index in 0..CHUNK_COUNT as u32 {
                self.0.add(chunk_offset(index)).cast::<ChunkHeader>().drop_in_place();
            }
            self.0.cast::<Header>().drop_in_place();
            dealloc(self.0.as_ptr(), Memory::layout());
        }
    }
}

fn try_all(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 10_000;
    model.check(run);
}

fn drain(reader: &mut Reader, into: &mut Vec<u64>) {
    reader.drain(|bytes| into.extend(records(bytes).map(|record| record.unwrap().span_id.0))).unwrap();
}

/// A ring that another thread of the test may have.
#[derive(Clone, Copy)]
struct Shared(Ring);
// SAFETY: the ring is made for being written by many threads; this is what is tried here.
unsafe impl Send for Shared {}

/// Writers append `each` records while the reader drains: what was taken comes out once, those of a writer in order. So many
/// of them may have a chunk to themselves.
fn writers_against_reader(writers: u64, each: u64, most_held: u32) {
    let memory = Memory::new();
    let (ring, mut reader) = memory.pair();
    ring.header().most_held.store(most_held, Ordering::Relaxed);
    let ring = Shared(ring);
    let write = |writer: u64| {
        thread::spawn(move || {
            let ring = ring;
            let slot = ThreadSlot::new();
            let ids = (1..=each).map(|number| writer * 100 + number);
            let written = ids.filter(|id| {
                let result = ring.0.append(&slot, |record| record.close(SpanId(*id), *id));
                assert!(matches!(result, Ok(()) | Err(Lost::Full)), "{result:?}");
                result.is_ok()
            });
            written.collect::<Vec<_>>()
        })
    };
    let threads: Vec<_> = (1..=writers).map(write).collect();
    let mut read = Vec::new();
    drain(&mut reader, &mut read);
    drain(&mut reader, &mut read);
    let written: Vec<Vec<u64>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    drain(&mut reader, &mut read);
    for (writer, written) in (1..).zip(&written) {
        let of_writer = read.iter().filter(|id| *id / 100 == writer);
        assert!(of_writer.eq(written), "written {written:?}, read {read:?}");
    }
    assert_eq!(read.len(), written.iter().map(Vec::len).sum::<usize>());
}

#[test]
fn one_writer_goes_through_chunks_while_they_are_drained_and_given_back() {
    try_all(2, || writers_against_reader(1, 5, 2));
}

#[test]
fn two_writers_share_the_free_chunks() {
    try_all(2, || writers_against_reader(2, 2, 2));
}

#[test]
fn three_writers_meet_at_two_chunks() {
    try_all(1, || writers_against_reader(3, 1, 2));
}

#[test]
fn two_writers_share_a_lane() {
    try_all(2, || writers_against_reader(2, 1, 0));
    try_all(1, || writers_against_reader(2, 2, 0));
}

#[test]
fn three_writers_share_a_lane() {
    try_all(1, || writers_against_reader(3, 1, 0));
}

#[test]
fn a_writer_with_a_chunk_to_itself_meets_one_that_has_none() {
    try_all(1, || writers_against_reader(2, 2, 1));
}

#[test]
fn a_word_from_the_sidecar_stops_the_writer_and_loses_nothing() {
    try_all(3, || {
        let memory = Memory::new();
        let (ring, mut reader) = memory.pair();
        let ring = Shared(ring);
        let writer = thread::spawn(move || {
            let ring = ring;
            let slot = ThreadSlot::new();
            (1..=3).take_while(|id| ring.0.append(&slot, |record| record.close(SpanId(*id), 1)).is_ok()).count()
        });
        reader.stop();
        let mut read = Vec::new();
        drain(&mut reader, &mut read);
        let written = writer.join().unwrap();
        drain(&mut reader, &mut read);
        assert_eq!(read, (1..=written as u64).collect::<Vec<_>>());
    });
}

#[test]
fn no_reader_of_rates_sees_parts_of_two_tables() {
    try_all(3, || {
        let memory = Memory::new();
        let (ring, mut reader) = memory.pair();
        let key = super::rate_key(b"a", b"");
        let default = super::rate_key(b"", b"");
        // The wanted key stands in one table only, behind another's rate.
        reader.set_rates(&[(1, 0.125), (key, 0.25)]);
        let ring = Shared(ring);
        let process = thread::spawn(move || {
            let ring = ring;
            for _ in 0..2 {
                let rate = ring.0.rates().rate(b"a", b"");
                assert!([Some(0.25), Some(0.75), None].contains(&rate), "{rate:?}");
            }
        });
        reader.set_rates(&[(default, 0.75)]);
        process.join().unwrap();
        assert_eq!(ring.0.rates().rate(b"a", b""), Some(0.75));
    });
}
