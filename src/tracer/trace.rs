//! What the spans of one trace share in one process.

mod further_roots;
mod native;

use super::data::SpanData;
use super::registry::patiently;
use super::remembered::{Decided, Known};
use super::verdict::{Need, Shown, Verdict};
use super::view::view;
use super::{Tracer, write};
use crate::context::{FLAG_RANDOM, FLAG_SAMPLED, Priority, PropagationError, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId};
use crate::propagation::baggage::Baggage;
use crate::propagation::{BaggageSource, CarrierMut, EachMember, Outgoing};
use crate::record::{DECIDE_AFTER, SPAN_LOCAL_ROOT};
use crate::recorder::Process;
use crate::sampling::Sampler;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// It is not decided whether the trace is kept.
const OPEN: u8 = 0;
const KEPT: u8 = 1;
const DROPPED: u8 = 2;

/// A trace as long as a span of it lives in the process: what came in with it, and whether it is kept.
///
/// That is decided by the sampler, with what the local root holds at that moment, when it is needed for the first time:
/// when the flags of a span's context are asked for, or when the context leaves the process. In between, `manual.keep` and
/// `manual.drop` can override it; once it has left the process, it never changes. Where nobody needed it, no rule matches
/// the local root at its end, and no rate of an Agent is known, it is left to the sidecar, which may know one by then.
#[derive(Debug)]
pub struct ActiveTrace {
    tracer: Arc<Tracer>,
    process: &'static Process,
    trace_id: TraceId,
    root_id: SpanId,
    /// The local root. Locked before the verdict, by whoever needs both.
    root: Mutex<SpanData>,
    verdict: Mutex<Verdict>,
    /// `FLAG_RANDOM`, if the trace came in with it.
    random_flag: u8,
    /// The priority that it came in with.
    came_with: Option<Priority>,
    /// It came from outside: whoever brings it again, undecided, is to be told the same.
    is_from_outside: bool,
    /// What it has of baggage that no API knows of.
    baggage: Option<Arc<Baggage>>,
    /// How many spans below the local root have ended.
    ended: AtomicU32,
    /// The local root has ended.
    is_over: AtomicBool,
    /// The handle by which native code of this process knows it; 0 where it does not.
    anchor: AtomicU64,
    /// The verdict for those who only want to know whether the trace is kept.
    outcome: AtomicU8,
}

impl ActiveTrace {
    pub(super) fn new(
        tracer: Arc<Tracer>,
        process: &'static Process,
        root: SpanData,
        verdict: Verdict,
        baggage: Option<Arc<Baggage>>,
    ) -> Arc<ActiveTrace> {
        let trace = ActiveTrace {
            tracer,
            process,
            trace_id: root.trace_id,
            root_id: root.span_id,
            random_flag: verdict.carried().map_or(0, |context| context.span.flags & FLAG_RANDOM),
            came_with: verdict.priority(),
            is_from_outside: verdict.carried().is_some_and(|context| context.is_remote),
            baggage,
            ended: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            anchor: AtomicU64::new(0),
            outcome: AtomicU8::new(outcome(&verdict).unwrap_or(OPEN)),
            root: Mutex::new(root),
            verdict: Mutex::new(verdict),
        };
        Arc::new(trace)
    }

    /// Its id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The tracer that it is of.
    #[must_use]
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// The local root's id.
    #[must_use]
    pub fn root_id(&self) -> SpanId {
        self.root_id
    }

    /// Whether it belongs to this process, and not to the one that it was forked from.
    #[must_use]
    pub fn is_of(&self, process: &Process) -> bool {
        core::ptr::eq(self.process, process)
    }

    /// Whether it belongs to this process, as [`is_of`](Self::is_of) says it of one.
    #[must_use]
    pub fn is_of_this_process(&self) -> bool {
        self.is_of(self.tracer.recorder.process())
    }

    /// Whether the trace is kept. Decides, if nobody has yet.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.flags() & FLAG_SAMPLED != 0
    }

    /// The W3C trace flags of the trace's spans. Decides as [`is_kept`](Self::is_kept) does.
    pub(super) fn flags(&self) -> u8 {
        if self.outcome.load(Ordering::Relaxed) == OPEN {
            let root = self.root();
            let mut verdict = self.verdict();
            self.decide(&root, &mut verdict, Need::Program);
        }
        self.flags_so_far()
    }

    /// The W3C trace flags of the trace's spans, without deciding: what is undecided counts as kept.
    pub(super) fn flags_so_far(&self) -> u8 {
        let sampled = if self.outcome.load(Ordering::Relaxed) == DROPPED { 0 } else { FLAG_SAMPLED };
        sampled | self.random_flag
    }

    /// The context of a span of this trace as it is now, without deciding anything.
    #[must_use]
    pub fn context_so_far(&self, span_id: SpanId) -> TraceContext {
        // In a forked child the lock may be held by a thread that does not exist there.
        let known = patiently(&self.verdict).map(|verdict| verdict.context_so_far());
        let mut context = known.unwrap_or_default();
        context.span = SpanContext { trace_id: self.trace_id, span_id, ..context.span };
        context.is_remote = false;
        context
    }

    /// What an API shows of the trace in its own form, if that was made before and nothing has changed since.
    #[must_use]
    pub fn shown<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let shown = patiently(&self.verdict)?.shown.clone();
        shown?.downcast().ok()
    }

    /// The same; it is made from the trace's context where it has to be.
    pub fn show<T: Any + Send + Sync>(&self, make: impl FnOnce(&TraceContext) -> T) -> Arc<T> {
        if let Some(shown) = self.shown() {
            return shown;
        }
        let Some(mut verdict) = patiently(&self.verdict) else { return Arc::new(make(&TraceContext::default())) };
        let made = Arc::new(make(&verdict.context_so_far()));
        verdict.shown = Some(Arc::clone(&made) as Shown);
        made
    }

    /// What is to leave the process with a span of this trace. Whether the trace is kept is decided now, and for good.
    #[must_use]
    pub fn leaving(&self) -> Arc<TraceContext> {
        let root = self.root();
        let mut verdict = self.verdict();
        self.decide(&root, &mut verdict, Need::Outside);
        // Whoever is killed from here on has told somebody.
        if verdict.tell() {
            self.tell_every_root(&verdict);
        }
        Arc::clone(verdict.context())
    }

    /// A span below the local root has ended. Of a large trace the first part is about to be sent, and says for all of it
    /// whether it is kept.
    pub(super) fn part_ended(&self) {
        if self.ended.fetch_add(1, Ordering::Relaxed) + 1 == DECIDE_AFTER {
            let _ = self.leaving();
        }
    }

    /// Writes the context of a span of this trace into a carrier, with baggage. Whether the trace is kept is decided now,
    /// and for good.
    pub fn inject(&self, span_id: SpanId, baggage: &dyn BaggageSource, carrier: &mut dyn CarrierMut) {
        let context = self.leaving();
        let span = SpanContext { span_id, ..context.span };
        let both = self.baggage.as_ref().map(|own| Both { given: baggage, own });
        let baggage = both.as_ref().map_or(baggage, |both| both);
        let outgoing = Outgoing { span, is_local: true, trace: &context, baggage };
        // Not under a lock: the carrier is somebody else's code.
        if let Some(error) = self.tracer.settings.propagation.inject(&outgoing, carrier) {
            self.failed_to_leave(error);
        }
    }

    /// A part of the context could not be written: the local root tells.
    fn failed_to_leave(&self, error: PropagationError) {
        if self.verdict().set_error(error) {
            self.tracer.recorder.record(|record| {
                record.amend(self.root_id);
                record.propagation_error(error);
            });
        }
    }

    /// The application wants the trace kept, or dropped. Gives whether that still had an effect: nothing changes any more
    /// when the context has left the process.
    pub fn decide_manually(&self, keep: bool) -> bool {
        let mut verdict = self.verdict();
        self.hear_native(&mut verdict);
        let mut changed = verdict.override_with(Sampler::manual(keep));
        if changed {
            changed = self.tell_native(&mut verdict, false);
        }
        self.publish(&verdict);
        if let Some(decided) = verdict.decided().filter(|_| changed && self.is_from_outside) {
            self.tracer.remembered.add(self.trace_id, decided);
        }
        changed
    }

    /// Changes what the trace carries: its origin or its tags. Gives whether that had an effect, as
    /// [`decide_manually`](Self::decide_manually) does.
    pub fn carry(&self, change: impl FnOnce(&mut TraceContext)) -> bool {
        self.verdict().carry(change)
    }

    fn decide(&self, root: &SpanData, verdict: &mut Verdict, need: Need) {
        self.hear_native(verdict);
        let settings = &self.tracer.settings;
        let take = || {
            let (sampler, env) = (settings.sampler.sampler(), settings.env.as_bytes());
            // Only rules have limits that go by the time.
            let now_ns = if sampler.rules.is_empty() { 0 } else { self.tracer.monotonic_ns() };
            view(root, settings, |root| sampler.decide(self.trace_id, root, env, &self.tracer.recorder, now_ns))
        };
        let is_open = self.is_from_outside && verdict.priority().is_none();
        // Another request may have brought it in the meantime.
        if is_open && let Some(known) = self.tracer.remembered.get(self.trace_id) {
            verdict.repeat(known);
        }
        verdict.decide(take, need);
        if is_open && let Some(decided) = verdict.decided() {
            let first = self.tracer.remembered.add_first(self.trace_id, decided);
            if first.decision != decided.decision {
                verdict.repeat(Known::Decided(Decided { is_propagated: decided.is_propagated, ..first }));
            }
        }
        self.tell_native(verdict, need == Need::Outside);
        self.publish(verdict);
    }

    fn publish(&self, verdict: &Verdict) {
        self.outcome.store(outcome(verdict).unwrap_or(OPEN), Ordering::Relaxed);
    }

    /// The local root starts: it is recorded, with what is decided already.
    pub(super) fn start_root(&self) {
        let mut root = self.root();
        let mut verdict = self.verdict();
        let tells = verdict.tell();
        // A span below one of native code is no local root, and that one has told.
        let came_in = verdict.carried().filter(|_| root.flags & SPAN_LOCAL_ROOT != 0);
        if tells || came_in.is_some() {
            let (size, count) = Verdict::SIZE;
            root.fields.append(size, count, |record| {
                if let Some(context) = came_in {
                    record.incoming(context);
                    if !(tells && verdict.decided().is_some()) {
                        record.trace_state(context);
                    }
                }
                if tells {
                    verdict.write(record);
                }
            });
        }
        drop(verdict);
        write::start(&self.tracer.recorder, &mut root, self.flags_so_far());
    }

    /// The local root ends: what is decided by now, or can be by a rule, goes into the record.
    pub(super) fn end_root(&self, end_ns: u64) {
        let mut root = self.root();
        if root.has_ended() {
            return;
        }
        let mut verdict = self.verdict();
        self.decide(&root, &mut verdict, Need::Nobody);
        if verdict.tell() {
            let (size, count) = Verdict::SIZE;
            root.fields.append(size, count, |record| verdict.write(record));
            self.tell_further_roots(&verdict);
        }
        self.is_over.store(true, Ordering::Relaxed);
        drop(verdict);
        write::end(&self.tracer.recorder, &mut root, end_ns, self.flags_so_far());
    }

    /// The local root ends, and nobody is to see it: what is decided about the trace is all that is recorded.
    pub(super) fn withdraw_root(&self) {
        let mut root = self.root();
        if root.has_ended() {
            return;
        }
        let mut verdict = self.verdict();
        let tells = verdict.tell();
        if tells {
            self.tell_further_roots(&verdict);
        }
        self.is_over.store(true, Ordering::Relaxed);
        write::withdraw(&self.tracer.recorder, &mut root, |record| {
            if tells {
                verdict.write(record);
            }
        });
    }

    pub(super) fn root(&self) -> MutexGuard<'_, SpanData> {
        // A panic elsewhere leaves nothing half done here.
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ActiveTrace {
    fn drop(&mut self) {
        self.leave_native();
        self.tracer.registry.remove(self);
        if self.is_from_outside
            && let Some(decided) = self.verdict.get_mut().unwrap_or_else(PoisonError::into_inner).decided()
        {
            self.tracer.remembered.add(self.trace_id, decided);
        }
    }
}

/// The baggage that the API gives, and behind it what else the trace has.
struct Both<'a> {
    given: &'a dyn BaggageSource,
    own: &'a Baggage,
}

impl BaggageSource for Both<'_> {
    fn members(&self, each: &mut EachMember<'_>) {
        let mut given = Vec::new();
        self.given.members(&mut |key, value, properties| {
            given.push(Vec::from(key));
            each(key, value, properties);
        });
        self.own.members(&mut |key, value, properties| {
            if given.iter().all(|other| other != key) {
                each(key, value, properties);
            }
        });
    }
}

fn outcome(verdict: &Verdict) -> Option<u8> {
    verdict.priority().map(|priority| if priority.keeps() { KEPT } else { DROPPED })
}
