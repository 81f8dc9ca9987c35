//! Starting spans: where they hang, and what they bring along.

use super::data::SpanData;
use super::live::LiveSpan;
use super::native::NativeRequest;
use super::trace::ActiveTrace;
use super::value::AttributeValue;
use super::verdict::Verdict;
use super::{Tracer, native, now_unix_ns};
use crate::context::{FLAG_SAMPLED, Priority, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId};
use crate::interface::CURRENT_IS_LENT;
use crate::propagation::baggage::Baggage;
use crate::propagation::{BaggageSource, Extracted};
use crate::record::{SPAN_LOCAL_ROOT, SPAN_REMOTE_PARENT, SPAN_TAKES_OVER};
use crate::recorder::Process;
use crate::semconv::is_request;
use crate::span::{Scope, SpanKind};
use core::net::SocketAddr;
use std::borrow::Cow;
use std::string::String;
use std::sync::Arc;

/// What a new span hangs under.
#[derive(Clone, Copy, Debug)]
pub enum Parent<'a> {
    /// Nothing that the API knows of. It may still have a parent: see [`Tracer::start`].
    None,
    /// A span whose context was handed over: from outside, or of a trace that is gone by now.
    Context(&'a TraceContext),
    /// A span of this process.
    Local(&'a Arc<ActiveTrace>, SpanId),
}

/// A span that is to be started.
pub struct Start<'a> {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its role.
    pub kind: SpanKind,
    /// It stands for a request that has reached the program, whatever its role says.
    pub is_request: bool,
    /// The request of native code that it is, or that it belongs to where it has no parent.
    pub native_request: NativeRequest,
    /// Who has made the request that it is, if that is known: it tells requests apart that take turns on a thread.
    pub peer: Option<SocketAddr>,
    /// When it started, in nanoseconds since the Unix epoch; `None` is now.
    pub start_unix_ns: Option<u64>,
    /// What it hangs under.
    pub parent: Parent<'a>,
    /// What came in: the contexts that are not continued are linked to, if it is the first of its trace in the process.
    pub incoming: Option<&'a Extracted>,
    /// Baggage that came in: shown on it as the configuration says, if it is the first of its trace in the process.
    pub incoming_baggage: Option<&'a dyn BaggageSource>,
    /// What makes it.
    pub scope: Option<Arc<Scope>>,
}

impl<'a> Start<'a> {
    /// A span inside the process, that starts now.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, parent: Parent<'a>) -> Start<'a> {
        Start {
            name: name.into(),
            kind: SpanKind::Internal,
            is_request: false,
            native_request: NativeRequest::OfThread,
            peer: None,
            start_unix_ns: None,
            parent,
            incoming: None,
            incoming_baggage: None,
            scope: None,
        }
    }
}

/// Where a span that is the first of its trace in the process hangs.
struct Place {
    trace_id: TraceId,
    parent_id: SpanId,
    /// What is continued; `None` for a new trace.
    context: Option<Arc<TraceContext>>,
    /// What its trace has of baggage that no API knows of.
    baggage: Option<Arc<Baggage>>,
    /// A native span of this process is the local root, and tells of the trace.
    is_below_native: bool,
    /// The span of a request that native code has begun, and the handle of its trace: the new one takes its place.
    taken: Option<(SpanId, u64)>,
}

impl Place {
    fn of(context: TraceContext) -> Place {
        let SpanContext { trace_id, span_id: parent_id, .. } = context.span;
        Place { context: Some(Arc::new(context)), ..Place::new(trace_id, parent_id) }
    }

    fn new(trace_id: TraceId, parent_id: SpanId) -> Place {
        Place { trace_id, parent_id, context: None, baggage: None, is_below_native: false, taken: None }
    }
}

impl Tracer {
    /// Starts a span. `fill` sets what is known of it: the sampling rules see it, and if it is the first of its trace in
    /// the process, it is recorded at once.
    ///
    /// If it is a request that native code has begun a span for already, it takes that one's id and place: it is one span.
    ///
    /// Without a parent it hangs under the span that native code has active on this thread. Else, if it is the work of
    /// the program as a whole and not a request that reached it (a server's, a consumer's), under the process's own span,
    /// where that is recorded. Else it begins a new trace.
    pub fn start(self: &Arc<Tracer>, mut start: Start<'_>, fill: impl FnOnce(&mut SpanData)) -> LiveSpan {
        let process = self.process();
        let start_ns = *start.start_unix_ns.get_or_insert_with(now_unix_ns);
        if let Some(place) = self.take_request(&start) {
            return self.start_at(start, process, place, fill);
        }
        let place = match start.parent {
            Parent::Local(trace, parent_id) if trace.is_of(process) => {
                return self.start_below(&Arc::clone(trace), start, process, parent_id, fill);
            }
            // The parent began in the process that this one was forked from.
            Parent::Local(trace, parent_id) => {
                Place::of(TraceContext { is_remote: true, ..trace.context_so_far(parent_id) })
            }
            Parent::Context(context) => Place::of(context.clone()),
            // A trace came in without a span to hang under: this one is the first of it.
            Parent::None if let Some(context) = start.incoming.and_then(Extracted::rootless) => {
                Place::of(context.clone())
            }
            Parent::None => {
                let native = native::surroundings(&self.recorder, start.native_request);
                if let Some((trace, parent_id)) = self.known_to_native(native) {
                    return self.start_below(&trace, start, process, parent_id, fill);
                }
                let mut place = self.place_of_root(process, start.kind, native, start_ns);
                let said = start.incoming.and_then(|incoming| incoming.context.as_ref());
                // It has no trace to continue, but says whether the one that begins is kept.
                let said = said.filter(|said| !said.span.trace_id.is_valid() && self.respects_parent());
                if let (None, Some(said)) = (&place.context, said) {
                    let mut context = said.clone();
                    context.span.trace_id = place.trace_id;
                    context.is_remote = false;
                    place.context = Some(Arc::new(context));
                }
                place
            }
        };
        self.start_at(start, process, place, fill)
    }

    fn start_below(
        &self,
        trace: &Arc<ActiveTrace>,
        start: Start<'_>,
        process: &Process,
        parent_id: SpanId,
        fill: impl FnOnce(&mut SpanData),
    ) -> LiveSpan {
        let mut data = self.data(start, process, trace.trace_id(), parent_id);
        fill(&mut data);
        follow(&mut data, trace);
        LiveSpan::below(Arc::clone(trace), data)
    }

    /// The place of the span that native code has begun for the same request: what has come in with both names the same
    /// trace and parent, or the API knows of nothing that came in.
    fn take_request(&self, start: &Start<'_>) -> Option<Place> {
        if start.kind != SpanKind::Server && !start.is_request {
            return None;
        }
        let incoming = match start.parent {
            Parent::Context(context) if context.is_remote => Some(context),
            Parent::None => start.incoming.and_then(Extracted::rootless),
            Parent::Context(_) | Parent::Local(..) => return None,
        };
        let taken = native::take_over(&self.recorder, start.native_request, |trace_id, parent_id| {
            incoming.is_none_or(|context| (context.span.trace_id, context.span.span_id) == (trace_id, parent_id))
        })?;
        let mut place = Place::new(taken.trace_id, taken.parent_id);
        place.taken = Some((taken.span_id, taken.anchor));
        match (incoming, taken.context) {
            // The API knows of baggage by itself.
            (Some(context), _) => place.context = Some(Arc::new(context.clone())),
            (None, Some((context, baggage))) => {
                place.context = Some(Arc::new(context));
                place.baggage = (!baggage.is_empty()).then(|| Arc::new(baggage));
            }
            (None, None) => {}
        }
        Some(place)
    }

    /// The trace that a handle of native code leads to, where that is one of this tracer.
    fn known_to_native(&self, native: u64) -> Option<(Arc<ActiveTrace>, SpanId)> {
        let span = self.recorder.describe_native(native).filter(|_| native != 0)?;
        if span.flags & CURRENT_IS_LENT == 0 {
            return None;
        }
        let SpanContext { trace_id, span_id, .. } = native::span_of(&span);
        Some((self.active_of(trace_id, span_id, TraceContext::default)?, span_id))
    }

    fn start_at(
        self: &Arc<Tracer>,
        start: Start<'_>,
        process: &'static Process,
        place: Place,
        fill: impl FnOnce(&mut SpanData),
    ) -> LiveSpan {
        let (incoming, baggage) = (start.incoming, start.incoming_baggage);
        let mut data = self.data(start, process, place.trace_id, place.parent_id);
        data.flags = if place.is_below_native { 0 } else { SPAN_LOCAL_ROOT };
        if let Some((span_id, _)) = place.taken {
            data.span_id = span_id;
            data.flags |= SPAN_TAKES_OVER;
        }
        let anchor = place.taken.map_or(0, |(_, anchor)| anchor);
        // Of a trace that comes in without a span there is no parent that could be elsewhere.
        if place.parent_id.is_valid() && place.context.as_ref().is_some_and(|context| context.is_remote) {
            data.flags |= SPAN_REMOTE_PARENT;
        }
        fill(&mut data);
        if let Some(incoming) = incoming {
            data.link_terminated(incoming);
        }
        let inherited = place.baggage.as_deref().filter(|_| !place.is_below_native);
        if let Some(baggage) = baggage.or(inherited.map(|baggage| baggage as &dyn BaggageSource)) {
            self.show_baggage(&mut data, baggage);
        }
        // The same trace can come into a process in several ways: it is kept or dropped as a whole.
        let mut agreed = None;
        if let Some(context) = &place.context {
            let is_it = |trace: &ActiveTrace| trace.agrees_with(context) && trace.hands_on_the_same(context);
            if let Some(trace) = self.find(place.trace_id, is_it) {
                follow(&mut data, &trace);
                trace.start_further_root(&mut data, context);
                trace.agree_with_native(anchor);
                return LiveSpan::below(trace, data);
            }
            // What is below this one hands on what came in with it, and not what came with the other; the decision is one.
            let other = self.find(place.trace_id, |trace| trace.agrees_with(context));
            agreed = other.filter(|_| context.span.priority.is_none() && context.is_remote);
        }
        let agreed = agreed.map(|trace| trace.agreed());
        let mut verdict = Verdict::new(place.trace_id, place.context, self.respects_parent());
        if place.is_below_native {
            verdict = verdict.told_by_others();
        }
        let manual = data.take_manual();
        if let Some(priority) = verdict.brought() {
            self.remembered.bring(place.trace_id, priority);
        } else if verdict.is_open_from_outside()
            && let Some(known) = agreed.unwrap_or_else(|| self.remembered.get(place.trace_id))
        {
            verdict.repeat(known);
        }
        let trace = ActiveTrace::new(Arc::clone(self), process, data, verdict, place.baggage);
        trace.is_known_to_native_as(anchor);
        if let Some(keep) = manual {
            trace.decide_manually(keep);
        }
        self.registry.insert(&trace);
        trace.start_root();
        LiveSpan::root(trace)
    }

    fn respects_parent(&self) -> bool {
        self.settings.sampler.sampler().respects_parent
    }

    fn data(&self, start: Start<'_>, process: &Process, trace_id: TraceId, parent_id: SpanId) -> SpanData {
        let start_ns = start.start_unix_ns.unwrap_or_else(now_unix_ns);
        let span_id = SpanId(process.random.next());
        let mut data = SpanData::new(trace_id, span_id, parent_id, start_ns, self.settings.limits);
        data.name = start.name;
        data.kind = start.kind;
        data.scope = start.scope;
        data
    }

    fn place_of_root(&self, process: &Process, kind: SpanKind, native: u64, now_ns: u64) -> Place {
        if let Some((context, baggage)) = native::context(&self.recorder, native) {
            let baggage = (!baggage.is_empty()).then(|| Arc::new(baggage));
            // What native code was handed is continued here; a span of its own tells of the trace by itself.
            let is_below_native = !context.is_remote;
            return Place { is_below_native, baggage, ..Place::of(context) };
        }
        if process.is_span() && !is_request(kind as u8) {
            return Place { baggage: self.started_with.clone(), ..Place::of(self.context_of(process)) };
        }
        Place::new(self.new_trace_id(process, now_ns), SpanId(0))
    }

    /// The context of the process's own span. Its trace was handed on to children as kept or not when it began.
    fn context_of(&self, process: &Process) -> TraceContext {
        let is_its = |context: &&TraceContext| context.span.trace_id == process.trace_id();
        let mut context = self.started_in.as_ref().filter(is_its).cloned().unwrap_or_default();
        let kept = process.trace_flags() & FLAG_SAMPLED != 0;
        let priority = if kept { Priority::AUTO_KEEP } else { Priority::AUTO_REJECT };
        context.span = SpanContext {
            trace_id: process.trace_id(),
            span_id: process.span_id(),
            priority: context.span.priority.or(Some(priority)),
            flags: process.trace_flags(),
        };
        context.is_remote = false;
        context
    }

    /// In Datadog's layout, which has the seconds of its beginning.
    fn new_trace_id(&self, process: &Process, now_ns: u64) -> TraceId {
        let seconds = if self.settings.trace_id_128_bit { (now_ns / 1_000_000_000) as u32 } else { 0 };
        TraceId::new(seconds, process.random.next())
    }

    fn show_baggage(&self, data: &mut SpanData, baggage: &dyn BaggageSource) {
        baggage.members(&mut |key, value, _| {
            let key = String::from_utf8_lossy(key);
            if self.settings.shows_baggage(&key) {
                let value = String::from_utf8_lossy(value);
                data.set_attribute(&std::format!("baggage.{key}"), AttributeValue::Text(&value));
            }
        });
    }
}

/// A wish to keep or drop the trace that a new span of it has expressed.
fn follow(data: &mut SpanData, trace: &ActiveTrace) {
    if let Some(keep) = data.take_manual() {
        trace.decide_manually(keep);
    }
}
