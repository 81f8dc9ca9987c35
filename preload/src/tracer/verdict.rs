//! Whether a trace is kept: decided once, by whichever thread needs to know first, and never changed after it has left
//! the process.
//!
//! Nobody waits for a thread that is deciding. Each that finds the trace undecided decides for itself, writes what came
//! out into a place of its own, and offers that by one compare-and-swap: the first one counts, the others take over what
//! it has decided.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};
use ddtrace::context::Priority;
use ddtrace::sampling::{Decision, Sampler};

/// How many threads can decide about a trace at the same time. One more goes without a decision: its receiver decides.
const PLACES: usize = 6;

/// Nothing is decided.
const OPEN: u32 = 0;
/// The decision came in with the trace.
const INHERITED: u32 = 1;
/// The application keeps it.
const KEEP: u32 = 2;
/// The application drops it.
const DROP: u32 = 3;
/// The decision stands in a place; this is the first one's number.
const PLACE: u32 = 4;
/// Bit: it has left the process, or the local root has ended.
const FINAL: u32 = 1 << 8;

/// What was decided.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Outcome {
    /// Somebody before this process did, and that stands.
    Inherited,
    /// The same, and another request of the trace has told.
    Told(Priority),
    /// This process did.
    Own(Decision),
}

/// All zero is a verdict that is not taken.
#[derive(Default)]
pub(crate) struct Verdict {
    state: AtomicU32,
    /// How many places are taken.
    taken: AtomicU32,
    places: [Place; PLACES],
}

struct Place(UnsafeCell<MaybeUninit<Outcome>>);

impl Default for Place {
    fn default() -> Self {
        Place(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

// SAFETY: a place is written by the one thread that took its number, and read only after that has offered it.
unsafe impl Sync for Place {}

impl Verdict {
    /// Begins anew, in a slot that nobody else uses.
    pub(crate) fn begin(&mut self, inherited: bool) {
        *self.state.get_mut() = if inherited { INHERITED } else { OPEN };
        *self.taken.get_mut() = 0;
    }

    /// What is decided so far.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        // Acquire pairs with the release of who offered a place.
        self.outcome_of(self.state.load(Ordering::Acquire))
    }

    fn outcome_of(&self, state: u32) -> Option<Outcome> {
        match state & !FINAL {
            OPEN => None,
            INHERITED => Some(Outcome::Inherited),
            KEEP => Some(Outcome::Own(Sampler::manual(true))),
            DROP => Some(Outcome::Own(Sampler::manual(false))),
            number => {
                let place = self.places.get(number.wrapping_sub(PLACE) as usize)?;
                // SAFETY: a number is in the state only after the decision was written into its place, and the state was
                // read with acquire. It is not written again before the slot's next life.
                Some(unsafe { (*place.0.get()).assume_init() })
            }
        }
    }

    /// The application decides. Gives whether that was still possible.
    pub(crate) fn decide_by_hand(&self, keep: bool) -> bool {
        let new = if keep { KEEP } else { DROP };
        let change = |state: u32| (state & FINAL == 0).then_some(new);
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }

    /// Takes over what the language's own tracer knows, as long as nothing is final; `None`: what is there stands. Gives
    /// whether it could.
    pub(crate) fn offer(&self, outcome: Option<Outcome>, is_final: bool) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        let mut own = match outcome {
            Some(Outcome::Own(decision)) if decision == Sampler::manual(true) => KEEP,
            Some(Outcome::Own(decision)) if decision == Sampler::manual(false) => DROP,
            _ => OPEN,
        };
        // As in `settle`: a round is repeated only when somebody else has decided meanwhile.
        loop {
            if state & FINAL != 0 {
                return false;
            }
            let new = match outcome {
                None => state,
                Some(_) if self.outcome_of(state) == outcome => state,
                Some(outcome) => {
                    if own == OPEN {
                        let Some(number) = self.write(outcome) else { return true };
                        own = number;
                    }
                    own
                }
            };
            let flag = if is_final && new != OPEN { FINAL } else { 0 };
            match self.state.compare_exchange(state, new | flag, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// Whether it does not change any more.
    pub(crate) fn is_final(&self) -> bool {
        self.state.load(Ordering::Relaxed) & FINAL != 0
    }

    /// Makes the decision final, after taking it by `decide` where nobody has. Also gives whether it is this call that
    /// made it final: exactly one does. `None` where too many decide at the same time.
    pub(crate) fn settle(&self, decide: impl FnOnce() -> Outcome) -> Option<(Outcome, bool)> {
        let mut state = self.state.load(Ordering::Acquire);
        let mut own = OPEN;
        let mut decide = Some(decide);
        // A round is repeated only when somebody else has decided meanwhile: at most once for each hand and once more.
        loop {
            if state & FINAL != 0 {
                return Some((self.outcome_of(state)?, false));
            }
            if state == OPEN && own == OPEN {
                let decision = decide.take()?();
                match self.write(decision) {
                    Some(number) => own = number,
                    None => {
                        state = self.state.load(Ordering::Acquire);
                        if state == OPEN {
                            return None;
                        }
                        continue;
                    }
                }
            }
            let new = if state == OPEN { own } else { state };
            // Release pairs with the acquires: whoever sees the number sees the decision.
            match self.state.compare_exchange(state, new | FINAL, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some((self.outcome_of(new)?, true)),
                Err(now) => state = now,
            }
        }
    }

    /// Writes a decision into a place of its own and gives the place's number.
    fn write(&self, decision: Outcome) -> Option<u32> {
        let change = |taken: u32| (taken < PLACES as u32).then(|| taken.wrapping_add(1));
        let index = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).ok()?;
        let place = self.places.get(index as usize)?;
        // SAFETY: the index was given to this call alone.
        unsafe { *place.0.get() = MaybeUninit::new(decision) };
        Some(PLACE.wrapping_add(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::context::Mechanism;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    fn decision(rate: f64) -> Outcome {
        Outcome::Own(Decision {
            priority: Priority::USER_KEEP,
            mechanism: Mechanism::LOCAL_RULE,
            rate: Some(rate),
            limit_rate: Some(1.0),
        })
    }

    #[test]
    fn it_is_decided_once_and_final_once() {
        let verdict = Verdict::default();
        assert_eq!(verdict.outcome(), None);
        assert_eq!(verdict.settle(|| decision(0.5)), Some((decision(0.5), true)));
        assert_eq!(verdict.settle(|| unreachable!()), Some((decision(0.5), false)));
        assert_eq!(verdict.outcome(), Some(decision(0.5)));
        assert!(!verdict.decide_by_hand(false), "it has left the process");
    }

    #[test]
    fn another_tracers_decision_stands_unless_one_is_final() {
        let mut verdict = Verdict::default();
        assert!(verdict.offer(Some(decision(0.5)), false) && !verdict.is_final());
        let dropped = Outcome::Own(Sampler::manual(false));
        assert!(verdict.offer(Some(dropped), false), "it may think better of it");
        assert_eq!(verdict.settle(|| unreachable!()), Some((dropped, true)));
        assert!(!verdict.offer(Some(decision(0.5)), true) && verdict.outcome() == Some(dropped));
        verdict.begin(true);
        assert!(verdict.offer(None, true) && verdict.is_final(), "what came in has left the process");
        verdict.begin(false);
        assert!(verdict.offer(None, true) && !verdict.is_final(), "nothing is decided");
        assert!(verdict.offer(Some(Outcome::Told(Priority::USER_KEEP)), true) && verdict.is_final());
    }

    #[test]
    fn a_hand_decides_until_it_is_final() {
        let mut verdict = Verdict::default();
        verdict.begin(true);
        assert_eq!(verdict.outcome(), Some(Outcome::Inherited));
        assert!(verdict.decide_by_hand(true) && verdict.decide_by_hand(false));
        assert_eq!(verdict.settle(|| unreachable!()), Some((Outcome::Own(Sampler::manual(false)), true)));
        assert!(!verdict.decide_by_hand(true));
        verdict.begin(false);
        assert_eq!(verdict.outcome(), None);
        assert!(verdict.decide_by_hand(true), "a new life is open again");
    }

    #[test]
    fn a_hand_comes_before_one_who_is_still_deciding() {
        let verdict = Verdict::default();
        let outcome = verdict.settle(|| {
            assert!(verdict.decide_by_hand(false));
            decision(1.0)
        });
        assert_eq!(outcome, Some((Outcome::Own(Sampler::manual(false)), true)));
    }

    #[test]
    fn who_finds_no_place_takes_what_another_has_decided_or_goes_without() {
        fn nested(verdict: &Verdict, depth: usize) {
            let told = verdict.settle(|| {
                if depth > 0 {
                    nested(verdict, depth - 1);
                }
                decision(depth as f64)
            });
            assert_eq!(told, Some((decision(0.0), depth == 0)), "the innermost was first");
        }
        nested(&Verdict::default(), PLACES + 2);
        let mut all_deciding = Verdict::default();
        *all_deciding.taken.get_mut() = PLACES as u32;
        assert_eq!(all_deciding.settle(|| decision(1.0)), None);
        assert_eq!(all_deciding.outcome(), None);
    }

    #[test]
    fn threads_agree() {
        for _ in 0..500 {
            let verdict = Verdict::default();
            let (barrier, finals) = (Barrier::new(4), AtomicUsize::new(0));
            let outcomes: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|thread| {
                        let (verdict, barrier, finals) = (&verdict, &barrier, &finals);
                        scope.spawn(move || {
                            barrier.wait();
                            let (outcome, is_final) = verdict.settle(|| decision(f64::from(thread))).unwrap();
                            finals.fetch_add(is_final.into(), Ordering::Relaxed);
                            outcome
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
            assert_eq!(finals.load(Ordering::Relaxed), 1);
        }
    }
}
