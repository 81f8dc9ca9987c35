//! More threads than there are chunks.

use super::*;
use crate::ring::layout::{LANES, MOST_HELD};
use core::sync::atomic::Ordering;
use std::sync::Barrier;

/// So many threads live at once, and record three times. All of it comes out, that of each in order.
fn threads_that_live_together(ring: Ring, reader: &mut Reader, threads: u64) {
    let base = ring.base().as_ptr() as usize;
    let barrier = &Barrier::new(threads as usize);
    let mut read = Vec::new();
    let written: usize = thread::scope(|scope| {
        let work = |number: u64| {
            move || {
                // SAFETY: initialised by `pair`; the mapping outlives the scope.
                let ring = unsafe { Ring::attach(NonNull::new(base as *mut u8).unwrap()) };
                let slot = ThreadSlot::new();
                let append = |round: u64| {
                    barrier.wait();
                    ring.append(&slot, |record| record.close(SpanId(number * 10 + round), round)).is_ok()
                };
                let written = (1..=3).filter(|round| append(*round)).count();
                barrier.wait();
                written
            }
        };
        let spawn = |number| thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, work(number)).unwrap();
        let threads: Vec<_> = (1..=threads).map(spawn).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            read.extend(drain_ids(reader));
            thread::sleep(core::time::Duration::from_millis(1));
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    read.extend(drain_ids(reader));
    assert_eq!((written, read.len()), (3 * threads as usize, 3 * threads as usize));
    // By thread, and otherwise as they came.
    read.sort_by_key(|id| id / 10);
    let expected = (1..=threads).flat_map(|number| (1..=3).map(move |round| number * 10 + round));
    assert!(read.into_iter().eq(expected));
}

#[test]
#[cfg_attr(miri, ignore = "needs more threads than miri has patience for")]
fn more_threads_live_than_there_are_chunks() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    threads_that_live_together(ring, &mut reader, CHUNK_COUNT as u64 + 200);
    assert_eq!(ring.header().held.load(Ordering::Relaxed), MOST_HELD);
    // Those that come later find that these have ended.
    let base = ring.base().as_ptr() as usize;
    for id in 1..=200 {
        let work = move || {
            // SAFETY: as above.
            let ring = unsafe { Ring::attach(NonNull::new(base as *mut u8).unwrap()) };
            ring.append(&ThreadSlot::new(), |record| record.close(SpanId(id), 1)).unwrap();
        };
        thread::spawn(work).join().unwrap();
    }
    assert_eq!(drain_ids(&mut reader).len(), 200);
    assert!(ring.header().held.load(Ordering::Relaxed) < 300);
}

#[test]
#[cfg_attr(miri, ignore = "needs more threads than miri has patience for")]
fn more_threads_live_than_there_are_few_chunks() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    ring.keep(FEW_CHUNKS);
    threads_that_live_together(ring, &mut reader, 3 * FEW_CHUNKS as u64);
}

/// Slots of which two, as told, have the same lane.
fn neighbours(ring: Ring) -> (Vec<ThreadSlot>, usize, usize) {
    let slots: Vec<_> = (0..=LANES).map(|_| ThreadSlot::new()).collect();
    let lanes: Vec<_> = slots.iter().map(|slot| core::ptr::from_ref(ring.lane(slot))).collect();
    let pair = |index: usize| lanes[..index].iter().position(|lane| *lane == lanes[index]).map(|other| (other, index));
    let (one, other) = (0..lanes.len()).find_map(pair).expect("there are fewer lanes than slots");
    (slots, one, other)
}

fn append(ring: Ring, slot: &ThreadSlot, id: u64) {
    assert_eq!(ring.append(slot, |record| record.amend(SpanId(id))), Ok(()));
}

#[test]
fn a_threads_records_stay_in_order_when_it_comes_to_a_lane() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let (slots, one, other) = neighbours(ring);
    let most = |held: u32| ring.header().most_held.store(held, Ordering::Relaxed);
    most(0);
    append(ring, &slots[other], 1);
    most(1);
    append(ring, &slots[one], 2);
    let text = std::vec![b'x'; MAX_RECORD - 64];
    for id in 3..=4 {
        let large = |record: &mut crate::record::RecordWriter| {
            record.amend(SpanId(id));
            record.text(Key::Name, &text);
        };
        assert_eq!(ring.append(&slots[one], large), Ok(()));
        // The second one does not fit any more, and the thread may not have another chunk.
        most(0);
    }
    append(ring, &slots[one], 5);
    append(ring, &slots[other], 6);
    assert_eq!(drain_ids(&mut reader), [1, 2, 3, 4, 5, 6]);
    assert_eq!(ring.header().held.load(Ordering::Relaxed), 0);
    // And back to one of its own.
    most(1);
    append(ring, &slots[one], 7);
    append(ring, &slots[other], 8);
    assert_eq!(drain_ids(&mut reader), [8, 7]);
}

#[test]
fn nobody_waits_for_a_thread_that_stopped_in_its_lane() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let (slots, one, other) = neighbours(ring);
    ring.header().most_held.store(0, Ordering::Relaxed);
    append(ring, &slots[other], 1);
    let midst = |record: &mut crate::record::RecordWriter| {
        append(ring, &slots[other], 2);
        append(ring, &slots[other], 3);
        assert_eq!(drain_ids(&mut reader), [1, 2, 3]);
        record.amend(SpanId(4));
    };
    assert_eq!(ring.append(&slots[one], midst), Ok(()));
    append(ring, &slots[other], 5);
    append(ring, &slots[one], 6);
    assert_eq!(drain_ids(&mut reader), [4, 5, 6]);
    // The chunk of the one that was stopped has come back, and the lane's is the only one that is in use.
    assert_eq!(ring.header().free[0].load(Ordering::Relaxed).count_zeros(), 1);
}

#[test]
fn a_full_ring_lets_go_of_its_lanes() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    ring.keep(1);
    let (slots, one, other) = neighbours(ring);
    assert_eq!(ring.header().most_held.load(Ordering::Relaxed), 0);
    let text = std::vec![b'x'; MAX_RECORD - 64];
    let large = |record: &mut crate::record::RecordWriter| {
        record.amend(SpanId(1));
        record.text(Key::Name, &text);
    };
    assert_eq!(ring.append(&slots[one], large), Ok(()));
    assert_eq!(ring.append(&slots[other], large), Err(Lost::Full));
    assert_eq!(ring.append(&slots[one], large), Err(Lost::Full));
    assert_eq!(drain_ids(&mut reader), [1]);
    append(ring, &slots[other], 2);
    append(ring, &slots[one], 3);
    assert_eq!(drain_ids(&mut reader), [2, 3]);
}
