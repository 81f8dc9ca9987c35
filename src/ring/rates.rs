//! The Agent's sampling rates in the ring's header: the sidecar writes them, the process decides by them.
//!
//! A sequence lock: the number is odd while the sidecar writes, and another one afterwards, so that a reader knows when
//! it has seen parts of two tables. Nobody waits: who meets the sidecar writing tries again a few times, and then decides
//! as if no Agent had told anything.

use super::Ring;
use super::layout::Header;
#[cfg(feature = "std")]
use super::layout::MAX_RATES;
use crate::sampling::AgentRates;
#[cfg(feature = "std")]
use crate::sampling::AgentRateTable;
use crate::sync::{AtomicU32, Ordering, fence};

/// How often a reader tries. The sidecar writes for a microsecond, every few seconds at most.
const MOST_TRIES: u32 = 8;

/// What the Agent's keys begin with.
const SERVICE: &[u8] = b"service:";

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Under which number the rate for a service and an environment is found: FNV-1a, 64 bits, of the key as the Agent writes
/// it, `service:<service>,env:<env>`.
#[must_use]
pub fn rate_key(service: &[u8], env: &[u8]) -> u64 {
    [SERVICE, service, b",env:", env].into_iter().fold(FNV_OFFSET, hash_on)
}

/// The rates of a table as they are written into a ring.
#[must_use]
#[cfg(feature = "std")]
pub fn hashed(table: &AgentRateTable) -> std::vec::Vec<(u64, f64)> {
    let service = hash_on(FNV_OFFSET, SERVICE);
    table.iter().map(|(key, rate)| (hash_on(service, key), rate)).collect()
}

fn hash_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// The rates that the sidecar has written into a ring.
#[derive(Clone, Copy)]
pub struct RingRates {
    ring: Ring,
}

impl Ring {
    /// The Agent's sampling rates, as far as the sidecar knows any.
    #[must_use]
    pub fn rates(self) -> RingRates {
        RingRates { ring: self }
    }
}

impl AgentRates for RingRates {
    fn rate(&self, service: &[u8], env: &[u8]) -> Option<f64> {
        let header = self.ring.header();
        if header.rates_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let (wanted, default) = (rate_key(service, env), rate_key(b"", b""));
        (0..MOST_TRIES).find_map(|_| look_up(header, wanted, default)).flatten()
    }
}

/// The rate under the first key, else that under the second; `None` where the sidecar was writing meanwhile.
fn look_up(header: &Header, wanted: u64, default: u64) -> Option<Option<f64>> {
    // Pairs with the release store in `write`: the entries are at least those of this number.
    let before = header.rates_sequence.load(Ordering::Acquire);
    if before & 1 != 0 {
        return None;
    }
    let count = header.rates_count.load(Ordering::Relaxed) as usize;
    let mut found = None;
    for entry in header.rates.iter().take(count) {
        let key = entry.key.load(Ordering::Relaxed);
        if key == wanted || (key == default && found.is_none()) {
            found = Some(f64::from_bits(entry.rate.load(Ordering::Relaxed)));
        }
        if key == wanted {
            break;
        }
    }
    is_unchanged(&header.rates_sequence, before).then(|| found.filter(|rate| (0.0..=1.0).contains(rate)))
}

fn is_unchanged(sequence: &AtomicU32, before: u32) -> bool {
    // Pairs with the release fence in `write`: whoever saw an entry of a newer table sees its odd number, too.
    fence(Ordering::Acquire);
    sequence.load(Ordering::Relaxed) == before
}

/// Replaces the table. `sequence` is even, and not the number of the table before.
#[cfg(feature = "std")]
pub(super) fn write(header: &Header, sequence: u32, rates: &[(u64, f64)]) {
    header.rates_sequence.store(sequence.wrapping_sub(1), Ordering::Relaxed);
    // Pairs with the acquire fence in `is_unchanged`.
    fence(Ordering::Release);
    header.rates_count.store(rates.len().min(MAX_RATES) as u32, Ordering::Relaxed);
    for (entry, (key, rate)) in header.rates.iter().zip(rates) {
        entry.key.store(*key, Ordering::Relaxed);
        entry.rate.store(rate.to_bits(), Ordering::Relaxed);
    }
    // Pairs with the acquire load in `look_up`.
    header.rates_sequence.store(sequence, Ordering::Release);
}
