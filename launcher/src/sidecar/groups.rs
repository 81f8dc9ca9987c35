//! From finished spans to what waits in the outbox: groups of spans, each with a payload for each receiver.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use ddtrace::span::{Attribute, Span, TraceChunk, Value};

use super::queues::{Queues, Target};
use crate::export::Batch;
use crate::spool::{Account, Counter, Outbox, Parcel};

/// A group has about so many spans: enough for a request to be worth its while, and few enough to be held in memory.
const SPANS: usize = 2000;
/// And about so many bytes at most, where its spans are large: it is encoded as a whole.
const WEIGHT: usize = 2 << 20;

/// Finished spans that are not in a group yet.
#[derive(Default)]
pub struct Pending {
    /// Each with its weight.
    chunks: VecDeque<(TraceChunk, usize)>,
    spans: usize,
    weight: usize,
}

impl Pending {
    /// Takes a chunk in.
    pub fn push(&mut self, chunk: TraceChunk) {
        let weight = weight(&chunk);
        self.spans += chunk.spans.len();
        self.weight += weight;
        self.chunks.push_back((chunk, weight));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The next group, if there are enough for one, or if it is time for what there is.
    pub fn take(&mut self, is_due: bool) -> Option<Batch> {
        if self.chunks.is_empty() || !is_due && self.spans < SPANS && self.weight < WEIGHT {
            return None;
        }
        let (mut spans, mut bytes) = (0, 0);
        let mut chunks = Vec::new();
        while spans < SPANS
            && bytes < WEIGHT
            && let Some((chunk, weight)) = self.chunks.pop_front()
        {
            spans += chunk.spans.len();
            bytes += weight;
            chunks.push(chunk);
        }
        if self.chunks.is_empty() {
            // There may have been many of them.
            self.chunks.shrink_to(SPANS);
        }
        self.spans -= spans;
        self.weight -= bytes;
        Some(Batch { chunks })
    }
}

/// About how many bytes of memory a chunk takes.
fn weight(chunk: &TraceChunk) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| size_of_val(item) + text_of(item)).sum(),
        Value::Bool(_) | Value::I64(_) | Value::F64(_) => 0,
    };
    let all = |attributes: &[Attribute]| {
        attributes.iter().map(|(key, item)| size_of::<Attribute>() + key.len() + value(item)).sum::<usize>()
    };
    let span = |span: &Span| {
        let events: usize = span.events.iter().map(|event| size_of_val(event) + all(&event.attributes)).sum();
        let links: usize = span.links.iter().map(|link| size_of_val(link) + all(&link.attributes)).sum();
        size_of_val(span) + all(&span.attributes) + events + links
    };
    chunk.spans.iter().map(span).sum()
}

fn text_of(value: &Value) -> usize {
    if let Value::String(text) = value { text.len() } else { 0 }
}

/// Puts a batch into the outbox as one group, or as several where it is too large; gives what is to be sent.
/// `segments` are those of records that it was put together from. What finds no room at all is dropped and counted, and so
/// is all of it where there is no receiver.
pub fn keep(
    outbox: &mut Outbox,
    batch: Batch,
    targets: &[Target],
    segments: &BTreeSet<u32>,
    account: &Account,
) -> Vec<Rc<Parcel>> {
    let mut parcels = Vec::new();
    let mut waiting = VecDeque::from([batch]);
    while let Some(batch) = waiting.pop_front() {
        let batch = match batch.chunks.iter().map(weight).sum::<usize>() > 2 * WEIGHT {
            true => match batch.halves() {
                Ok((first, second)) => {
                    waiting.push_front(second);
                    waiting.push_front(first);
                    continue;
                }
                Err(single) => single,
            },
            false => batch,
        };
        let most_bytes = |target: &Target| target.most_bytes.min(outbox.most_bytes());
        let encoded = targets.iter().enumerate().filter_map(|(number, target)| {
            let payload = target.format.encode(&batch, target.options)?;
            Some((number, payload.len() <= most_bytes(target), payload))
        });
        let encoded: Vec<_> = encoded.collect();
        let batch = match encoded.iter().all(|(_, fits, _)| *fits) {
            true => batch,
            false => match batch.halves() {
                Ok((first, second)) => {
                    waiting.push_front(second);
                    waiting.push_front(first);
                    continue;
                }
                Err(batch) => batch,
            },
        };
        let spans = batch.spans();
        let payloads: Vec<_> =
            encoded.into_iter().filter(|(_, fits, _)| *fits).map(|(to, _, body)| (to, body)).collect();
        let (wanted, unwanted) = by_whether_wanted(&batch, targets);
        // A group of their own: those of which a receiver waits are delivered, or not, for themselves.
        let unwanted = (!unwanted.is_empty()).then(|| outbox.push(&unwanted, &[], segments));
        let kept = match unwanted.transpose() {
            Err(full) => Err((spans, format!("there is no room for spans: {full}"))),
            Ok(_) if wanted.is_empty() => Ok(Vec::new()),
            Ok(_) if targets.is_empty() => Err((spans, "there is no receiver for spans".to_owned())),
            Ok(_) if payloads.is_empty() => {
                Err((wanted.len() as u64, "a span is larger than any receiver takes".to_owned()))
            }
            Ok(_) => outbox
                .push(&wanted, &payloads, segments)
                .map_err(|full| (wanted.len() as u64, format!("there is no room for spans: {full}"))),
        };
        match kept {
            Ok(mut kept) => parcels.append(&mut kept),
            Err((dropped, reason)) => {
                tracing::error!("{reason}; {dropped} are dropped");
                account.add(Counter::Dropped, dropped);
            }
        }
    }
    parcels
}

/// The ids of the spans that any of the targets is sent, and those of the spans that none is. Where there is no target all
/// of them were wanted.
fn by_whether_wanted(batch: &Batch, targets: &[Target]) -> (Vec<u64>, Vec<u64>) {
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    for chunk in &batch.chunks {
        for span in &chunk.spans {
            let is_wanted = targets.is_empty() || targets.iter().any(|target| target.format.is_sent(chunk, span));
            if is_wanted { &mut wanted } else { &mut unwanted }.push(span.span_id.0);
        }
    }
    (wanted, unwanted)
}

/// The targets of all queues, in the order of their numbers.
pub fn targets(queues: &Queues) -> Vec<Target> {
    (0..).map_while(|number| queues.target(number)).collect()
}
