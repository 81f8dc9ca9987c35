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
/// Traces whose ids end alike share a head.
const HEADS: usize = 256;
/// In `about`: there is a rate, and there is one of a limiter.
const HAS_RATE: u64 = 1 << 40;
const HAS_LIMIT: u64 = 1 << 41;
/// The decision counts: no other thread came first.
const COUNTS: u64 = 1 << 42;

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
    /// The ticket of the place that the last decision about a trace of this head is in, zero for none: threads that decide
    /// about a trace at the same time agree by changing it.
    heads: [AtomicU32; HEADS],
    places: [Place; MOST],
}

impl Remembered {
    /// What was decided about the trace before.
    pub(super) fn get(&self, trace_id: TraceId) -> Option<Decision> {
        // Acquire pairs with the release of who has offered that ticket.
        let head = self.head(trace_id)?.load(Ordering::Acquire);
        self.known(trace_id, head).map(|(_, decision)| decision)
    }

    /// Remembers a decision, in the place of an earlier one about that trace, or else of the oldest one. Nobody is waited
    /// for: two threads at once may cost one.
    pub(super) fn add(&self, trace_id: TraceId, decision: &Decision) {
        let Some(head) = self.head(trace_id) else { return };
        let ticket = head.load(Ordering::Acquire);
        match self.known(trace_id, ticket) {
            Some((_, known)) if known == *decision => {}
            Some((place, _)) => drop(place.write(trace_id, decision, COUNTS)),
            None => {
                let (new, place) = self.new_place();
                if place.is_some_and(|place| place.write(trace_id, decision, COUNTS)) {
                    // Release: who sees the ticket sees the decision. Where another thread was faster, it stays with its own.
                    let _ = head.compare_exchange(ticket, new, Ordering::AcqRel, Ordering::Relaxed);
                }
            }
        }
    }

    /// Remembers a decision, unless another thread has come to one meanwhile. Gives the one that counts. Nobody is waited
    /// for: each writes its own, and the first who offers it by the head is first.
    pub(super) fn add_first(&self, trace_id: TraceId, decision: &Decision) -> Decision {
        let Some(head) = self.head(trace_id) else { return *decision };
        let mut ticket = head.load(Ordering::Acquire);
        let mut own = None;
        loop {
            if let Some((_, known)) = self.known(trace_id, ticket) {
                return known;
            }
            let (new, place) = *own.get_or_insert_with(|| {
                let (new, place) = self.new_place();
                // Not to be found before it counts.
                (new, place.filter(|place| place.write(trace_id, decision, 0)))
            });
            let Some(place) = place else { return *decision };
            // Each failure is a trace that another thread has decided about: this one, or one with the same head.
            match head.compare_exchange(ticket, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    // Not written anew, as others may be reading it.
                    place.about.fetch_or(COUNTS, Ordering::Relaxed);
                    return *decision;
                }
                Err(now) => ticket = now,
            }
        }
    }

    fn head(&self, trace_id: TraceId) -> Option<&AtomicU32> {
        self.heads.get(trace_id.low() as usize % HEADS)
    }

    /// The place and the decision in it that the head's ticket leads to, or else, where another trace has that head now, any
    /// that counts.
    fn known(&self, trace_id: TraceId, head: u32) -> Option<(&Place, Decision)> {
        let by_head = if head == 0 { None } else { self.places.get(head as usize % MOST) };
        let by_head = by_head.and_then(|place| Some((place, place.of(trace_id, 0)?)));
        by_head.or_else(|| self.places.iter().find_map(|place| Some((place, place.of(trace_id, COUNTS)?))))
    }

    /// The place of the oldest decision, and a ticket for it.
    fn new_place(&self) -> (u32, Option<&Place>) {
        // Zero is no ticket.
        let ticket = match self.next.fetch_add(1, Ordering::Relaxed) {
            u32::MAX => self.next.fetch_add(1, Ordering::Relaxed),
            before => before,
        }
        .wrapping_add(1);
        (ticket, self.places.get(ticket as usize % MOST))
    }
}

impl Place {
    /// The decision about that trace, if it has these bits.
    fn of(&self, wanted: TraceId, bits: u64) -> Option<Decision> {
        // Acquire pairs with the release that ended the writing.
        let before = self.sequence.load(Ordering::Acquire);
        if before == 0 || !before.is_multiple_of(2) || self.low.load(Ordering::Relaxed) != wanted.low() {
            return None;
        }
        let words = [&self.high, &self.about, &self.rate, &self.limit_rate].map(|word| word.load(Ordering::Relaxed));
        // What was read before is not read later than the number.
        fence(Ordering::Acquire);
        let [high, about, rate, limit_rate] = words;
        if self.sequence.load(Ordering::Relaxed) != before || high != wanted.high() || about & bits != bits {
            return None;
        }
        Some(Decision {
            priority: Priority(about as u32 as i32),
            mechanism: Mechanism((about >> 32) as u8),
            rate: (about & HAS_RATE != 0).then(|| f64::from_bits(rate)),
            limit_rate: (about & HAS_LIMIT != 0).then(|| f64::from_bits(limit_rate)),
        })
    }

    /// Writes the decision, unless another thread is writing here. Gives whether it did.
    fn write(&self, trace_id: TraceId, decision: &Decision, bits: u64) -> bool {
        let before = self.sequence.load(Ordering::Relaxed);
        let begun = before.wrapping_add(1) | 1;
        if !before.is_multiple_of(2)
            || self.sequence.compare_exchange(before, begun, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return false;
        }
        // Nothing of what follows is seen before the odd number is.
        fence(Ordering::Release);
        let flag = |bit: u64, rate: Option<f64>| rate.map_or(0, |_| bit);
        let about = bits
            | u64::from(decision.priority.0 as u32)
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
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    fn remembered() -> Remembered {
        Remembered {
            next: AtomicU32::new(0),
            heads: [const { AtomicU32::new(0) }; HEADS],
            places: std::array::from_fn(|_| Place::default()),
        }
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

    #[test]
    fn threads_agree_about_a_trace() {
        let known = remembered();
        let barrier = Barrier::new(3);
        let agreed: Vec<Vec<Decision>> = thread::scope(|scope| {
            let threads: Vec<_> = (1..=3u64)
                .map(|thread| {
                    let (known, barrier) = (&known, &barrier);
                    scope.spawn(move || {
                        let decide = |round: u64| {
                            barrier.wait();
                            known.add_first(TraceId::new(7, round), &decision(thread))
                        };
                        (0..20_000).map(decide).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(agreed[0], agreed[1]);
        assert_eq!(agreed[0], agreed[2]);
        assert_eq!(known.get(TraceId::new(7, 19_999)), Some(agreed[0][19_999]));
    }
}
