//! A trace that comes into the process more than once, as several requests of one trace do.

use super::ActiveTrace;
use crate::context::{FLAG_RANDOM, TraceContext};
use crate::ids::SpanId;
use crate::record::SPAN_LOCAL_ROOT;
use crate::tracer::data::SpanData;
use crate::tracer::remembered::Known;
use crate::tracer::verdict::Verdict;
use crate::tracer::write;
use core::sync::atomic::Ordering;

/// So many of the last ones tell what is decided after their start.
const MOST_FURTHER_ROOTS: usize = 64;

impl ActiveTrace {
    /// Whether what came in with a second context of this trace says the same as what is known.
    pub(in crate::tracer) fn agrees_with(&self, context: &TraceContext) -> bool {
        let known = self.verdict().priority();
        context.span.priority.is_none() || context.span.priority == known
    }

    /// Whether a second context of this trace has the same to be handed on as the one that it came in with.
    pub(in crate::tracer) fn carries_the_same(&self, context: &TraceContext) -> bool {
        self.verdict().context_so_far().carries_the_same(context)
    }

    /// Whether what is below a second context of this trace can be told what those below the first one are.
    pub(in crate::tracer) fn hands_on_the_same(&self, context: &TraceContext) -> bool {
        self.random_flag == context.span.flags & FLAG_RANDOM && self.carries_the_same(context)
    }

    /// What is decided about the trace, now and for good.
    pub(in crate::tracer) fn agreed(&self) -> Option<Known> {
        let _ = self.leaving();
        let verdict = self.verdict();
        verdict.decided().map(Known::Decided).or_else(|| verdict.priority().map(Known::Brought))
    }

    /// Whether those of its spans that were told this context's priority may have been told it by this one.
    pub(in crate::tracer) fn was_told(&self, context: &TraceContext) -> bool {
        let priority = context.span.priority;
        priority == self.came_with || priority == self.verdict().priority()
    }

    /// Another span through which the trace came into the process starts; it tells what it knows, as the first one did.
    pub(in crate::tracer) fn start_further_root(&self, data: &mut SpanData, context: &TraceContext) {
        let mut verdict = self.verdict();
        let (size, count) = Verdict::SIZE;
        data.fields.append(size, count, |record| {
            record.incoming(context);
            if verdict.decided().is_none() {
                record.trace_state(context);
            }
            verdict.write(record);
        });
        if data.flags & SPAN_LOCAL_ROOT != 0 {
            if verdict.further_roots.len() == MOST_FURTHER_ROOTS {
                verdict.further_roots.remove(0);
            }
            verdict.further_roots.push(data.span_id);
        }
        // Under the lock: nobody is to tell more of it before it has started.
        write::start(&self.tracer.recorder, data, self.flags_so_far());
    }

    /// A span that is not the first local root is about to end, or to be withdrawn: what was decided since a local root has
    /// last told is told, if none may come that does.
    pub(in crate::tracer) fn leave_below(&self, data: &SpanData) {
        if data.flags & SPAN_LOCAL_ROOT == 0 && !self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let mut verdict = self.verdict();
        if verdict.tell() {
            self.tell_every_root(&verdict);
        }
    }

    /// Every local root tells what is decided about the trace; those that have ended, too, as they may not have been sent.
    pub(super) fn tell_every_root(&self, verdict: &Verdict) {
        self.tell(verdict, self.root_id);
        self.tell_further_roots(verdict);
    }

    /// All but the first one do.
    pub(super) fn tell_further_roots(&self, verdict: &Verdict) {
        for root in &verdict.further_roots {
            self.tell(verdict, *root);
        }
    }

    fn tell(&self, verdict: &Verdict, root: SpanId) {
        self.tracer.recorder.record(|record| {
            record.amend(root);
            verdict.write(record);
        });
    }
}
