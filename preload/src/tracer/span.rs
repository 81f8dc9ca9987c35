//! Spans: how they begin, which one is active, how they end.

use super::handle::Handle;
use super::pool::Held;
use super::root_log::About;
use super::trace::{Trace, TraceRef};
use super::write::{MAX_LABEL, Told, cut};
use super::{Tracer, clock};
use crate::process::{self, RANDOM};
use crate::thread;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ddtrace::ids::SpanId;
use ddtrace::interface::NO_PARENT;
use ddtrace::record::{EndBody, Name, RecordWriter, SPAN_LOCAL_ROOT, SPAN_REMOTE_PARENT, SpanBody, SpanFields};
use ddtrace::semconv::Key as Attribute;

/// How many spans a process can have open at the same time.
pub(crate) const SPANS: usize = 16 * 1024;

/// A use of an open span.
pub(crate) type SpanRef = Held<Span, SPANS>;

/// An open span. What is known of it is in the ring already; this is what later calls need.
pub(crate) struct Span {
    pub(super) span_id: SpanId,
    pub(super) trace: TraceRef,
    pub(super) is_local_root: bool,
    pub(super) failed: AtomicBool,
    /// The number of a `SpanKind`.
    pub(super) kind: u8,
    /// What was active on the thread before this span was.
    before: AtomicU64,
    /// From the clock that never goes back to Unix time, as it was at the start, so that no change of the time makes the
    /// span longer or shorter.
    to_unix_ns: u64,
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
    is_local_root: bool,
}

impl Place {
    fn at_the_root(trace: TraceRef) -> Place {
        let (parent, is_remote) = trace.parent();
        Place { trace, parent, is_remote, is_local_root: true }
    }
}

impl Tracer {
    /// Begins a span and gives its handle; `None`, after counting it as lost, where no slot is free.
    pub(super) fn start(&'static self, start: &Start<'_>) -> Option<u64> {
        let number = self.try_start(start);
        if number.is_none()
            && let Some(ring) = process::ring()
        {
            ring.lose();
        }
        number
    }

    fn try_start(&'static self, start: &Start<'_>) -> Option<u64> {
        let place = self.place_of(start.parent, start.context)?;
        self.begin(place, start.kind, start.start_unix_ns, &mut |told| describe(told, start))
    }

    /// Begins a span at its place; `describe` says what is known of it.
    pub(super) fn begin(
        &'static self,
        place: Place,
        kind: u8,
        start_unix_ns: u64,
        describe: &mut dyn FnMut(&mut Told<'_>),
    ) -> Option<u64> {
        let Place { trace, parent, is_remote, is_local_root } = place;
        let (unix_ns, monotonic_ns) = (clock::unix_ns(), clock::monotonic_ns());
        let span_id = SpanId(RANDOM.next());
        // SAFETY: the slot is filled.
        let taken = unsafe {
            self.spans.take(|slot| {
                slot.write(Span {
                    span_id,
                    trace: trace.clone(),
                    is_local_root,
                    failed: AtomicBool::new(false),
                    kind,
                    before: AtomicU64::new(0),
                    to_unix_ns: unix_ns.wrapping_sub(monotonic_ns),
                });
            })
        }?;
        if is_local_root {
            trace.set_local_root(span_id);
        }
        let remote = if is_remote { SPAN_REMOTE_PARENT } else { 0 };
        let body = SpanBody {
            trace_id: trace.trace_id(),
            parent_id: parent,
            start_unix_ns: if start_unix_ns != 0 { start_unix_ns } else { unix_ns },
            kind,
            trace_flags: trace.span_context(span_id).trace_flags(),
            flags: if is_local_root { remote | SPAN_LOCAL_ROOT } else { remote },
        };
        process::record_span(|record| {
            record.span_start(span_id, &body);
            let root = (is_local_root && trace.verdict.outcome().is_none()).then_some(&trace.root);
            describe(&mut Told { record, root, has_rules: !self.rules.is_empty() });
            if let Some(incoming) = trace.incoming().and_then(|incoming| incoming.context.as_ref())
                && !incoming.trace_state.is_empty()
            {
                record.text(Attribute::TraceState, incoming.trace_state.as_bytes());
            }
            if is_local_root {
                self.describe_root(record, &trace);
            }
        });
        // Opened last: nobody can end a span that is not recorded yet.
        Some(Handle::Span(taken.open()).number(self.epoch))
    }

    /// The trace and the parent of a new span, as [`Start`] names them.
    pub(super) fn place_of(&'static self, parent: u64, context: u64) -> Option<Place> {
        if let Some(Handle::Context(key)) = self.handle(context)
            && let Some(trace) = self.traces.close(key)
        {
            return Some(Place::at_the_root(trace));
        }
        if parent != NO_PARENT {
            // A parent that has ended says nothing any more; the active span is then the best guess.
            for number in [parent, self.surroundings()] {
                match self.handle(number) {
                    Some(Handle::Span(key)) => {
                        if let Some(span) = self.spans.enter(key) {
                            let trace = span.trace.clone();
                            return Some(Place { trace, parent: span.span_id, is_remote: false, is_local_root: false });
                        }
                    }
                    Some(Handle::Context(key)) => {
                        if let Some(context) = self.traces.enter(key) {
                            let continued = context.context(context.verdict.outcome());
                            return self.continued_trace(&context, continued).map(Place::at_the_root);
                        }
                    }
                    None => {}
                }
            }
            if let Some(trace) = self.trace_of_process() {
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
        trace.baggage.each(|key, value| {
            if self.settings.baggage_tags.contains(key) {
                let mut name = ddtrace::context::Bounded::<264>::new();
                // A longer key is no tag.
                if name.push(b"baggage.").and(name.push(key)).is_ok() {
                    record.attribute_text(Name(name.as_bytes()), value);
                }
            }
        });
    }

    /// The open span with this handle, or with 0 the one that new spans would belong under.
    pub(super) fn span_or_active(&'static self, number: u64) -> Option<SpanRef> {
        self.span(if number == 0 { self.surroundings() } else { number })
    }

    pub(super) fn span(&'static self, number: u64) -> Option<SpanRef> {
        match self.handle(number)? {
            Handle::Span(key) => self.spans.enter(key),
            Handle::Context(_) => None,
        }
    }

    pub(super) fn is_open(&'static self, number: u64) -> bool {
        match self.handle(number) {
            Some(Handle::Span(key)) => self.spans.enter(key).is_some(),
            Some(Handle::Context(key)) => self.traces.enter(key).is_some(),
            None => false,
        }
    }

    /// What is active on this thread and has not ended.
    pub(super) fn open_active(&'static self) -> u64 {
        let number = self.active();
        if self.is_open(number) { number } else { 0 }
    }

    /// Makes a span or a context the active one; what has ended is none.
    pub(super) fn activate(&'static self, number: u64) -> u64 {
        let before = self.open_active();
        if before == number {
            return before;
        }
        if let Some(span) = self.span(number) {
            span.before.store(before, Ordering::Relaxed);
        }
        let new = if self.is_open(number) { number } else { 0 };
        thread::current().active.store(new, Ordering::Relaxed);
        before
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
        process::record_span(|record| {
            record.span_end(span.span_id, &end);
            let root = (span.is_local_root && span.trace.verdict.outcome().is_none()).then_some(&span.trace.root);
            describe(&mut Told { record, root, has_rules: !self.rules.is_empty() });
            if span.is_local_root
                && let Some(outcome) = self.settle_quietly(&span.trace)
            {
                super::decide::describe(record, &span.trace, outcome);
            }
        });
        if !span.is_local_root && span.trace.outgrows_one_part() {
            let _ = self.settle(&span.trace);
        }
        let thread = thread::current();
        if thread.active.load(Ordering::Relaxed) == number {
            let before = span.before.load(Ordering::Relaxed);
            thread.active.store(if self.is_open(before) { before } else { 0 }, Ordering::Relaxed);
        }
        if thread.request.load(Ordering::Relaxed) == number {
            thread.request.store(0, Ordering::Relaxed);
        }
    }
}

/// Numbers of a `SpanKind` in OTLP.
pub(super) const SERVER: u8 = 2;
pub(super) const CLIENT: u8 = 3;

/// Numbers of a status in OTLP.
const STATUS_UNSET: u8 = 0;
const STATUS_ERROR: u8 = 2;

fn describe(told: &mut Told<'_>, start: &Start<'_>) {
    for (about, text) in [(About::Name, start.name), (About::Resource, start.resource), (About::Service, start.service)]
    {
        told.note(about, text);
    }
    let record = &mut *told.record;
    record.text(Attribute::OperationName, cut(start.name, MAX_LABEL));
    let resource = if start.resource.is_empty() { start.name } else { start.resource };
    // OTLP's name, and said again so that no resource is computed from the tags.
    record.text(Attribute::Name, cut(resource, MAX_LABEL));
    record.text(Attribute::ResourceName, cut(resource, MAX_LABEL));
    for (attribute, text) in [(Attribute::Service, start.service), (Attribute::SpanType, start.span_type)] {
        if !text.is_empty() {
            record.text(attribute, cut(text, MAX_LABEL));
        }
    }
}
