//! Spans of a language's own tracer.
//!
//! A request is one span, whoever tells of it. The span of one that came in over a connection can be *taken over*: from then
//! on a tracer of the language tells of it, under the same id, and nothing more of it is recorded here; it stays what the
//! thread serves until the exchange is over. Other spans are *lent*: they are here so that what a connection asks for can
//! be below them.
//!
//! Either way the trace has one verdict, that of the trace here: whoever needs it first decides, and the other one goes by
//! that ([`Verdict::offer`](super::verdict::Verdict::offer)).

use super::Tracer;
use super::before::MOST_STEPS;
use super::handle::Handle;
use super::span::{SERVER, Span};
use super::trace::TraceRef;
use super::verdict::Outcome;
use crate::thread;
use core::sync::atomic::Ordering;
use ddtrace::context::{Mechanism, Priority, SpanContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::interface::{
    DecidedInfo, LentSpan, MOST_PLACES, REQUEST_BRINGS_CONTEXT, REQUEST_PARENT_IS_REMOTE, RequestInfo, UNDECIDED,
};
use ddtrace::propagation::{Carrier, Propagation};
use ddtrace::sampling::Decision;

impl Tracer {
    /// As [`Tracer::surroundings`], but for what is lent: its own tracer knows better where that is active.
    pub(super) fn native_surroundings(&'static self) -> u64 {
        match self.not_lent(self.active()) {
            0 => self.request(),
            number => number,
        }
    }

    /// What is active in the one place of a language's own in which this thread is. None where it is in none of which anything is
    /// told, or in several, one within the other.
    pub(super) fn in_place(&'static self) -> Option<u64> {
        let places = thread::current().places.load(Ordering::Acquire);
        if places.is_null() {
            return None;
        }
        let mut found = None;
        for index in 0..MOST_PLACES {
            // SAFETY: the thread's own list, of so many places at most, which stays until it tells of another one (contract
            // of the table).
            let place = unsafe { &*places.add(index) };
            let entered = place.entered.load(Ordering::Acquire);
            if entered.is_null() {
                break;
            }
            // SAFETY: it stays for as long as it is in the list. Only this thread enters the place, so it changes between
            // looks, never during one; a signal's handler may be faster, by a number that is read as a whole.
            if unsafe { entered.read_volatile() } != 0 && found.replace(place.span.load(Ordering::Relaxed)).is_some() {
                return None;
            }
        }
        found.filter(|number| self.is_open(*number))
    }

    /// This one, or what was active on this thread before it and is not lent.
    fn not_lent(&'static self, mut number: u64) -> u64 {
        for _ in 0..MOST_STEPS {
            if !self.span(number).is_some_and(|span| span.is_lent()) {
                return number;
            }
            let thread = thread::current().number();
            number = self.nearest_open(self.before_on(number, thread), thread);
        }
        0
    }

    /// The request of this handle, or with 0 the one that the thread serves, if that can be taken over.
    pub(super) fn request_info(&'static self, number: u64) -> Option<RequestInfo> {
        let number = match number {
            // The usual answer.
            0 if thread::current().request.load(Ordering::Relaxed) == 0 => return None,
            0 => self.native_surroundings(),
            number => number,
        };
        let span =
            self.span(number).filter(|span| span.kind() == SERVER && span.is_of_connection && !span.is_lent())?;
        let trace = &span.trace;
        let (parent, is_remote) = trace.parent();
        let brings = trace.incoming().is_some_and(|incoming| incoming.context.is_some());
        Some(RequestInfo {
            size: size_of::<RequestInfo>() as u32,
            flags: if is_remote && parent.is_valid() { REQUEST_PARENT_IS_REMOTE } else { 0 }
                | if brings { REQUEST_BRINGS_CONTEXT } else { 0 },
            span: number,
            trace_id_high: trace.trace_id().high(),
            trace_id_low: trace.trace_id().low(),
            span_id: span.span_id.0,
            parent_id: parent.0,
        })
    }

    /// From here on a request's span is somebody else's. Gives a handle for its trace.
    pub(super) fn take_over(&'static self, number: u64) -> Option<u64> {
        let span = self.span(number).filter(|span| span.kind() == SERVER && span.is_of_connection)?;
        let lent = Span::lent(span.span_id, span.trace.clone(), span.local_root, span.kind());
        // The handle comes first: where none can be had, the span stays what it is.
        let handle = self.open_lent(lent)?;
        if span.is_lent.swap(true, Ordering::Relaxed) {
            self.give_back(handle);
            return None;
        }
        Some(handle)
    }

    /// Takes a span of a language's own tracer in. `headers` are what its trace has brought along.
    pub(super) fn lend(&'static self, lent: &LentSpan, headers: &dyn Carrier) -> Option<u64> {
        let known = self.handle(lent.of);
        let trace = match known {
            Some(Handle::Span(key)) => self.spans.recall(key)?.trace.clone(),
            Some(Handle::Context(_)) => return None,
            None => self.trace_of(lent, headers)?,
        };
        let kind = if lent.kind <= 5 { lent.kind as u8 } else { 1 };
        if known.is_none() {
            let _ = trace.begin_root(kind);
        }
        self.open_lent(Span::lent(SpanId(lent.span_id), trace, SpanId(lent.local_root), kind))
    }

    fn open_lent(&'static self, span: Span) -> Option<u64> {
        Some(Handle::Span(self.take_span(span)?.open()).number(self.epoch))
    }

    /// The trace of a span that is lent, with what it has brought along.
    fn trace_of(&'static self, lent: &LentSpan, headers: &dyn Carrier) -> Option<TraceRef> {
        let mut taken = self.take_trace()?;
        let trace_id = TraceId(u128::from(lent.trace_id_high) << 64 | u128::from(lent.trace_id_low));
        if lent.count == 0 {
            taken.value().begin(trace_id);
            return Some(taken.share());
        }
        taken.value().go_on(
            || trace_id,
            true,
            |found, baggage| {
                Propagation::between_tracers().extract_into(headers, baggage, found);
                let priority = Some(lent.priority).filter(|priority| *priority != UNDECIDED).map(Priority);
                let context = found.context.get_or_insert_default();
                context.span = SpanContext { trace_id, priority, ..context.span };
                // Its own tracer knows what else may come of this trace from outside.
                context.is_remote = false;
            },
        );
        Some(taken.share())
    }

    /// What was lent, and is active on this thread, is so no more.
    pub(super) fn forget_lent(&'static self, active: u64) {
        if self.span(active).is_some_and(|span| span.is_lent()) {
            thread::current().active.store(self.not_lent(active), Ordering::Relaxed);
        }
    }

    /// A span that is lent is over, or its trace.
    pub(super) fn give_back(&'static self, number: u64) {
        let Some(Handle::Span(key)) = self.handle(number) else { return };
        if self.spans.enter(key).is_none_or(|span| !span.is_lent() || span.is_of_connection) {
            return;
        }
        if let Some(span) = self.spans.close(key) {
            self.deactivate(number, &span.before);
            self.recent.keep(span);
        }
    }

    /// Takes over what was decided elsewhere about the trace of what is lent; `None` only asks. Gives whether no other
    /// decision is final.
    pub(super) fn take_decision(&'static self, number: u64, decided: Option<&DecidedInfo>) -> bool {
        let Some(Handle::Span(key)) = self.handle(number) else { return true };
        let Some(span) = self.spans.recall(key).filter(|span| span.is_lent()) else { return true };
        let verdict = &span.trace.verdict;
        let Some(decided) = decided else { return !verdict.is_final() };
        let priority = Priority(decided.priority);
        let outcome = match u8::try_from(decided.mechanism) {
            _ if span.trace.priority() == Some(priority) && verdict.outcome() == Some(Outcome::Inherited) => None,
            Ok(mechanism) => {
                let rate = Some(decided.rate).filter(|rate| *rate >= 0.0);
                Some(Outcome::Own(Decision { priority, mechanism: Mechanism(mechanism), rate, limit_rate: None }))
            }
            Err(_) => Some(Outcome::Told(priority)),
        };
        verdict.offer(outcome, decided.is_final != 0) || span.trace.priority() == Some(priority)
    }
}
