//! A small random source for identifiers: seeded by the kernel, without locks, right after a fork.

use crate::sys;
use core::sync::atomic::{AtomicU64, Ordering};

/// What the state moves on by with each draw.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// The factors that a state is mixed with.
const FACTORS: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];
/// So many draws are looked back. Of numbers from elsewhere one in 2^24 is taken for one of these.
const MOST_DRAWS: u64 = 1 << 40;

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
        mix(self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// Whether `number` was drawn from this stream since it was seeded. Each state gives another number, so that the
    /// number tells how many draws ago it was, if it is of this stream; of any other it is a random count.
    #[must_use]
    pub fn has_drawn(&self, number: u64) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        state != 0 && state.wrapping_sub(unmix(number)).wrapping_mul(inverse(STEP)) < MOST_DRAWS
    }
}

/// The number that a state gives.
const fn mix(state: u64) -> u64 {
    let once = (state ^ (state >> 30)).wrapping_mul(FACTORS[0]);
    let twice = (once ^ (once >> 27)).wrapping_mul(FACTORS[1]);
    let mixed = twice ^ (twice >> 31);
    if mixed == 0 { 1 } else { mixed }
}

/// The state that gives a number: [`mix`] backwards.
const fn unmix(number: u64) -> u64 {
    let twice = number ^ (number >> 31) ^ (number >> 62);
    let once = twice.wrapping_mul(inverse(FACTORS[1]));
    let once = once ^ (once >> 27) ^ (once >> 54);
    let state = once.wrapping_mul(inverse(FACTORS[0]));
    state ^ (state >> 30) ^ (state >> 60)
}

/// What an odd number has to be multiplied with to give 1, modulo 2^64: Newton's way, each round of which doubles the bits
/// that are right.
const fn inverse(odd: u64) -> u64 {
    let mut found = odd;
    let mut round = 0;
    while round < 6 {
        found = found.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(found)));
        round += 1;
    }
    found
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
    use std::vec::Vec;

    #[test]
    fn seeds_differ_and_numbers_do_not_repeat() {
        let (one, other) = (Random::new(), Random::new());
        let numbers: HashSet<u64> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(numbers.len(), 2000);
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn a_stream_knows_its_own_numbers() {
        let (one, other) = (Random::new(), Random::new());
        assert!(!one.has_drawn(7), "it has none yet");
        let numbers: Vec<u64> = (0..1000).map(|_| one.next()).collect();
        assert!(numbers.iter().all(|number| one.has_drawn(*number)));
        assert!((0..1000).map(|_| other.next()).all(|number| !one.has_drawn(number)));
        let after = numbers[999];
        one.reseed();
        assert!(!one.has_drawn(after), "a forked child's are others");
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (one, other) = (Random::new(), Random::new());
        one.seed(42);
        other.seed(42);
        assert_eq!([one.next(), one.next()], [other.next(), other.next()]);
    }
}
