//! The Agent's sampling rates, from the sidecar to the processes, in the ring's header.
//!
//! A key is there as a hash. While the sidecar writes, the version is odd; who reads looks at it before and after, and
//! does without rates if it meets a writer every time.

use super::layout::{Header, MOST_RATES};
use crate::sampling::AgentRates;
use core::sync::atomic::{Ordering, fence};

/// How often a reader tries anew when the rates are being written.
const ATTEMPTS: usize = 4;

/// The rates in a ring's header.
#[derive(Clone, Copy)]
pub struct RingRates<'a> {
    header: &'a Header,
}

impl<'a> RingRates<'a> {
    pub(super) fn new(header: &'a Header) -> Self {
        RingRates { header }
    }

    fn find(&self, service: &[u8], env: &[u8]) -> Option<f64> {
        let wanted = hash(&[b"service:", service, b",env:", env]);
        let default = hash(&[b"service:,env:"]);
        let count = (self.header.rates_count.load(Ordering::Relaxed) as usize).min(MOST_RATES);
        let mut fallback = None;
        for entry in self.header.rates.get(..count).unwrap_or_default() {
            let key = entry.key.load(Ordering::Relaxed);
            if key == wanted || key == default {
                let rate = f64::from_bits(entry.rate.load(Ordering::Relaxed));
                if key == wanted {
                    return Some(rate);
                }
                fallback = Some(rate);
            }
        }
        fallback
    }

    /// Replaces all rates; gives how many there was no room for. There is one writer, the sidecar.
    #[cfg(feature = "std")]
    pub(super) fn replace<'k>(&self, rates: impl Iterator<Item = (&'k [u8], f64)>) -> usize {
        let version = self.header.rates_version.load(Ordering::Relaxed) | 1;
        self.header.rates_version.store(version, Ordering::Relaxed);
        // Whoever reads an entry of the new table sees the odd version, or the one after it.
        fence(Ordering::Release);
        let mut rates = rates;
        let mut count = 0;
        for (entry, (key, rate)) in self.header.rates.iter().zip(&mut rates) {
            entry.key.store(hash(&[key]), Ordering::Relaxed);
            entry.rate.store(rate.to_bits(), Ordering::Relaxed);
            count += 1;
        }
        self.header.rates_count.store(count, Ordering::Relaxed);
        self.header.rates_version.store(version.wrapping_add(1), Ordering::Release);
        // `zip` asks the entries first, so that nothing was taken in vain.
        rates.count()
    }
}

impl AgentRates for RingRates<'_> {
    fn rate(&self, service: &[u8], env: &[u8]) -> Option<f64> {
        for _ in 0..ATTEMPTS {
            let before = self.header.rates_version.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            if before & 1 == 0 {
                let rate = self.find(service, env);
                fence(Ordering::Acquire);
                if self.header.rates_version.load(Ordering::Relaxed) == before {
                    // The memory is the sidecar's as well: whatever stands there is not trusted to be a rate.
                    return rate.filter(|rate| *rate >= 0.0 && *rate <= 1.0);
                }
            }
        }
        None
    }
}

/// FNV-1a over parts that follow each other.
fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
