//! Decisions about traces that came in from outside: whoever brings the same trace undecided is told the same.
//!
//! The last few are kept, in places that any thread may write and read without waiting: a place's number is odd while it is
//! written, and another one afterwards.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use ddtrace::context::{Mechanism, Priority};
use ddtrace::ids::TraceId;
use ddtrace::sampling::Decision;

/// Of so many traces it is remembered.
const MOST: usize = 128;
/// In `about`: there is a rate, and there is one of a limiter.
const HAS_RATE: u64 = 1 << 40;
const HAS_LIMIT: u64 = 1 << 41;

/// All zero is nothing remembered.
#[derive(Default)]
struct Place {
    sequence: AtomicU32,
    high: AtomicU64,
    low: AtomicU64,
    /// The priority, the mechanism above it, `HAS_*`.
    about: AtomicU64,
    rate: AtomicU64,
    limit_rate: AtomicU64,
}

/// The decisions. All zero is none.
pub(super) struct Remembered {
    next: AtomicU32,
    places: [Place; MOST],
}

impl Remembered {
    /// What was decided about the trace before.
    pub(super) fn get(&self, trace_id: TraceId) -> Option<Decision> {
        self.places.iter().find_map(|place| place.of(trace_id))
    }

    /// Remembers a decision, in the place of an earlier one about that trace, or else of the oldest one. Nobody is waited
    /// for: two threads at once may cost one.
    pub(super) fn add(&self, trace_id: TraceId, decision: &Decision) {
        let known = self.places.iter().find_map(|place| Some((place, place.of(trace_id)?)));
        if let Some((place, known)) = known {
            if known != *decision {
                place.write(trace_id, decision);
            }
            return;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed) as usize % MOST;
        if let Some(place) = self.places.get(index) {
            place.write(trace_id, decision);
        }
    }
}

impl Place {
    fn of(&self, wanted: TraceId) -> Option<Decision> {
        // Acquire pairs with the release that ended the writing.
        let before = self.sequence.load(Ordering::Acquire);
        if before == 0 || !before.is_multiple_of(2) || self.low.load(Ordering::Relaxed) != wanted.low() {
            return None;
        }
        let words = [&self.high, &self.about, &self.rate, &self.limit_rate].map(|word| word.load(Ordering::Relaxed));
        // What was read before is not read later than the number.
        fence(Ordering::Acquire);
        let [high, about, rate, limit_rate] = words;
        if self.sequence.load(Ordering::Relaxed) != before || high != wanted.high() {
            return None;
        }
        Some(Decision {
            priority: Priority(about as u32 as i32),
            mechanism: Mechanism((about >> 32) as u8),
            rate: (about & HAS_RATE != 0).then(|| f64::from_bits(rate)),
            limit_rate: (about & HAS_LIMIT != 0).then(|| f64::from_bits(limit_rate)),
        })
    }

    fn write(&self, trace_id: TraceId, decision: &Decision) {
        let before = self.sequence.load(Ordering::Relaxed);
        let begun = before.wrapping_add(1) | 1;
        if !before.is_multiple_of(2)
            || self.sequence.compare_exchange(before, begun, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return;
        }
        // Nothing of what follows is seen before the odd number is.
        fence(Ordering::Release);
        let flag = |bit: u64, rate: Option<f64>| rate.map_or(0, |_| bit);
        let about = u64::from(decision.priority.0 as u32)
            | u64::from(decision.mechanism.0) << 32
            | flag(HAS_RATE, decision.rate)
            | flag(HAS_LIMIT, decision.limit_rate);
        self.high.store(trace_id.high(), Ordering::Relaxed);
        self.low.store(trace_id.low(), Ordering::Relaxed);
        self.about.store(about, Ordering::Relaxed);
        self.rate.store(decision.rate.unwrap_or_default().to_bits(), Ordering::Relaxed);
        self.limit_rate.store(decision.limit_rate.unwrap_or_default().to_bits(), Ordering::Relaxed);
        // Zero is a place that was never written.
        self.sequence.store(begun.wrapping_add(1).max(2), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn remembered() -> Remembered {
        Remembered { next: AtomicU32::new(0), places: std::array::from_fn(|_| Place::default()) }
    }

    fn decision(number: u64) -> Decision {
        let rate = Some(number as f64);
        Decision { priority: Priority(-1), mechanism: Mechanism(number as u8), rate, limit_rate: None }
    }

    #[test]
    fn the_last_ones_are_remembered() {
        let known = remembered();
        assert_eq!(known.get(TraceId(0)), None);
        for number in 1..=MOST as u64 + 1 {
            known.add(TraceId::new(7, number), &decision(number));
        }
        assert_eq!(known.get(TraceId::new(7, 1)), None, "the oldest has made room");
        assert_eq!(known.get(TraceId::new(7, 2)), Some(decision(2)));
        assert_eq!(known.get(TraceId::new(7, MOST as u64 + 1)), Some(decision(MOST as u64 + 1)));
        assert_eq!(known.get(TraceId::new(8, 2)), None);
        known.add(TraceId::new(7, 3), &decision(1000));
        assert_eq!(known.get(TraceId::new(7, 3)), Some(decision(1000)), "what was decided last");
        assert_eq!(known.get(TraceId::new(7, 2)), Some(decision(2)), "that has cost no other one");
    }

    #[test]
    fn no_decision_is_half_of_another_one() {
        let known = remembered();
        thread::scope(|scope| {
            for thread in 1..=3u64 {
                let known = &known;
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let number = thread * 1000 + round % 50;
                        known.add(TraceId(number.into()), &decision(number));
                        if let Some(found) = known.get(TraceId((1000 + round % 50).into())) {
                            assert_eq!(found, decision(1000 + round % 50));
                        }
                    }
                });
            }
        });
    }
}
