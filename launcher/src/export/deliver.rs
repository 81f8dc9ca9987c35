//! The one rule for retrying, splitting and giving up.

use super::{Backend, Outcome};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

/// The first wait before trying again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait that is chosen here; a receiver may ask for more.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What became of a payload.
#[derive(Debug, Default)]
pub struct Delivery {
    /// How many of its spans the receiver will never take, once it has answered about all of them. `None` where that
    /// could not be had in time; it may be tried again.
    pub settled: Option<u64>,
    /// How many requests were sent, and how many of them in vain.
    pub requests: u64,
    /// Those that are to be tried again.
    pub retries: u64,
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

/// Delivers a payload of so many spans: tries again with growing, jittered waits while `limit` allows, waits as long as
/// the receiver asks to, and splits what is too large. When the time is over, an attempt under way is abandoned. `ending`
/// ends a wait that the receiver has not asked for: there will not be much time any more.
pub async fn deliver<B: Backend>(
    backend: &mut B,
    payload: &[u8],
    spans: u64,
    limit: Duration,
    ending: &Notify,
) -> Delivery {
    let deadline = Instant::now() + limit;
    let mut delivery = Delivery::default();
    let mut waiting = VecDeque::from([(Cow::Borrowed(payload), spans)]);
    let (mut failures, mut dropped) = (0, 0);
    while let Some((payload, spans)) = waiting.pop_front() {
        delivery.requests += 1;
        let outcome = timeout_at(deadline, backend.send(&payload)).await.unwrap_or_else(|_| Outcome::Retry {
            after: None,
            reason: format!("{} at {} gave no answer in time", backend.name(), backend.destination()),
        });
        match outcome {
            Outcome::Delivered { rejected, message } => {
                failures = 0;
                dropped += rejected.min(spans);
                if let Some(message) = message {
                    delivery.say(message);
                }
            }
            Outcome::Refused { reason } => {
                failures = 0;
                dropped += spans;
                delivery.say(reason);
            }
            Outcome::TooLarge => match backend.format().halves(&payload) {
                Some((first, second)) => {
                    waiting.push_front((Cow::Owned(second.body), second.spans));
                    waiting.push_front((Cow::Owned(first.body), first.spans));
                }
                None => {
                    dropped += spans;
                    delivery.say(format!("a span is larger than {} takes", backend.name()));
                }
            },
            Outcome::Retry { after, reason } => {
                delivery.say(reason);
                delivery.retries += 1;
                let wait = after.unwrap_or_default().max(backoff(failures));
                failures += 1;
                waiting.push_front((payload, spans));
                if Instant::now() + wait >= deadline {
                    break;
                }
                tokio::select! {
                    () = sleep(wait) => {}
                    () = ending.notified(), if after.is_none() => {}
                }
            }
        }
    }
    delivery.settled = waiting.is_empty().then_some(dropped);
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
    use super::super::testing::batch;
    use super::super::{Batch, Format};
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    /// Answers as told and remembers what it was sent, and when.
    #[derive(Default)]
    struct Scripted {
        answers: VecDeque<Outcome>,
        most_spans: Option<usize>,
        mute: bool,
        calls: Vec<(Instant, Vec<u64>)>,
    }

    impl Backend for Scripted {
        fn format(&self) -> Format {
            Format::Otlp
        }

        async fn send(&mut self, payload: &[u8]) -> Outcome {
            let ids = ids(payload);
            self.calls.push((Instant::now(), ids.clone()));
            if self.mute {
                std::future::pending::<()>().await;
            }
            if self.most_spans.is_some_and(|most| ids.len() > most) {
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

    fn ids(payload: &[u8]) -> Vec<u64> {
        let request = ExportTraceServiceRequest::decode(payload).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).map(|span| u64::from_be_bytes(span.span_id.try_into().unwrap())).collect()
    }

    fn later(after: Option<u64>) -> Outcome {
        Outcome::Retry { after: after.map(Duration::from_secs), reason: String::from("busy") }
    }

    async fn deliver(backend: &mut Scripted, batch: Batch, limit: Duration) -> Delivery {
        let payload = Format::Otlp.encode(&batch, Default::default()).unwrap();
        super::deliver(backend, &payload, batch.spans(), limit, &Notify::new()).await
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_with_jitter_and_stop_growing() {
        let mut backend = Scripted { answers: std::iter::repeat_n(later(None), 9).collect(), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1]), Duration::from_secs(120)).await;
        assert_eq!((delivery.settled, delivery.requests, delivery.retries), (Some(0), 10, 9));
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
        assert_eq!(delivery.settled, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mute_receiver_is_abandoned_at_the_limit() {
        let mut backend = Scripted { mute: true, ..Default::default() };
        let start = Instant::now();
        let delivery = deliver(&mut backend, batch(&[1]), Duration::from_secs(5)).await;
        assert!(start.elapsed() < Duration::from_millis(5_010));
        assert_eq!(delivery.settled, None);
        assert_eq!(delivery.messages, ["receiver at nowhere gave no answer in time"]);
    }

    #[tokio::test(start_paused = true)]
    async fn too_large_is_split_in_order_down_to_single_spans() {
        let mut backend = Scripted { most_spans: Some(2), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2, 3, 4, 5]), Duration::from_secs(5)).await;
        assert_eq!(delivery.settled, Some(0));
        let taken: Vec<u64> =
            backend.calls.iter().filter(|(_, ids)| ids.len() <= 2).flat_map(|c| c.1.clone()).collect();
        assert_eq!(taken, [1, 2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_too_large_alone_is_dropped_and_counted() {
        let mut backend = Scripted { most_spans: Some(0), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2]), Duration::from_secs(5)).await;
        assert_eq!(delivery.settled, Some(2));
        assert_eq!(delivery.messages, ["a span is larger than receiver takes"]);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_and_rejected_spans_are_never_sent_again() {
        let refused = Outcome::Refused { reason: String::from("bad") };
        let mut backend = Scripted { answers: [refused].into(), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2]), Duration::from_secs(5)).await;
        assert_eq!((delivery.settled, backend.calls.len()), (Some(2), 1));
        let partly = Outcome::Delivered { rejected: 3, message: Some(String::from("too old")) };
        let mut backend = Scripted { answers: [partly].into(), ..Default::default() };
        let delivery = deliver(&mut backend, batch(&[1, 2, 3, 4]), Duration::from_secs(5)).await;
        assert_eq!((delivery.settled, backend.calls.len()), (Some(3), 1));
        assert_eq!(delivery.messages, ["too old"]);
    }

    #[test]
    fn the_jitter_stays_within_its_bounds() {
        let fractions: Vec<f64> = (0..1000).map(|_| random_fraction()).collect();
        assert!(fractions.iter().all(|f| (0.0..=1.0).contains(f)));
        assert!(fractions.iter().any(|f| *f < 0.3) && fractions.iter().any(|f| *f > 0.7));
    }
}
