use super::layout::{CHUNK_COUNT, MAX_RECORD, RING_SIZE};
use super::*;
use crate::ids::SpanId;
use crate::record::records;
use crate::semconv::Key;
use crate::sys;
use core::ptr::NonNull;
use std::thread;
use std::vec::Vec;

struct Mapping(NonNull<u8>);

impl Mapping {
    fn new() -> Mapping {
        Mapping(sys::map_private(RING_SIZE).unwrap())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `new`; the tests drop their rings and readers first.
        unsafe { sys::unmap(self.0, RING_SIZE) };
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
fn many_threads_lose_nothing_while_the_reader_drains() {
    const THREADS: u64 = 4;
    const RECORDS: u64 = 50_000;
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
fn a_record_inside_a_record_goes_to_another_chunk() {
    let mapping = Mapping::new();
    let (ring, mut reader) = pair(&mapping);
    let slot = ThreadSlot::new();
    ring.append(&slot, |record| {
        // As a signal handler would that interrupts the writer.
        ring.append(&slot, |inner| inner.amend(SpanId(2))).unwrap();
        record.amend(SpanId(1));
    })
    .unwrap();
    let mut ids = drain_ids(&mut reader);
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
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
fn rates_are_told_and_replaced() {
    use crate::sampling::AgentRates;
    let mapping = Mapping::new();
    let (ring, reader) = pair(&mapping);
    assert_eq!(ring.rates().rate(b"shop", b"prod"), None);
    let table = [(&b"service:shop,env:prod"[..], 0.5), (b"service:,env:", 0.25)];
    assert_eq!(reader.set_rates(table.into_iter()), 0);
    assert_eq!(ring.rates().rate(b"shop", b"prod"), Some(0.5));
    assert_eq!(ring.rates().rate(b"shop", b"dev"), Some(0.25));
    let many: Vec<Vec<u8>> = (0..300).map(|i| std::format!("service:s{i},env:").into_bytes()).collect();
    assert_eq!(reader.set_rates(many.iter().map(|key| (&key[..], 0.1))), 300 - super::layout::MOST_RATES);
    assert_eq!(ring.rates().rate(b"s7", b""), Some(0.1));
    assert_eq!(ring.rates().rate(b"shop", b"prod"), None);
}

#[test]
fn nonsense_in_the_memory_is_no_rate() {
    use crate::sampling::AgentRates;
    let mapping = Mapping::new();
    let (ring, reader) = pair(&mapping);
    for nonsense in [f64::NAN, -1.0, 7.0] {
        reader.set_rates([(&b"service:,env:"[..], nonsense)].into_iter());
        assert_eq!(ring.rates().rate(b"shop", b""), None);
    }
}
