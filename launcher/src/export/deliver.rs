//! The one rule for retrying, splitting and giving up.

use super::{Backend, Batch, Outcome};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// The first wait before trying again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait that is chosen here; a receiver may ask for more.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What became of a batch in the end. Each of its spans is in exactly one of the three.
#[derive(Debug, Default)]
pub struct Delivery {
    /// How many spans the receiver has.
    pub delivered: u64,
    /// How many spans the receiver will never take.
    pub dropped: u64,
    /// What could not be delivered in time; it may be tried again.
    pub left: Batch,
    /// What went wrong or was remarked, for people; each message once, without secrets.
    pub messages: Vec<String>,
}

impl Delivery {
    fn say(&mut self, message: String) {
        if !self.messages.contains(&message) {
            self.messages.push(message);
        }
    }
}

/// Delivers a batch: tries again with growing, jittered waits while `limit` allows, waits as long as the receiver asks
/// to, and splits what is too large. When the time is over, an attempt under way is abandoned.
pub async fn deliver<B: Backend>(backend: &mut B, batch: Batch, limit: Duration) -> Delivery {
    let deadline = Instant::now() + limit;
    let mut delivery = Delivery::default();
    let mut waiting = VecDeque::from([batch]);
    let mut failures = 0;
    while let Some(batch) = waiting.pop_front() {
        let spans = batch.spans();
        if spans == 0 {
            continue;
        }
        let outcome = timeout_at(deadline, backend.send(&batch)).await.unwrap_or_else(|_| Outcome::Retry {
            after: None,
            reason: format!("{} at {} gave no answer in time", backend.name(), backend.destination()),
        });
        match outcome {
            Outcome::Delivered { rejected, message } => {
                failures = 0;
                let rejected = rejected.min(spans);
                delivery.delivered += spans - rejected;
                delivery.dropped += rejected;
                if let Some(message) = message {
                    delivery.say(message);
                }
            }
            Outcome::Refused { reason } => {
                failures = 0;
                delivery.dropped += spans;
                delivery.say(reason);
            }
            Outcome::TooLarge => match batch.halves() {
                Ok((first, second)) => {
                    waiting.push_front(second);
                    waiting.push_front(first);
                }
                Err(_) => {
                    delivery.dropped += spans;
                    delivery.say(format!("a span is larger than {} takes", backend.name()));
                }
            },
            Outcome::Retry { after, reason } => {
                delivery.say(reason);
                let wait = after.unwrap_or_default().max(backoff(failures));
                failures += 1;
                waiting.push_front(batch);
                if Instant::now() + wait >= deadline {
                    break;
                }
                sleep(wait).await;
            }
        }
    }
    delivery.left.chunks = waiting.into_iter().flat_map(|batch| batch.chunks).collect();
    delivery
}

/// The wait after so many failures in a row: doubled each time, then somewhere between its half and its whole, so that
/// sidecars that lost the same receiver do not come back in step.
fn backoff(failures: u32) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(2u32.saturating_pow(failures)).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + 0.5 * random_fraction())
}

/// A number from 0 to 1. Each `RandomState` has a key of its own, which is all the randomness a jitter needs.
fn random_fraction() -> f64 {
    f64::from((RandomState::new().hash_one(0) >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, span_ids};
    use super::*;

    /// Answers as told and remembers what it was sent, and when.
    #[derive(Default)]
    struct Scripted {
        answers: VecDeque<Outcome>,
        most_spans: Option<u64>,
        mute: bool,
        calls: Vec<(Instant, Vec<u64>)>,
    }

    impl Backend for Scripted {
        async fn send(&mut self, batch: &Batch) -> Outcome {
            self.calls.push((Instant::now(), span_ids(batch)));
            if self.mute {
                std::future::pending::<()>().await;
            }
            if self.most_spans.is_some_and(|most| batch.spans() > most) {
                return Outcome::TooLarge;
            }
            self.answers.pop_front().unwrap_or(Outcome::Delivered { rejected: 0, message: None })
        }

        fn name(&self) -> &'static str {
            "receiver"
        }

        fn destination(&self) -> String {
            String::from("nowhere")
        }
    }

    fn later(after: Option<u64>) -> Outcome {
        Outcome::Retry { after: after.map(Duration::from_secs), reason: String::from("busy") }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_with_jitter_and_stop_growing() {
        let mut backend = Scripted { answers: std::iter::repeat_n(later(None), 9).collect(), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1]), Duration::from_secs(120)).await;
        assert_eq!((delivery.delivered, delivery.dropped), (1, 0));
        assert_eq!(delivery.messages, ["busy"]);
        let waits: Vec<Duration> = backend.calls.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        for (i, wait) in waits.iter().enumerate() {
            let whole = FIRST_WAIT.saturating_mul(1 << i).min(LONGEST_WAIT);
            // The clock of tests ticks in milliseconds.
            assert!(*wait >= whole / 2 && *wait <= whole + Duration::from_millis(1), "{i}: {wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_receivers_wish_is_honoured() {
        let mut backend = Scripted { answers: [later(Some(7))].into(), ..Default::default() };
        let start = Instant::now();
        deliver(&mut backend, batch(&[1]), Duration::from_secs(60)).await;
        assert!(backend.calls[1].0 - start >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_come_after_the_limit_is_left_at_once() {
        let mut backend = Scripted { answers: [later(Some(3600))].into(), ..Default::default() };
        let start = Instant::now();
        let delivery = deliver(&mut backend, batch(&[1, 2]), Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "waiting for nothing");
        assert_eq!(span_ids(&delivery.left), [1, 2]);
        assert_eq!((delivery.delivered, delivery.dropped), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_mute_receiver_is_abandoned_at_the_limit() {
        let mut backend = Scripted { mute: true, ..Default::default() };
        let start = Instant::now();
        let delivery = deliver(&mut backend, batch(&[1]), Duration::from_secs(5)).await;
        assert!(start.elapsed() < Duration::from_millis(5_010));
        assert_eq!(span_ids(&delivery.left), [1]);
        assert_eq!(delivery.messages, ["receiver at nowhere gave no answer in time"]);
    }

    #[tokio::test(start_paused = true)]
    async fn too_large_is_split_in_order_down_to_single_spans() {
        let mut backend = Scripted { most_spans: Some(2), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2, 3, 4, 5]), Duration::from_secs(5)).await;
        assert_eq!(delivery.delivered, 5);
        let taken: Vec<u64> =
            backend.calls.iter().filter(|(_, ids)| ids.len() <= 2).flat_map(|c| c.1.clone()).collect();
        assert_eq!(taken, [1, 2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_too_large_alone_is_dropped_and_counted() {
        let mut backend = Scripted { most_spans: Some(0), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2]), Duration::from_secs(5)).await;
        assert_eq!((delivery.delivered, delivery.dropped), (0, 2));
        assert_eq!(delivery.messages, ["a span is larger than receiver takes"]);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_and_rejected_spans_are_never_sent_again() {
        let refused = Outcome::Refused { reason: String::from("bad") };
        let mut backend = Scripted { answers: [refused].into(), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2]), Duration::from_secs(5)).await;
        assert_eq!((delivery.delivered, delivery.dropped, backend.calls.len()), (0, 2, 1));
        let partly = Outcome::Delivered { rejected: 3, message: Some(String::from("too old")) };
        let mut backend = Scripted { answers: [partly].into(), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2, 3, 4]), Duration::from_secs(5)).await;
        assert_eq!((delivery.delivered, delivery.dropped, backend.calls.len()), (1, 3, 1));
        assert_eq!(delivery.messages, ["too old"]);
    }

    #[test]
    fn the_jitter_stays_within_its_bounds() {
        let fractions: Vec<f64> = (0..1000).map(|_| random_fraction()).collect();
        assert!(fractions.iter().all(|f| (0.0..=1.0).contains(f)));
        assert!(fractions.iter().any(|f| *f < 0.3) && fractions.iter().any(|f| *f > 0.7));
    }
}
