//! A small random source for identifiers: seeded by the kernel, without locks, right after a fork.

use crate::sys;
use core::sync::atomic::{AtomicU64, Ordering};

/// A stream of random numbers (SplitMix64). All zero is "not seeded yet", so it can stand in static memory.
///
/// Threads that draw at the same time get different numbers: the state advances by one atomic addition.
pub struct Random {
    state: AtomicU64,
}

impl Random {
    /// A stream that seeds itself at the first draw.
    #[must_use]
    pub const fn new() -> Self {
        Random { state: AtomicU64::new(0) }
    }

    /// Starts the stream at a seed of the caller's: for tests, and for what the kernel gave already (`AT_RANDOM`).
    pub fn seed(&self, seed: u64) {
        self.state.store(seed | 1, Ordering::Relaxed);
    }

    /// Seeds anew. A forked child must: it would repeat its parent's numbers.
    pub fn reseed(&self) {
        let mut bytes = [0u8; 8];
        let mut seed = match sys::getrandom(&mut bytes) {
            Ok(8) => u64::from_le_bytes(bytes),
            // No entropy yet, or a sandbox: clock and process id still tell processes apart.
            _ => sys::monotonic_ns() ^ sys::realtime_ns().rotate_left(32) ^ (u64::from(sys::getpid()) << 40),
        };
        if seed == 0 {
            seed = 1;
        }
        self.state.store(seed, Ordering::Relaxed);
    }

    /// The next number, never zero.
    pub fn next(&self) -> u64 {
        if self.state.load(Ordering::Relaxed) == 0 {
            self.reseed();
        }
        let mut mixed = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn seeds_differ_and_numbers_do_not_repeat() {
        let (one, other) = (Random::new(), Random::new());
        let numbers: HashSet<u64> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(numbers.len(), 2000);
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (one, other) = (Random::new(), Random::new());
        one.seed(42);
        other.seed(42);
        assert_eq!([one.next(), one.next()], [other.next(), other.next()]);
    }
}
