//! A trace that native code of this process knows as well: whether it is kept is decided once, by who needs it first.

use super::ActiveTrace;
use crate::ids::SpanId;
use crate::interface::{DecidedInfo, LentSpan, Part, TOLD, UNDECIDED};
use crate::propagation::{NoBaggage, Outgoing, Propagation};
use crate::span::SpanKind;
use crate::tracer::native;
use crate::tracer::verdict::Verdict;
use crate::tracer::view::view;
use core::sync::atomic::Ordering;

impl ActiveTrace {
    /// Native code knows it by this handle; 0 for none.
    pub(in crate::tracer) fn is_known_to_native_as(&self, anchor: u64) {
        if anchor == 0 {
            return;
        }
        self.anchor.store(anchor, Ordering::Relaxed);
        self.label_native(anchor);
        let mut verdict = self.verdict();
        self.hear_native(&mut verdict);
        self.publish(&verdict);
    }

    /// Another request of the trace, which native code knows by this handle, has brought the same: what is decided goes for
    /// that as well.
    pub(in crate::tracer) fn agree_with_native(&self, anchor: u64) {
        if anchor == 0 {
            return;
        }
        let _ = self.leaving();
        let verdict = self.verdict();
        if let Some(decided) = told(&verdict, true) {
            self.tracer.recorder.decide_native(anchor, Some(&decided));
        }
        drop(verdict);
        self.tracer.recorder.give_back(anchor);
    }

    /// Has native code know a span of this trace, so that what connections ask for can be below it. Gives a handle, to be given
    /// [back](Self::take_back), or 0.
    #[must_use]
    pub fn lend(&self, span_id: SpanId, kind: SpanKind) -> u64 {
        if !self.is_of_this_process() {
            return 0;
        }
        match self.anchored() {
            0 => 0,
            anchor => self.lend_below(anchor, span_id, kind),
        }
    }

    /// It has turned out which role the span has that was lent.
    pub fn tell_kind(&self, lent: u64, kind: &str) {
        self.tracer.recorder.label_native(lent, Part::Kind, kind.as_bytes());
    }

    /// What was lent is over.
    pub fn take_back(&self, lent: u64) {
        self.tracer.recorder.give_back(lent);
    }

    fn lend_below(&self, of: u64, span_id: SpanId, kind: SpanKind) -> u64 {
        self.tracer.recorder.lend(LentSpan { of, ..self.lent(span_id, kind) }, &[])
    }

    fn lent(&self, span_id: SpanId, kind: SpanKind) -> LentSpan {
        LentSpan {
            size: size_of::<LentSpan>() as u32,
            kind: (kind as u8).into(),
            of: 0,
            trace_id_high: self.trace_id.high(),
            trace_id_low: self.trace_id.low(),
            span_id: span_id.0,
            local_root: self.root_id.0,
            headers: core::ptr::null(),
            count: 0,
            priority: UNDECIDED,
            reserved: 0,
        }
    }

    /// The handle by which native code knows it from now on; 0 where that has no room.
    fn anchored(&self) -> u64 {
        let known = self.anchor.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        let mut headers = native::Headers::default();
        let (context, brings) = {
            let verdict = self.verdict();
            (verdict.context_so_far(), verdict.carried().is_some() || self.baggage.is_some())
        };
        if brings {
            let baggage =
                self.baggage.as_deref().map_or(&NoBaggage as &dyn crate::propagation::BaggageSource, |own| own);
            let outgoing = Outgoing { span: context.span, is_local: false, trace: &context, baggage };
            Propagation::between_tracers().inject(&outgoing, &mut headers);
        }
        let kind = self.root().kind;
        let mut lent = self.lent(self.root_id, kind);
        lent.priority = context.span.priority.map_or(UNDECIDED, |priority| priority.0);
        let anchor = self.tracer.recorder.lend(lent, &headers.0);
        if anchor == 0 {
            return 0;
        }
        match self.anchor.compare_exchange(0, anchor, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                self.label_native(anchor);
                let mut verdict = self.verdict();
                let is_final = verdict.is_propagated();
                self.tell_native(&mut verdict, is_final);
                self.publish(&verdict);
                anchor
            }
            Err(known) => {
                self.tracer.recorder.give_back(anchor);
                known
            }
        }
    }

    /// What rules are to see of the local root, if it is native code that has to decide.
    fn label_native(&self, anchor: u64) {
        let (recorder, settings) = (&self.tracer.recorder, &self.tracer.settings);
        if settings.sampler.sampler().rules.is_empty() {
            return;
        }
        view(&self.root(), settings, |root| {
            recorder.label_native(anchor, Part::Name, root.name());
            recorder.label_native(anchor, Part::Resource, root.resource());
            recorder.label_native(anchor, Part::Service, root.service());
        });
    }

    /// What native code has decided, and told others, stands.
    pub(super) fn hear_native(&self, verdict: &mut Verdict) {
        let anchor = self.anchor.load(Ordering::Relaxed);
        if anchor == 0 || verdict.is_final_natively || self.tracer.recorder.decide_native(anchor, None) {
            return;
        }
        self.adopt(verdict, anchor);
    }

    fn adopt(&self, verdict: &mut Verdict, anchor: u64) {
        verdict.is_final_natively = true;
        if let Some((context, _)) = native::context(&self.tracer.recorder, anchor) {
            verdict.adopt(&context);
        }
    }

    /// Native code goes by what is decided here. Gives whether it does.
    pub(super) fn tell_native(&self, verdict: &mut Verdict, is_final: bool) -> bool {
        let anchor = self.anchor.load(Ordering::Relaxed);
        if anchor == 0 || verdict.is_final_natively {
            return true;
        }
        let Some(decided) = told(verdict, is_final) else { return true };
        let agrees = self.tracer.recorder.decide_native(anchor, Some(&decided));
        if !agrees {
            self.adopt(verdict, anchor);
        }
        verdict.is_final_natively |= is_final;
        agrees
    }

    pub(super) fn leave_native(&self) {
        let anchor = self.anchor.load(Ordering::Relaxed);
        if anchor != 0 {
            self.tracer.recorder.give_back(anchor);
        }
    }
}

/// What there is to be told of a decision.
fn told(verdict: &Verdict, is_final: bool) -> Option<DecidedInfo> {
    let priority = verdict.priority()?;
    let decision = verdict.decided().map(|decided| decided.decision);
    Some(DecidedInfo {
        size: size_of::<DecidedInfo>() as u32,
        priority: priority.0,
        mechanism: decision.map_or(TOLD, |decision| decision.mechanism.0.into()),
        is_final: is_final.into(),
        rate: decision.and_then(|decision| decision.rate).unwrap_or(-1.0),
    })
}
