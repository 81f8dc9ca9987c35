//! A process's ring, as the collector reads it and writes back into it.

use ddtrace::ids::SpanId;
use ddtrace::record::{ROLE_CHILD, RecordBody, records};
use memmap2::MmapRaw;
use std::sync::Arc;

use super::listen::MappedRing;

/// More records than that no process tries to write between two looks: it has spoilt its own memory.
const MOST_LOST: u64 = 10_000_000;

/// A ring that is read.
pub struct KnownRing {
    ring: MappedRing,
    is_used: bool,
    /// What it had counted as lost when it was last looked at.
    lost: u64,
}

/// What flows back to the processes.
#[derive(Default)]
pub struct News {
    /// Nothing need be recorded any more.
    pub stopped: bool,
    /// Processes are no spans any more.
    pub process_spans_stopped: bool,
    /// The Agent's sampling rates, as the rings have them.
    pub rates: Vec<(u64, f64)>,
}

/// What one look at a ring brought.
#[derive(Default)]
pub struct Drained {
    /// Bytes of records.
    pub bytes: usize,
    /// Children that these speak of.
    pub children: Vec<(SpanId, u32)>,
    /// Records that the process could not write since the last look.
    pub lost: u64,
    /// Nothing more can be read from it.
    pub corrupt: bool,
    /// There was no room for all that is in it.
    pub is_cut_short: bool,
}

impl KnownRing {
    /// One that has just come.
    pub fn new(ring: MappedRing) -> KnownRing {
        KnownRing { ring, is_used: false, lost: 0 }
    }

    /// The memory.
    pub fn memory(&self) -> &Arc<MmapRaw> {
        self.ring.memory()
    }

    /// Whether it has ever brought anything.
    pub fn is_used(&self) -> bool {
        self.is_used
    }

    /// Tells the process.
    pub fn hear(&mut self, news: &News) {
        let ring = self.ring.reader();
        if news.stopped {
            ring.stop();
        }
        if news.process_spans_stopped {
            ring.stop_process_spans();
        }
        if !news.rates.is_empty() {
            ring.set_rates(&news.rates);
        }
    }

    /// Hands what is new to `take`, until that says that it has no room.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> Drained {
        let mut drained = Drained::default();
        let result = self.ring.reader().drain_while(|bytes| {
            let is_taken = take(bytes);
            if is_taken {
                drained.bytes += bytes.len();
                drained.children.extend(children(bytes));
            }
            is_taken
        });
        self.is_used |= drained.bytes > 0;
        match result {
            Ok(now) => {
                // The ring counts for ever; what was counted before is not lost again.
                let before = std::mem::replace(&mut self.lost, now.lost);
                drained.lost = now.lost.saturating_sub(before).min(MOST_LOST);
                drained.is_cut_short = now.is_cut_short;
            }
            Err(corrupt) => {
                tracing::warn!("{corrupt}; nothing more is read from this process");
                drained.corrupt = true;
            }
        }
        drained
    }
}

/// The children that these records speak of.
fn children(bytes: &[u8]) -> Vec<(SpanId, u32)> {
    let opened = records(bytes).flatten().filter_map(|record| match record.body {
        RecordBody::Open(open) if open.role == ROLE_CHILD && open.pid != 0 => Some((record.span_id, open.pid)),
        _ => None,
    });
    opened.collect()
}
