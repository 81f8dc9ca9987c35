//! The protocol of the chunks, and of the wake-up, under loom, which tries every interleaving and every reordering that the orderings allow.
//!
//! The code that ships is tried in `shipped`. This is a model of it, step by step like [`super::writer`] and
//! [`super::reader`], in which each ordering can be weakened: that a wrong one would be noticed is what it is for. Whoever
//! changes an ordering there changes it here.
//!
//! Loom looks for interleavings by the last access to each object, so that a thread's load right before its own store
//! hides what others did there before. So the owner of a chunk keeps the committed length at hand here, which nobody
//! else changes meanwhile, and begins to take a chunk with a guess.

use super::layout::{LANE_TAKEN, LANE_WAITS, STATE_COMPLETE, STATE_FREE, STATE_OWNED};
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::thread;
use std::vec::Vec;

/// The orderings that the protocol rests on.
#[derive(Clone, Copy)]
struct Orderings {
    /// `Ring::write_into` publishes the committed length.
    publish: Ordering,
    /// `Reader::drain` reads it.
    see_published: Ordering,
    /// `Ring::complete`.
    complete: Ordering,
    /// `Ring::open_chunk` marks a chunk as owned.
    own: Ordering,
    /// `Ring::open_chunk` counts that a chunk is taken.
    count: Ordering,
    /// `Reader::chunks_in_use` looks how many were.
    see_count: Ordering,
    /// `Reader` reads the state.
    see_state: Ordering,
    /// `Reader::drain` sets the bit of a chunk that it gives back.
    give_back: Ordering,
    /// `Ring::take_chunk` takes the bit.
    take: Ordering,
    /// `Ring::take_lane`.
    enter: Ordering,
    /// `Ring::leave_lane`.
    leave: Ordering,
}

const REAL: Orderings = Orderings {
    publish: Ordering::Release,
    see_published: Ordering::Acquire,
    complete: Ordering::Release,
    own: Ordering::Release,
    count: Ordering::Release,
    see_count: Ordering::Acquire,
    see_state: Ordering::Acquire,
    give_back: Ordering::Release,
    take: Ordering::Acquire,
    enter: Ordering::Acquire,
    leave: Ordering::Release,
};

struct Chunk<const CAPACITY: usize> {
    committed: AtomicU32,
    state: AtomicU32,
    sequence: AtomicU64,
    records: [UnsafeCell<u32>; CAPACITY],
}

struct Memory<const CHUNKS: usize, const CAPACITY: usize> {
    free: AtomicU64,
    taken: AtomicU64,
    lane: AtomicU32,
    chunks: [Chunk<CAPACITY>; CHUNKS],
    orderings: Orderings,
}

// SAFETY: what loom is here to find out: it reports any access to a cell that races with another.
unsafe impl<const CHUNKS: usize, const CAPACITY: usize> Sync for Memory<CHUNKS, CAPACITY> {}
// SAFETY: as above.
unsafe impl<const CHUNKS: usize, const CAPACITY: usize> Send for Memory<CHUNKS, CAPACITY> {}

impl<const CHUNKS: usize, const CAPACITY: usize> Memory<CHUNKS, CAPACITY> {
    fn new(orderings: Orderings) -> Self {
        let chunk = || Chunk {
            committed: AtomicU32::new(0),
            state: AtomicU32::new(STATE_FREE),
            sequence: AtomicU64::new(0),
            records: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        let free = AtomicU64::new((1 << CHUNKS) - 1);
        let (taken, lane) = (AtomicU64::new(0), AtomicU32::new(0));
        Memory { free, taken, lane, chunks: std::array::from_fn(|_| chunk()), orderings }
    }

    /// `Ring::append_owned`: whether the record was written.
    fn append(&self, slot: &mut Option<Owned>, record: u32) -> bool {
        if let Some(full) = slot.take_if(|owned| owned.committed as usize == CAPACITY) {
            self.chunks[full.index].state.store(STATE_COMPLETE, self.orderings.complete);
        }
        if slot.is_none() {
            *slot = self.take_chunk();
        }
        let Some(owned) = slot else { return false };
        self.write_into(owned, record);
        true
    }

    /// `Ring::write_into`.
    fn write_into(&self, owned: &mut Owned, record: u32) {
        let chunk = &self.chunks[owned.index];
        // SAFETY: as in `Ring::write_into`; loom checks it.
        chunk.records[owned.committed as usize].with_mut(|place| unsafe { *place = record });
        owned.committed += 1;
        chunk.committed.store(owned.committed, self.orderings.publish);
    }

    /// `Ring::enter_lane` and `Ring::leave_lane`, of a thread that looks once whether another one is in the lane, and waits for
    /// nobody: whether the record was written.
    fn append_shared(&self, moves: &mut bool, record: u32) -> bool {
        let (mut owned, seen, is_new) = match self.take_lane(*moves) {
            Some((owned, seen)) => (owned, seen, false),
            None => match self.take_chunk() {
                Some(owned) => (owned, LANE_WAITS, true),
                None => {
                    let _ = self.lane.compare_exchange(LANE_WAITS, 0, self.orderings.leave, Ordering::Relaxed);
                    return false;
                }
            },
        };
        self.write_into(&mut owned, record);
        let next = owned.index as u32 + 1;
        let is_the_lanes = self.lane.compare_exchange(seen, next, self.orderings.leave, Ordering::Relaxed).is_ok();
        if !is_the_lanes {
            self.chunks[owned.index].state.store(STATE_COMPLETE, self.orderings.complete);
        }
        *moves = is_new && !is_the_lanes;
        true
    }

    /// `Ring::take_lane`.
    fn take_lane(&self, moves: bool) -> Option<(Owned, u32)> {
        // Each round that is not the last one is another thread's step.
        for _ in 0..3 {
            let seen = self.lane.load(Ordering::Relaxed);
            if seen == LANE_WAITS {
                return None;
            }
            let taken = seen | LANE_TAKEN;
            let next = if seen == taken { LANE_WAITS } else { taken };
            if self.lane.compare_exchange(seen, next, self.orderings.enter, Ordering::Relaxed).is_err() {
                continue;
            }
            if next == LANE_WAITS {
                return None;
            }
            if let Some(index) = seen.checked_sub(1) {
                let chunk = &self.chunks[index as usize];
                let committed = chunk.committed.load(Ordering::Relaxed);
                if !moves && (committed as usize) < CAPACITY {
                    return Some((Owned { index: index as usize, committed }, taken));
                }
                chunk.state.store(STATE_COMPLETE, self.orderings.complete);
            }
            if self.lane.compare_exchange(taken, LANE_WAITS, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return None;
            }
        }
        None
    }

    /// `Ring::take_chunk` and `Ring::open_chunk`.
    fn take_chunk(&self) -> Option<Owned> {
        let mut seen = (1u64 << CHUNKS) - 1;
        while seen != 0 {
            let bit = seen.trailing_zeros();
            let without = seen & !(1 << bit);
            match self.free.compare_exchange_weak(seen, without, self.orderings.take, Ordering::Relaxed) {
                Ok(_) => {
                    let index = bit as usize;
                    let chunk = &self.chunks[index];
                    let sequence = self.taken.fetch_add(1, self.orderings.count);
                    chunk.sequence.store(sequence, Ordering::Relaxed);
                    chunk.state.store(STATE_OWNED, self.orderings.own);
                    return Some(Owned { index, committed: chunk.committed.load(Ordering::Relaxed) });
                }
                Err(now) => seen = now,
            }
        }
        None
    }
}

/// A writer's chunk.
struct Owned {
    index: usize,
    committed: u32,
}

/// `Reader`: how much of each chunk has been read, and what.
struct Reader<const CHUNKS: usize> {
    read: [u32; CHUNKS],
    records: Vec<u32>,
}

impl<const CHUNKS: usize> Reader<CHUNKS> {
    fn new() -> Self {
        Reader { read: [0; CHUNKS], records: Vec::new() }
    }

    /// `Reader::chunks_in_use`.
    fn chunks_in_use<const CAPACITY: usize>(memory: &Memory<CHUNKS, CAPACITY>) -> Vec<(u64, usize)> {
        let before = memory.taken.load(memory.orderings.see_count);
        let is_taken = |index: &usize| {
            memory.free.load(Ordering::Acquire) & (1 << index) == 0
                && memory.chunks[*index].state.load(memory.orderings.see_state) != STATE_FREE
        };
        let mut chunks: Vec<_> = (0..CHUNKS)
            .filter(is_taken)
            .map(|index| (memory.chunks[index].sequence.load(Ordering::Relaxed), index))
            .filter(|(sequence, _)| *sequence < before)
            .collect();
        chunks.sort_unstable();
        chunks
    }

    /// `Reader::drain`.
    fn drain<const CAPACITY: usize>(&mut self, memory: &Memory<CHUNKS, CAPACITY>) {
        for (_, index) in Self::chunks_in_use(memory) {
            let (chunk, read) = (&memory.chunks[index], &mut self.read[index]);
            let state = chunk.state.load(memory.orderings.see_state);
            let committed = chunk.committed.load(memory.orderings.see_published);
            assert!(committed >= *read, "the committed length went back");
            for record in &chunk.records[*read as usize..committed as usize] {
                // SAFETY: as in `Reader::drain`; loom checks it.
                self.records.push(record.with(|place| unsafe { *place }));
            }
            if state == STATE_COMPLETE {
                chunk.committed.store(0, Ordering::Relaxed);
                chunk.state.store(STATE_FREE, Ordering::Relaxed);
                memory.free.fetch_or(1 << index, memory.orderings.give_back);
                *read = 0;
            } else {
                *read = committed;
            }
        }
    }
}

/// Writers append `each` records while the reader drains; afterwards every record that was taken has come out once, those
/// of a writer in order. Each has a chunk to itself, or all share one.
fn check<const CHUNKS: usize, const CAPACITY: usize>(orderings: Orderings, writers: u32, each: u32, share: bool) {
    let mut model = loom::model::Builder::new();
    // Two are enough for every fault that the last test makes; with three the tests would take minutes.
    model.preemption_bound = Some(2);
    model.check(move || {
        let memory: Arc<Memory<CHUNKS, CAPACITY>> = Arc::new(Memory::new(orderings));
        let write = |writer: u32| {
            let memory = memory.clone();
            thread::spawn(move || {
                let (mut slot, mut moves) = (None, false);
                let mut append = |record| match share {
                    true => memory.append_shared(&mut moves, record),
                    false => memory.append(&mut slot, record),
                };
                let records = (1..=each).map(|number| writer * 100 + number);
                records.filter(|record| append(*record)).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (1..=writers).map(write).collect();
        let mut reader = Reader::new();
        reader.drain(&memory);
        reader.drain(&memory);
        let written: Vec<Vec<u32>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        reader.drain(&memory);
        for (writer, written) in (1..).zip(&written) {
            let of_writer = reader.records.iter().filter(|record| *record / 100 == writer);
            assert!(of_writer.eq(written), "written {written:?}, read {:?}", reader.records);
        }
        assert_eq!(reader.records.len(), written.iter().map(Vec::len).sum::<usize>());
    });
}

/// One writer goes through chunks while they are drained and given back.
#[test]
fn a_writer_and_the_reader_lose_nothing() {
    check::<1, 2>(REAL, 1, 4, false);
    check::<2, 1>(REAL, 1, 4, false);
}

/// A chunk that one writer has completed goes to the other through the reader's hands.
#[test]
fn two_writers_share_the_chunks_without_loss() {
    check::<1, 1>(REAL, 2, 2, false);
    check::<2, 1>(REAL, 2, 2, false);
}

/// Two writers write into one chunk by turns, and do not wait for each other.
#[test]
fn two_writers_share_a_lane_without_loss() {
    check::<2, 2>(REAL, 2, 1, true);
    check::<2, 1>(REAL, 2, 1, true);
}

/// Each of the orderings is needed, and the model notices when one is not there.
#[test]
fn every_weaker_ordering_is_noticed() {
    const RELAXED: Ordering = Ordering::Relaxed;
    let is_noticed = |name: &str, check: &dyn Fn()| {
        let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(check));
        assert!(outcome.is_err(), "{name} is relaxed, and nothing went wrong");
    };
    for (name, weaker) in [
        ("publish", Orderings { publish: RELAXED, ..REAL }),
        ("see_published", Orderings { see_published: RELAXED, ..REAL }),
        ("complete", Orderings { complete: RELAXED, ..REAL }),
        ("own", Orderings { own: RELAXED, ..REAL }),
        ("count", Orderings { count: RELAXED, ..REAL }),
        ("see_count", Orderings { see_count: RELAXED, ..REAL }),
        ("see_state", Orderings { see_state: RELAXED, ..REAL }),
        ("give_back", Orderings { give_back: RELAXED, ..REAL }),
        ("take", Orderings { take: RELAXED, ..REAL }),
    ] {
        is_noticed(name, &|| check::<2, 1>(weaker, 1, 3, false));
    }
    for (name, weaker) in
        [("enter", Orderings { enter: RELAXED, ..REAL }), ("leave", Orderings { leave: RELAXED, ..REAL })]
    {
        is_noticed(name, &|| check::<2, 3>(weaker, 2, 1, true));
    }
}

/// The sidecar sleeps on a word (`doorbell.rs` there, `Ring::wake_sidecar` here). The kernel's queue is a lock under which it
/// looks at the word once more; whoever wakes takes the lock after the word.
struct Bed {
    asleep: AtomicU32,
    queue: Mutex<u32>,
    woken: Condvar,
}

impl Bed {
    fn wake(&self) {
        if self.asleep.load(Ordering::Relaxed) != 0 && self.asleep.swap(0, Ordering::Relaxed) != 0 {
            *self.queue.lock().unwrap() += 1;
            self.woken.notify_one();
        }
    }

    /// `futex_waitv`: returns at once where the word is not what it was to be.
    fn sleep(&self) {
        let mut calls = self.queue.lock().unwrap();
        while self.asleep.load(Ordering::Relaxed) == 1 {
            calls = self.woken.wait(calls).unwrap();
        }
    }
}

/// Two writers see that the sidecar is about to sleep: it wakes up, however they meet, and one of them alone makes the call.
#[test]
fn who_is_seen_to_sleep_is_woken_by_one_call() {
    loom::model(|| {
        let bed = Arc::new(Bed { asleep: AtomicU32::new(0), queue: Mutex::new(0), woken: Condvar::new() });
        bed.asleep.store(1, Ordering::Relaxed);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let bed = Arc::clone(&bed);
                thread::spawn(move || bed.wake())
            })
            .collect();
        // Would be a deadlock, which loom finds, if it were not woken.
        bed.sleep();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(*bed.queue.lock().unwrap(), 1);
    });
}
