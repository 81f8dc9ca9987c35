//! Spans: how they begin, which one is active, how they end.

use super::before::Before;
use super::handle::Handle;
use super::pool::{Held, Taken};
use super::root_log::About;
use super::trace::{Trace, TraceRef};
use super::write::{MAX_LABEL, Told, cut};
use super::{Tracer, clock};
use crate::process::{self, RANDOM};
use crate::thread;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};
use ddtrace::context::SpanContext;
use ddtrace::ids::SpanId;
use ddtrace::interface::NO_PARENT;
use ddtrace::record::{
    EndBody, Name, RecordWriter, SPAN_LOCAL_ROOT, SPAN_REMOTE_PARENT, SPAN_TAKES_OVER, SpanBody, SpanFields,
};
use ddtrace::semconv::{Key as Attribute, is_request};

/// How many spans a process can have open at the same time.
pub(crate) const SPANS: usize = 16 * 1024;
/// So many of the last spans that have ended can still be parents, and their traces and decisions go on for those below
/// them.
pub(crate) const REMEMBERED: usize = 256;

/// A use of an open span.
pub(crate) type SpanRef = Held<Span, SPANS>;

/// An open span. What is known of it is in the ring already; this is what later calls need.
pub(crate) struct Span {
    pub(super) span_id: SpanId,
    pub(super) trace: TraceRef,
    /// The first span of the part of the trace that this one is in; its own id where it is that.
    pub(super) local_root: SpanId,
    /// It is the span that sampling rules look at.
    pub(super) is_judged: bool,
    pub(super) failed: AtomicBool,
    /// It is a language's own tracer's, who tells of it ([`super::lent`]).
    pub(super) is_lent: AtomicBool,
    /// A connection tells of it.
    pub(super) is_of_connection: bool,
    /// The [number](crate::thread::Thread::number) of the thread that has read last of the request that it is; 0 is none.
    pub(super) served_by: AtomicU16,
    /// The number of a `SpanKind`.
    pub(super) kind: AtomicU8,
    pub(super) before: Before,
    /// From the clock that never goes back to Unix time, as it was at the start, so that no change of the time makes the
    /// span longer or shorter.
    to_unix_ns: u64,
}

impl Span {
    pub(super) fn is_local_root(&self) -> bool {
        self.local_root == self.span_id
    }

    /// The number of its `SpanKind`.
    pub(super) fn kind(&self) -> u8 {
        self.kind.load(Ordering::Relaxed)
    }

    pub(super) fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::Relaxed)
    }

    /// A span of a language's own tracer.
    pub(super) fn lent(span_id: SpanId, trace: TraceRef, local_root: SpanId, kind: u8) -> Span {
        Span {
            span_id,
            trace,
            local_root,
            is_judged: true,
            failed: AtomicBool::new(false),
            is_lent: AtomicBool::new(true),
            is_of_connection: false,
            served_by: AtomicU16::new(0),
            kind: AtomicU8::new(kind),
            before: Before::default(),
            to_unix_ns: 0,
        }
    }
}

/// How a span begins.
pub(crate) struct Start<'a> {
    pub(super) name: &'a [u8],
    /// The number of a `SpanKind`.
    pub(super) kind: u8,
    /// A handle, [`NO_PARENT`], or 0 for what is active.
    pub(super) parent: u64,
    /// The handle of an extracted context, or 0.
    pub(super) context: u64,
    /// 0 is now.
    pub(super) start_unix_ns: u64,
    pub(super) service: &'a [u8],
    pub(super) resource: &'a [u8],
    pub(super) span_type: &'a [u8],
}

/// Where a new span belongs.
pub(super) struct Place {
    trace: TraceRef,
    parent: SpanId,
    is_remote: bool,
    /// `None`: the new span is one.
    local_root: Option<SpanId>,
    /// The span of a request that the new one takes the place of, and whether sampling rules look at that.
    of_request: Option<(SpanId, bool)>,
}

impl Place {
    /// Whether the trace goes on that came in with a request.
    pub(super) fn goes_on(&self) -> bool {
        self.trace.came_from_outside()
    }

    /// As [`Trace::note_what_came`].
    pub(super) fn note_what_came(&self, came: &SpanContext) {
        self.trace.note_what_came(came);
    }

    fn at_the_root(trace: TraceRef) -> Place {
        let (parent, is_remote) = trace.parent();
        Place { trace, parent, is_remote, local_root: None, of_request: None }
    }
}

impl Tracer {
    /// Begins a span and gives its handle; `None`, after counting it as lost, where no slot is free.
    pub(super) fn start(&'static self, start: &Start<'_>) -> Option<u64> {
        let number = self.try_start(start);
        if number.is_none()
            && let Some(ring) = process::ring()
        {
            ring.lose(1);
        }
        number
    }

    fn try_start(&'static self, start: &Start<'_>) -> Option<u64> {
        let taken = if start.kind == SERVER && start.parent == 0 { self.place_of_request(start.context) } else { None };
        let place = taken.or_else(|| self.place_of(start.parent, start.context, start.kind))?;
        let labels = [(About::Name, start.name), (About::Resource, resource(start)), (About::Service, start.service)];
        self.begin(place, start.kind, start.start_unix_ns, Some(&labels), &mut |told| describe(told.record, start))
    }

    /// Begins a span at its place; `describe` says what is known of it. `labels` are for sampling rules, also where there is
    /// no room to record the span; `None` where a connection tells of it.
    pub(super) fn begin(
        &'static self,
        place: Place,
        kind: u8,
        start_unix_ns: u64,
        labels: Option<&[(About, &[u8])]>,
        describe: &mut dyn FnMut(&mut Told<'_>),
    ) -> Option<u64> {
        let Place { trace, parent, is_remote, local_root, of_request } = place;
        let (unix_ns, monotonic_ns) = (clock::unix_ns(), clock::monotonic_ns());
        let (span_id, is_judged) = of_request.unwrap_or_else(|| (SpanId(RANDOM.next()), false));
        let is_local_root = local_root.is_none();
        let is_judged = is_judged || (of_request.is_none() && is_local_root && trace.begin_root(kind));
        let span = Span {
            span_id,
            trace: trace.clone(),
            local_root: local_root.unwrap_or(span_id),
            is_judged,
            failed: AtomicBool::new(false),
            is_lent: AtomicBool::new(false),
            is_of_connection: labels.is_none(),
            served_by: AtomicU16::new(0),
            kind: AtomicU8::new(kind),
            before: Before::default(),
            to_unix_ns: unix_ns.wrapping_sub(monotonic_ns),
        };
        let taken = self.take_span(span)?;
        if is_judged {
            for (about, text) in labels.unwrap_or_default() {
                if !text.is_empty() {
                    trace.root.add(*about, b"", text);
                }
            }
            if !self.rules.is_empty() {
                self.baggage_tags(&trace, &mut |name, value| trace.root.add(About::Text, name, value));
            }
        }
        // Of a trace that comes in without a span there is no parent that could be elsewhere.
        let remote = if is_remote && parent.is_valid() { SPAN_REMOTE_PARENT } else { 0 };
        let body = SpanBody {
            trace_id: trace.trace_id(),
            parent_id: parent,
            start_unix_ns: if start_unix_ns != 0 { start_unix_ns } else { unix_ns },
            kind,
            trace_flags: trace.span_context(span_id).trace_flags(),
            flags: remote
                | if is_local_root { SPAN_LOCAL_ROOT } else { 0 }
                | if of_request.is_some() { SPAN_TAKES_OVER } else { 0 },
        };
        process::record_span(|record| {
            record.span_start(span_id, &body);
            let root = (is_judged && trace.verdict.outcome().is_none()).then_some(&trace.root);
            describe(&mut Told { record, root, has_rules: !self.rules.is_empty() });
            if let Some(incoming) = trace.incoming().and_then(|incoming| incoming.context.as_ref()) {
                record.trace_state(incoming);
            }
            if is_local_root {
                self.describe_root(record, &trace);
                if !is_judged && let Some(outcome) = trace.verdict.outcome() {
                    super::decide::describe(record, &trace, outcome);
                }
            }
        });
        // Opened last: nobody can end a span that is not recorded yet.
        Some(Handle::Span(taken.open()).number(self.epoch))
    }

    /// A slot for a span; of those that have ended none is kept where there is no other.
    pub(super) fn take_span(&'static self, span: Span) -> Option<Taken<Span, SPANS>> {
        let mut span = Some(span);
        let mut take = || {
            let fill = |slot: &mut MaybeUninit<Span>| {
                if let Some(span) = span.take() {
                    slot.write(span);
                }
            };
            // SAFETY: the slot is filled: the span is there until a slot was found, and then nobody tries again.
            unsafe { self.spans.take(fill) }
        };
        take().or_else(|| {
            self.recent.forget(&self.spans);
            take()
        })
    }

    /// That of the request that the thread serves, if nothing is active above it, its span is nobody's yet, and it is the one
    /// that this context (0: none) came in with: from here on its span is the program's.
    fn place_of_request(&'static self, context: u64) -> Option<Place> {
        // The usual answer.
        if thread::current().request.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let number = self.native_surroundings();
        let span =
            self.span(number).filter(|span| span.kind() == SERVER && span.is_of_connection && !span.is_lent())?;
        if let Some(Handle::Context(key)) = self.handle(context) {
            let came = self.traces.enter(key)?;
            let is_its = came.trace_id() == span.trace.trace_id() && came.parent() == span.trace.parent();
            drop(came);
            if !is_its {
                return None;
            }
            self.traces.close(key);
        }
        if span.is_lent.swap(true, Ordering::Relaxed) {
            return None;
        }
        let place = Place::at_the_root(span.trace.clone());
        Some(Place { of_request: Some((span.span_id, span.is_judged)), ..place })
    }

    /// The place of what a connection tells: below this span, or in a trace of its own, whatever the thread serves.
    pub(super) fn place_of_connection(&'static self, parent: u64, kind: u8) -> Option<Place> {
        if parent == 0
            && let Some(trace) = self.trace_of_process()
        {
            return Some(Place::at_the_root(trace?));
        }
        self.place_of(if parent == 0 { NO_PARENT } else { parent }, 0, kind)
    }

    /// The trace and the parent of a new span, as [`Start`] names them.
    pub(super) fn place_of(&'static self, parent: u64, context: u64, kind: u8) -> Option<Place> {
        if let Some(Handle::Context(key)) = self.handle(context)
            && let Some(trace) = self.traces.close(key)
        {
            return Some(Place::at_the_root(trace));
        }
        if parent != NO_PARENT {
            // One who names a parent that nothing is known of any more is not helped by a parent of another trace.
            let number = if self.handle(parent).is_some() { parent } else { self.surroundings() };
            match self.handle(number) {
                Some(Handle::Span(key)) => {
                    if let Some(span) = self.spans.recall(key) {
                        let (trace, parent) = (span.trace.clone(), span.span_id);
                        let local_root = Some(span.local_root);
                        return Some(Place { trace, parent, is_remote: false, local_root, of_request: None });
                    }
                }
                Some(Handle::Context(key)) => {
                    if let Some(trace) = self.traces.enter(key) {
                        return Some(Place::at_the_root(trace));
                    }
                }
                None => {}
            }
            // The process's own span is no parent of a request that reached it.
            if !is_request(kind)
                && let Some(trace) = self.trace_of_process()
            {
                return Some(Place::at_the_root(trace?));
            }
        }
        self.new_trace().map(Place::at_the_root)
    }

    /// What the first span of its trace in this process has besides.
    fn describe_root(&self, record: &mut RecordWriter, trace: &Trace) {
        if let Some(incoming) = trace.incoming() {
            if let Some(context) = &incoming.context {
                record.incoming(context);
            }
            record.terminated_links(incoming);
        }
        self.baggage_tags(trace, &mut |name, value| record.attribute_text(Name(name), value));
    }

    /// The baggage that is shown on the first span of its trace: each tag's name and value.
    fn baggage_tags(&self, trace: &Trace, each: &mut dyn FnMut(&[u8], &[u8])) {
        trace.baggage.each(|key, value| {
            if self.settings.baggage_tags.contains(key) {
                let mut name = ddtrace::context::Bounded::<264>::new();
                // A longer key is no tag.
                if name.push(b"baggage.").and(name.push(key)).is_ok() {
                    each(name.as_bytes(), value);
                }
            }
        });
    }

    /// The open span or context with this handle, or with 0 the one that new spans would belong under.
    pub(super) fn subject(&'static self, number: u64) -> Option<Subject> {
        let number = if number == 0 { self.surroundings() } else { number };
        match self.handle(number)? {
            Handle::Span(key) => {
                let span = self.spans.enter(key)?;
                let (trace, local_root) = (span.trace.clone(), span.local_root);
                let is_lent = span.is_lent();
                Some(Subject { trace, span_id: span.span_id, local_root: Some(local_root), is_lent })
            }
            Handle::Context(key) => {
                let trace = self.traces.enter(key)?;
                let (span_id, _) = trace.parent();
                Some(Subject { trace, span_id, local_root: None, is_lent: false })
            }
        }
    }

    pub(super) fn span(&'static self, number: u64) -> Option<SpanRef> {
        match self.handle(number)? {
            Handle::Span(key) => self.spans.enter(key),
            Handle::Context(_) => None,
        }
    }

    /// Ends a span. Of several who do so at the same time, one does.
    pub(super) fn finish(&'static self, number: u64, end_unix_ns: u64) {
        self.end(number, end_unix_ns, &mut |_| {});
    }

    /// Ends a span of which `describe` says what its end has shown.
    pub(super) fn end(&'static self, number: u64, end_unix_ns: u64, describe: &mut dyn FnMut(&mut Told<'_>)) {
        let Some(Handle::Span(key)) = self.handle(number) else { return };
        let Some(span) = self.spans.close(key) else { return };
        let now = || clock::monotonic_ns().wrapping_add(span.to_unix_ns);
        let end = EndBody {
            end_unix_ns: if end_unix_ns != 0 { end_unix_ns } else { now() },
            status: if span.failed.load(Ordering::Relaxed) { STATUS_ERROR } else { STATUS_UNSET },
        };
        // After the last that is said of it, as rules may ask for that.
        let is_lent = span.is_lent();
        let mut is_undecided = span.is_local_root() && !is_lent;
        let mut decide = || if core::mem::take(&mut is_undecided) { self.settle_at_end(&span) } else { None };
        if !is_lent {
            process::record_span(|record| {
                record.span_end(span.span_id, &end);
                let root = (span.is_judged && span.trace.verdict.outcome().is_none()).then_some(&span.trace.root);
                describe(&mut Told { record, root, has_rules: !self.rules.is_empty() });
                if let Some(outcome) = decide() {
                    super::decide::describe(record, &span.trace, outcome);
                }
            });
        }
        // Where there was no room for a record, others go by the decision all the same.
        let _ = decide();
        if !span.is_local_root() && span.trace.outgrows_one_part() {
            let _ = self.settle(&span.trace, span.local_root);
        }
        self.deactivate(number, &span.before);
        let request = &thread::current().request;
        if request.load(Ordering::Relaxed) == number {
            request.store(0, Ordering::Relaxed);
        }
        if self.remembers.load(Ordering::Relaxed) {
            self.recent.keep(span);
        }
    }
}

/// What is handed on, or told of: a span or a context.
pub(super) struct Subject {
    pub(super) trace: TraceRef,
    pub(super) span_id: SpanId,
    /// `None` for a context: what begins below it is a local root.
    pub(super) local_root: Option<SpanId>,
    /// It is a language's own tracer's.
    pub(super) is_lent: bool,
}

/// Numbers of a `SpanKind` in OTLP.
pub(super) const SERVER: u8 = 2;
pub(super) const CLIENT: u8 = 3;

/// Numbers of a status in OTLP.
const STATUS_UNSET: u8 = 0;
const STATUS_ERROR: u8 = 2;

/// The resource that it is started with; without one it is the name.
fn resource<'a>(start: &Start<'a>) -> &'a [u8] {
    if start.resource.is_empty() { start.name } else { start.resource }
}

fn describe(record: &mut RecordWriter, start: &Start<'_>) {
    record.text(Attribute::OperationName, cut(start.name, MAX_LABEL));
    let resource = resource(start);
    // OTLP's name, and said again so that no resource is computed from the tags.
    record.text(Attribute::Name, cut(resource, MAX_LABEL));
    record.text(Attribute::ResourceName, cut(resource, MAX_LABEL));
    for (attribute, text) in [(Attribute::Service, start.service), (Attribute::SpanType, start.span_type)] {
        if !text.is_empty() {
            record.text(attribute, cut(text, MAX_LABEL));
        }
    }
}
