//! Records that were read before the one that begins their span: another thread wrote that one, into a chunk of its own,
//! and the chunks of a ring are not all looked at in the same instant.

use std::collections::VecDeque;

use ddtrace::ids::SpanId;
use ddtrace::record::Record;
use foldhash::HashMap;

/// How long such a record waits, in nanoseconds of `CLOCK_MONOTONIC`. What it waits for was written before it.
const WAIT_NS: u64 = 2_000_000_000;
/// So many are kept at most, and so many bytes of them: there are few, or they are about spans that ended long ago.
const MOST: usize = 1024;
const MOST_BYTES: usize = 1 << 20;

/// A span of a process: no process speaks of another one's.
type Place = (u64, SpanId);

/// The records, as they were read.
#[derive(Default)]
pub struct Early {
    records: HashMap<Place, Vec<Vec<u8>>>,
    order: VecDeque<(u64, Place)>,
    bytes: usize,
    now_ns: u64,
}

impl Early {
    /// Keeps a record until its span is known.
    pub fn keep(&mut self, producer: u64, record: &Record<'_>) {
        while self.order.len() >= MOST || self.bytes > MOST_BYTES {
            self.forget_first();
        }
        let place = (producer, record.span_id);
        self.bytes += record.as_bytes().len();
        self.order.push_back((self.now_ns, place));
        self.records.entry(place).or_default().push(record.as_bytes().to_vec());
    }

    /// The records of a span that is known now, in the order in which they were read.
    pub fn take(&mut self, producer: u64, span: SpanId) -> Vec<Vec<u8>> {
        if self.records.is_empty() { Vec::new() } else { self.remove((producer, span)) }
    }

    /// Forgets those that have waited too long.
    pub fn forget_old(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        while self.order.front().is_some_and(|(since, _)| now_ns.saturating_sub(*since) > WAIT_NS) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        match self.order.pop_front() {
            Some((_, place)) => drop(self.remove(place)),
            None => self.bytes = 0,
        }
    }

    fn remove(&mut self, place: Place) -> Vec<Vec<u8>> {
        let records = self.records.remove(&place).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(records.iter().map(Vec::len).sum());
        records
    }
}
