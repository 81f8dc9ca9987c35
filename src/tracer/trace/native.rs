//! A trace that native code of this process knows as well: whether it is kept is decided once, by who needs it first.

use super::ActiveTrace;
use crate::interface::{DecidedInfo, Part, TOLD};
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
