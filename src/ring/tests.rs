use super::layout::{CHUNK_COUNT, FEW_CHUNKS, MAX_RATES, MAX_RECORD, RING_SIZE, bytes_of};
use super::*;
use crate::ids::SpanId;
use crate::record::records;
use crate::sampling::{AgentRateTable, AgentRates};
use crate::semconv::Key;
#[cfg(not(miri))]
use crate::sys;
use core::ptr::NonNull;
use std::thread;
use std::vec::Vec;

mod lanes;

struct Mapping(NonNull<u8>);

#[cfg(not(miri))]
impl Mapping {
    fn new() -> Mapping {
        Mapping(sys::map_private(RING_SIZE).unwrap())
    }
}

#[cfg(not(miri))]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `new`; the tests drop their rings and readers first.
        unsafe { sys::unmap(self.0, RING_SIZE) };
    }
}

/// Miri maps no memory: to it the ring is in the heap, as zero and as aligned as fresh pages are.
#[cfg(miri)]
mod in_the_heap {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    fn layout() -> Layout {
        Layout::from_size_align(RING_SIZE, 4096).unwrap()
    }

    impl Mapping {
        pub(super) fn new() -> Mapping {
            // SAFETY: the layout is not empty.
            Mapping(NonNull::new(unsafe { alloc_zeroed(layout()) }).unwrap())
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: made by `new` with this layout; the tests drop their rings and readers first.
            unsafe { dealloc(self.0.as_ptr(), layout()) };
        }
    }
}

fn pair(mapping: &Mapping) -> (Ring, Reader) {
    // SAFETY: a fresh zeroed mapping of the ring's size that outlives both in each test.
    unsafe { (Ring::initialise(mapping.0, 1), Reader::new(mapping.0).unwrap()) }
}

fn drain_ids(reader: &mut Reader) -> Vec<u64> {
    let mut ids = Vec::new();
    reader.drain(|bytes| ids.extend(records(bytes).map(|record| record.unwrap().span_id.0))).unwrap();
    ids
}

#[test]
fn records_come_out_once_and_in_order() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let slot = ThreadSlot::new();
    for id in 1..=3 {
        ring.append(&slot, |record| record.close(SpanId(id), id)).unwrap();
    }
    assert_eq!(drain_ids(&mut reader), [1, 2, 3]);
    assert_eq!(drain_ids(&mut reader), [0u64; 0]);
    ring.append(&slot, |record| record.close(SpanId(4), 4)).unwrap();
    assert_eq!(drain_ids(&mut reader), [4]);
}

#[test]
#[cfg_attr(miri, ignore = "fills the whole ring, which takes hours there")]
fn what_there_is_no_room_for_stays_for_the_next_time() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let slot = ThreadSlot::new();
    for id in 1..=3 * MAX_RECORD as u64 {
        ring.append(&slot, |record| record.close(SpanId(id), id)).unwrap();
    }
    let mut seen = 0;
    let mut rounds = 0u64;
    loop {
        // There is room for one chunk each time.
        let mut room = 1;
        let drained = reader.drain_while(|bytes| {
            room -= 1;
            if room == 0 {
                seen += records(bytes).count();
            }
            room == 0
        });
        rounds += 1;
        if !drained.unwrap().is_cut_short {
            break;
        }
    }
    assert_eq!(seen, 3 * MAX_RECORD);
    assert!(rounds > 10, "{rounds}");
    assert_eq!(drain_ids(&mut reader), [0u64; 0]);
}

#[test]
fn many_threads_lose_nothing_while_the_reader_drains() {
    const THREADS: u64 = 4;
    const RECORDS: u64 = if cfg!(miri) { 100 } else { 50_000 };
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let base = ring.base().as_ptr() as usize;
    let writers: Vec<_> = (0..THREADS)
        .map(|thread| {
            thread::spawn(move || {
                // SAFETY: initialised by `pair`; the mapping outlives the threads, which are joined below.
                let ring = unsafe { Ring::attach(NonNull::new(base as *mut u8).unwrap()) };
                let slot = ThreadSlot::new();
                let mut lost = 0u64;
                for number in 0..RECORDS {
                    let id = SpanId(thread * RECORDS + number + 1);
                    if ring.append(&slot, |record| record.close(id, number)).is_err() {
                        lost += 1;
                    }
                }
                lost
            })
        })
        .collect();
    let mut ids = Vec::new();
    while writers.iter().any(|writer| !writer.is_finished()) {
        ids.extend(drain_ids(&mut reader));
    }
    let lost: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    ids.extend(drain_ids(&mut reader));
    let mut counted = 0;
    reader.drain(|_| {}).map(|drained| counted = drained.lost).unwrap();
    assert_eq!(lost, counted);
    assert_eq!(ids.len() as u64 + lost, THREADS * RECORDS);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64 + lost, THREADS * RECORDS, "no record came out twice");
}

#[test]
#[cfg_attr(miri, ignore = "fills the whole ring, which takes hours there")]
fn chunks_of_ended_threads_come_back() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let base = ring.base().as_ptr() as usize;
    let mut ids = Vec::new();
    for id in 1..=3 * CHUNK_COUNT as u64 {
        thread::spawn(move || {
            // SAFETY: as in the test above.
            let ring = unsafe { Ring::attach(NonNull::new(base as *mut u8).unwrap()) };
            ring.append(&ThreadSlot::new(), |record| record.close(SpanId(id), id)).unwrap();
        })
        .join()
        .unwrap();
        if id % 100 == 0 {
            ids.extend(drain_ids(&mut reader));
        }
    }
    ids.extend(drain_ids(&mut reader));
    assert_eq!(ids.len(), 3 * CHUNK_COUNT);
}

#[test]
#[cfg_attr(miri, ignore = "fills the whole ring, which takes hours there")]
fn a_full_ring_counts_what_it_refuses_and_recovers() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let slot = ThreadSlot::new();
    let text = std::vec![b'x'; MAX_RECORD - 64];
    let mut written = 0u64;
    while ring.append(&slot, |record| {
        record.amend(SpanId(1));
        record.text(Key::Name, &text);
    }) == Ok(())
    {
        written += 1;
    }
    assert_eq!(written, CHUNK_COUNT as u64);
    assert_eq!(ring.append(&slot, |record| record.amend(SpanId(2))), Err(Lost::Full));
    let mut seen = 0u64;
    let drained = reader.drain(|bytes| seen += records(bytes).count() as u64).unwrap();
    assert_eq!((seen, drained.lost), (written, 2));
    assert_eq!(ring.append(&slot, |record| record.amend(SpanId(3))), Ok(()));
    assert_eq!(drain_ids(&mut reader), [3]);
}

#[test]
fn a_ring_of_few_chunks_is_one_all_the_same() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let slot = ThreadSlot::new();
    assert_eq!(ring.append(&slot, |record| record.amend(SpanId(1))), Ok(()));
    assert_eq!(ring.keep(FEW_CHUNKS), bytes_of(FEW_CHUNKS)..RING_SIZE);
    assert!(ring.keep(FEW_CHUNKS).is_empty() && ring.keep(CHUNK_COUNT).is_empty(), "nothing more is given up");
    assert_eq!(ring.append(&slot, |record| record.amend(SpanId(2))), Ok(()));
    assert_eq!(drain_ids(&mut reader), [1, 2]);
    // What is in use stays, and all below it.
    assert_eq!(ring.keep(0), bytes_of(1)..bytes_of(FEW_CHUNKS));
    let text = std::vec![b'x'; MAX_RECORD - 64];
    let fill = || {
        ring.append(&slot, |record| {
            record.amend(SpanId(3));
            record.text(Key::Name, &text);
        })
    };
    while fill() == Ok(()) {}
    assert_eq!(fill(), Err(Lost::Full), "there is one chunk");
    assert!(drain_ids(&mut reader).iter().all(|id| *id == 3));
    assert_eq!(fill(), Ok(()), "which comes back");
}

/// As far down on the stack as a signal's handler is that interrupts the thread.
#[inline(never)]
fn in_a_handler(handle: impl FnOnce()) {
    let frame = std::hint::black_box([0u8; 2048]);
    handle();
    std::hint::black_box(&frame);
}

#[test]
fn a_record_inside_a_record_goes_to_another_chunk() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let slot = ThreadSlot::new();
    ring.append(&slot, |record| {
        in_a_handler(|| ring.append(&slot, |inner| inner.amend(SpanId(2))).unwrap());
        record.amend(SpanId(1));
    })
    .unwrap();
    let mut ids = drain_ids(&mut reader);
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
}

/// A signal's handler may jump out of the record that it has interrupted: the thread goes on with its chunk.
#[test]
fn a_record_that_is_jumped_out_of_leaves_nothing_behind() {
    let jump = std::panic::AssertUnwindSafe(|_: &mut crate::record::RecordWriter| std::panic::resume_unwind(std::boxed::Box::new(())));
    for most_held in [1, 0] {
        let mapping = Mapping::new();
        let (ring, mut reader) = pair(&mapping);
        let slot = ThreadSlot::new();
        ring.header().most_held.store(most_held, core::sync::atomic::Ordering::Relaxed);
        let mut expected = Vec::new();
        for id in 1..=200 {
            let ring = std::panic::AssertUnwindSafe(ring);
            assert!(std::panic::catch_unwind(|| ring.append(&slot, |record| jump(record))).is_err());
            ring.append(&slot, |record| record.amend(SpanId(id))).unwrap();
            expected.push(id);
        }
        assert_eq!(drain_ids(&mut reader), expected);
        let in_use = ring.header().free.iter().map(|bits| bits.load(core::sync::atomic::Ordering::Relaxed).count_ones());
        assert_eq!(in_use.sum::<u32>(), CHUNK_COUNT as u32 - 1, "{most_held}");
    }
}

/// The lowest free chunk may be one that lies before the thread's last one.
#[test]
fn a_threads_records_stay_in_order_across_chunks() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let (one, other) = (ThreadSlot::new(), ThreadSlot::new());
    let text = std::vec![b'x'; MAX_RECORD - 64];
    let fill = |slot: &ThreadSlot, id: u64| {
        ring.append(slot, |record| {
            record.amend(SpanId(id));
            record.text(Key::Name, &text);
        })
        .unwrap();
    };
    let append = |slot: &ThreadSlot, id: u64| ring.append(slot, |record| record.amend(SpanId(id))).unwrap();
    append(&other, 1);
    append(&one, 2);
    fill(&other, 3);
    fill(&other, 4);
    assert_eq!(drain_ids(&mut reader), [1, 3, 2, 4]);
    // The first chunk is free again, the second is nearly full.
    fill(&one, 5);
    append(&one, 6);
    assert_eq!(drain_ids(&mut reader), [5, 6]);
}

#[test]
fn a_stopped_ring_takes_nothing() {
    let mapping = Mapping::new();
    let (ring, reader) = pair(&mapping);
    reader.stop();
    assert_eq!(ring.append(&ThreadSlot::new(), |record| record.amend(SpanId(1))), Err(Lost::Stopped));
}

#[test]
fn foreign_and_scribbled_memory_is_refused() {
    let mapping = Mapping::new();
    // SAFETY: a zeroed mapping of the right size, which is not a ring.
    assert_eq!(unsafe { Reader::new(mapping.0) }.err(), Some(Corrupt::Foreign));
    let (ring, mut reader) = pair(&mapping);
    ring.append(&ThreadSlot::new(), |record| record.amend(SpanId(1))).unwrap();
    // SAFETY: the first chunk's committed length, inside the mapping; the hostile process is played here.
    unsafe { mapping.0.add(layout::chunk_offset(0)).cast::<u32>().write(u32::MAX) };
    assert_eq!(reader.drain(|_| {}), Err(Corrupt::Length));
}

#[test]
fn the_sidecar_can_silence_processes_alone() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let slot = ThreadSlot::new();
    assert!(ring.wants_process_spans());
    reader.stop_process_spans();
    assert!(!ring.wants_process_spans());
    ring.append(&slot, |record| record.close(SpanId(1), 1)).unwrap();
    assert_eq!(drain_ids(&mut reader), [1]);
    reader.stop();
    assert_eq!(ring.append(&slot, |record| record.close(SpanId(2), 1)), Err(Lost::Stopped));
}

#[test]
fn rates_are_found_by_service_and_environment_else_the_default() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let rates = ring.rates();
    assert_eq!(rates.rate(b"shop", b"prod"), None);
    reader.set_rates(&[(rate_key(b"", b""), 1.0), (rate_key(b"shop", b"prod"), 0.5), (rate_key(b"bad", b""), 1.5)]);
    assert_eq!(rates.rate(b"shop", b"prod"), Some(0.5));
    assert_eq!(rates.rate(b"shop", b"dev"), Some(1.0));
    assert_eq!(rates.rate(b"bad", b""), None);
    reader.set_rates(&[(rate_key(b"other", b""), 0.25)]);
    assert_eq!((rates.rate(b"other", b""), rates.rate(b"shop", b"prod")), (Some(0.25), None));
    let many: Vec<_> = (0..MAX_RATES as u64 + 9).map(|key| (key, 0.5)).collect();
    reader.set_rates(&many);
    assert_eq!(rates.rate(b"shop", b"prod"), None);
}

#[test]
fn what_the_agent_answers_is_found() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let mut table = AgentRateTable::default();
    table.update(br#"{"rate_by_service":{"service:shop,env:prod":0.5,"service:,env:":0.25}}"#, None);
    reader.set_rates(&hashed_rates(&table));
    assert_eq!(ring.rates().rate(b"shop", b"prod"), Some(0.5));
    assert_eq!(ring.rates().rate(b"shop", b""), Some(0.25));
}

/// FNV-1a of 64 bits, as its authors give it.
#[test]
fn keys_are_hashes_of_the_agents_text() {
    let fnv = |text: &[u8]| {
        text.iter().fold(0xcbf29ce484222325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100000001b3))
    };
    assert_eq!(fnv(b"foobar"), 0x85944171f73967e8);
    assert_eq!(rate_key(b"shop", b"prod"), fnv(b"service:shop,env:prod"));
}

#[test]
fn no_reader_sees_parts_of_two_tables() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let base = ring.base().as_ptr() as usize;
    let keys: Vec<u64> = (0..MAX_RATES as u64 - 1).collect();
    let table = |rate: f64, named: bool| {
        // The wanted key stands last in one table, the default one in the other.
        let last = if named { rate_key(b"a", b"") } else { rate_key(b"", b"") };
        keys.iter().map(|key| (*key, 0.0)).chain([(last, rate)]).collect::<Vec<_>>()
    };
    let tables = [table(0.25, true), table(0.75, false)];
    reader.set_rates(&tables[0]);
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // SAFETY: initialised by `pair`; the mapping outlives the scope.
                let rates = unsafe { Ring::attach(NonNull::new(base as *mut u8).unwrap()) }.rates();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let rate = rates.rate(b"a", b"");
                    assert!([Some(0.25), Some(0.75), None].contains(&rate), "{rate:?}");
                }
            });
        }
        for round in 0..if cfg!(miri) { 20 } else { 20_000 } {
            reader.set_rates(&tables[round % 2]);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(ring.rates().rate(b"a", b""), Some(0.75));
}
