//! The one rule for retrying, splitting and giving up.

use super::{Backend, Outcome};
use hyper::body::Bytes;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The first wait before trying again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait that is chosen here; a receiver may ask for more,
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// but not for ever: what waits takes the place of what comes.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// What is to be told while a payload is being delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A request is sent.
    Sent,
    /// It is to be tried again.
    InVain,
    /// The receiver has asked to be left alone for so long.
    AskedToWait(Duration),
    /// Of a payload that had to be split, the receiver has answered about so many more spans at its beginning.
    Settled {
        /// How many.
        spans: u64,
        /// How many of these it will never take.
        dropped: u64,
    },
    /// What went wrong or was remarked, for people; without secrets.
    Said(String),
}

/// How much time there is.
pub struct Time<'a> {
    /// Told when there is less than before.
    pub shortened: &'a Notify,
    /// How much is left; `None` while there is no end.
    pub left: &'a dyn Fn() -> Option<Duration>,
}

impl Time<'_> {
    fn ends_before(&self, instant: Instant) -> bool {
        (self.left)().is_some_and(|left| Instant::now() + left < instant)
    }
}

/// Delivers a payload of so many spans: tries again with growing, jittered waits, waits as long as the receiver asks to,
/// and splits what is too large. Gives how many of the spans the receiver will never take, once it has answered about all
/// of them.
///
/// When the time is shortened whoever waits here may soon be abandoned: a wait of our own is cut short then. One that the receiver has
/// asked for, and that is longer than there is time, ends it; `None` says so, and the payload may be tried again.
pub async fn deliver<B: Backend>(
    backend: &mut B,
    payload: &Bytes,
    spans: u64,
    time: &Time<'_>,
    tell: &mut dyn FnMut(Remark),
) -> Option<u64> {
    let mut waiting = VecDeque::from([(payload.clone(), spans)]);
    let (mut failures, mut dropped) = (0, 0);
    while let Some((payload, spans)) = waiting.pop_front() {
        let dropped_before = dropped;
        tell(Remark::Sent);
        match backend.send(&payload).await {
            Outcome::Delivered { rejected, message } => {
                failures = 0;
                dropped += rejected.min(spans);
                message.into_iter().for_each(|message| tell(Remark::Said(message)));
            }
            Outcome::Refused { reason } => {
                failures = 0;
                dropped += spans;
                tell(Remark::Said(reason));
            }
            Outcome::TooLarge => match backend.format().halves(&payload) {
                Some((first, second)) => {
                    waiting.push_front((Bytes::from(second.body), second.spans));
                    waiting.push_front((Bytes::from(first.body), first.spans));
                    continue;
                }
                None => {
                    dropped += spans;
                    tell(Remark::Said(format!("a span is larger than {} takes", backend.name())));
                }
            },
            Outcome::Retry { after, reason } => {
                tell(Remark::Said(reason));
                tell(Remark::InVain);
                if let Some(after) = after {
                    tell(Remark::AskedToWait(after));
                }
                let wait = after.unwrap_or_default().min(LONGEST_ASKED).max(backoff(failures));
                failures += 1;
                waiting.push_front((payload, spans));
                let until = Instant::now() + wait;
                loop {
                    if after.is_some() && time.ends_before(until) {
                        return None;
                    }
                    tokio::select! {
                        () = sleep_until(until) => break,
                        () = time.shortened.notified() => if after.is_none() { break },
                    }
                }
                continue;
            }
        }
        if !waiting.is_empty() {
            tell(Remark::Settled { spans, dropped: dropped - dropped_before });
        }
    }
    Some(dropped)
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
    use std::cell::Cell;
    use tokio::time::sleep;

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

        async fn send(&mut self, payload: &Bytes) -> Outcome {
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

    fn endless(shortened: &Notify) -> Time<'_> {
        Time { shortened, left: &|| None }
    }

    /// What came of it in so much time, how often it was tried, and what was said.
    async fn deliver(backend: &mut Scripted, batch: Batch, limit: Duration) -> (Option<u64>, usize, Vec<String>) {
        let payload = Bytes::from(Format::Otlp.encode(&batch, Default::default()).unwrap());
        let mut remarks = Vec::new();
        let mut tell = |remark| remarks.push(remark);
        let shortened = Notify::new();
        let time = endless(&shortened);
        let delivering = super::deliver(backend, &payload, batch.spans(), &time, &mut tell);
        let settled = tokio::time::timeout(limit, delivering).await.ok().flatten();
        let sent = remarks.iter().filter(|remark| **remark == Remark::Sent).count();
        let said = remarks.into_iter().filter_map(|remark| match remark {
            Remark::Said(text) => Some(text),
            _ => None,
        });
        (settled, sent, said.collect())
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_with_jitter_and_stop_growing() {
        let mut backend = Scripted { answers: std::iter::repeat_n(later(None), 9).collect(), ..Default::default() };
        let (settled, sent, said) = deliver(&mut backend, batch(&[1]), Duration::from_secs(120)).await;
        assert_eq!((settled, sent, said), (Some(0), 10, vec![String::from("busy"); 9]));
        let waits: Vec<Duration> = backend.calls.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        for (i, wait) in waits.iter().enumerate() {
            let whole = FIRST_WAIT.saturating_mul(1 << i).min(LONGEST_WAIT);
            // The clock of tests ticks in milliseconds.
            assert!(*wait >= whole / 2 && *wait <= whole + Duration::from_millis(1), "{i}: {wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_receivers_wish_is_honoured() {
        let mut backend = Scripted { answers: [later(Some(3600))].into(), ..Default::default() };
        let start = Instant::now();
        assert_eq!(deliver(&mut backend, batch(&[1]), Duration::from_secs(9999)).await.0, Some(0));
        assert!(backend.calls[1].0 - start >= Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn towards_the_end_it_is_tried_once_more_if_there_is_time_for_what_the_receiver_asked_for() {
        const SHORT: Duration = Duration::from_millis(10);
        let two = Duration::from_secs(2);
        for (wish, limit, settled, took) in [
            (None, Duration::from_secs(1), Some(0), SHORT),
            (Some(2), Duration::from_secs(1), None, SHORT),
            (Some(2), Duration::from_secs(3), Some(0), two),
        ] {
            let mut backend = Scripted { answers: [later(wish)].into(), ..Default::default() };
            let payload = Bytes::from(Format::Otlp.encode(&batch(&[1]), Default::default()).unwrap());
            let (shortened, end) = (Notify::new(), Cell::new(None));
            let start = Instant::now();
            let mut silent = |_| {};
            let left = || end.get().map(|end: Instant| end - Instant::now());
            let time = Time { shortened: &shortened, left: &left };
            let (came, ()) = tokio::join!(super::deliver(&mut backend, &payload, 1, &time, &mut silent), async {
                sleep(SHORT).await;
                end.set(Some(Instant::now() + limit));
                shortened.notify_waiters();
            });
            assert_eq!((came, start.elapsed()), (settled, took), "{wish:?} {limit:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_what_there_is_no_time_for() {
        let mut backend = Scripted { answers: [later(Some(5))].into(), ..Default::default() };
        let payload = Bytes::from(Format::Otlp.encode(&batch(&[1]), Default::default()).unwrap());
        let start = Instant::now();
        let shortened = Notify::new();
        let time = Time { shortened: &shortened, left: &|| Some(Duration::from_secs(4)) };
        let came = super::deliver(&mut backend, &payload, 1, &time, &mut |_| {}).await;
        assert_eq!((came, start.elapsed()), (None, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_mute_receiver_settles_nothing() {
        let mut backend = Scripted { mute: true, ..Default::default() };
        assert_eq!(deliver(&mut backend, batch(&[1]), Duration::from_secs(5)).await, (None, 1, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn too_large_is_split_in_order_down_to_single_spans() {
        let mut backend = Scripted { most_spans: Some(2), ..Default::default() };
        let (settled, ..) = deliver(&mut backend, batch(&[1, 2, 3, 4, 5]), Duration::from_secs(5)).await;
        assert_eq!(settled, Some(0));
        let taken: Vec<u64> =
            backend.calls.iter().filter(|(_, ids)| ids.len() <= 2).flat_map(|c| c.1.clone()).collect();
        assert_eq!(taken, [1, 2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_what_was_split_each_part_is_told_as_soon_as_it_is_settled() {
        let refused = Outcome::Refused { reason: String::from("bad") };
        let delivered = Outcome::Delivered { rejected: 0, message: None };
        let answers = [Outcome::TooLarge, Outcome::TooLarge, later(None), delivered, refused].into();
        let mut backend = Scripted { answers, ..Default::default() };
        let payload = Bytes::from(Format::Otlp.encode(&batch(&[1, 2, 3, 4, 5]), Default::default()).unwrap());
        let mut settled = Vec::new();
        let mut tell = |remark| {
            if let Remark::Settled { spans, dropped } = remark {
                settled.push((spans, dropped));
            }
        };
        let done = super::deliver(&mut backend, &payload, 5, &endless(&Notify::new()), &mut tell).await;
        // Halves of two and three, and of the first of these one and one; the last one is told by the end.
        assert_eq!((done, settled), (Some(1), vec![(1, 0), (1, 1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_asks_for_ages_is_asked_again_after_an_hour() {
        let mut backend = Scripted { answers: [later(Some(86_400))].into(), ..Default::default() };
        let payload = Bytes::from(Format::Otlp.encode(&batch(&[1]), Default::default()).unwrap());
        let begun = Instant::now();
        let done = super::deliver(&mut backend, &payload, 1, &endless(&Notify::new()), &mut |_| {}).await;
        assert_eq!((done, backend.calls.len()), (Some(0), 2));
        assert_eq!(backend.calls[1].0 - begun, LONGEST_ASKED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_too_large_alone_is_dropped_and_counted() {
        let mut backend = Scripted { most_spans: Some(0), ..Default::default() };
        let (settled, _, said) = deliver(&mut backend, batch(&[1, 2]), Duration::from_secs(5)).await;
        assert_eq!((settled, said), (Some(2), vec![String::from("a span is larger than receiver takes"); 2]));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_and_rejected_spans_are_never_sent_again() {
        let refused = Outcome::Refused { reason: String::from("bad") };
        let mut backend = Scripted { answers: [refused].into(), ..Default::default() };
        let (settled, sent, _) = deliver(&mut backend, batch(&[1, 2]), Duration::from_secs(5)).await;
        assert_eq!((settled, sent), (Some(2), 1));
        let partly = Outcome::Delivered { rejected: 3, message: Some(String::from("too old")) };
        let mut backend = Scripted { answers: [partly].into(), ..Default::default() };
        let (settled, sent, said) = deliver(&mut backend, batch(&[1, 2, 3, 4]), Duration::from_secs(5)).await;
        assert_eq!((settled, sent, said), (Some(3), 1, vec![String::from("too old")]));
    }

    #[test]
    fn the_jitter_stays_within_its_bounds() {
        let fractions: Vec<f64> = (0..1000).map(|_| random_fraction()).collect();
        assert!(fractions.iter().all(|f| (0.0..=1.0).contains(f)));
        assert!(fractions.iter().any(|f| *f < 0.3) && fractions.iter().any(|f| *f > 0.7));
    }
}
