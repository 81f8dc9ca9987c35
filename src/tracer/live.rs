//! A span from its start to its end.

use super::data::SpanData;
use super::trace::ActiveTrace;
use super::{now_unix_ns, write};
use crate::context::SpanContext;
use crate::ids::SpanId;
use crate::record::SPAN_LOCAL_ROOT;
use std::boxed::Box;
use std::sync::Arc;

/// A span that was started. Dropping it without [`end`](LiveSpan::end) records nothing more of it.
#[derive(Debug)]
pub struct LiveSpan {
    trace: Arc<ActiveTrace>,
    span_id: SpanId,
    /// Its data; `None` for the local root, whose data the trace has.
    own: Option<Box<SpanData>>,
}

impl LiveSpan {
    pub(super) fn root(trace: Arc<ActiveTrace>) -> LiveSpan {
        LiveSpan { span_id: trace.root_id(), trace, own: None }
    }

    pub(super) fn below(trace: Arc<ActiveTrace>, data: SpanData) -> LiveSpan {
        LiveSpan { span_id: data.span_id, trace, own: Some(Box::new(data)) }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SpanId {
        self.span_id
    }

    /// The trace that it is of.
    #[must_use]
    pub fn trace(&self) -> &Arc<ActiveTrace> {
        &self.trace
    }

    /// Its context: ids, and whether the trace is kept. Asking decides that, where a rule of the configuration can.
    #[must_use]
    pub fn context(&self) -> SpanContext {
        let flags = self.trace.flags();
        SpanContext { trace_id: self.trace.trace_id(), span_id: self.span_id, priority: None, flags }
    }

    /// Looks at what it holds.
    pub fn read<T>(&self, look: impl FnOnce(&SpanData) -> T) -> T {
        match &self.own {
            Some(data) => look(data),
            None => look(&self.trace.root()),
        }
    }

    /// Changes what it holds. What has ended, or belongs to the process that this one was forked from, stays as it is.
    ///
    /// Gives whether the change had its effect; a wish to keep or drop the trace comes too late once its context has left
    /// the process.
    pub fn change(&mut self, change: impl FnOnce(&mut SpanData)) -> bool {
        if !self.trace.is_of_this_process() {
            return false;
        }
        let manual = match &mut self.own {
            Some(data) if !data.has_ended() => {
                change(data);
                data.take_manual()
            }
            Some(_) => return false,
            None => {
                let mut root = self.trace.root();
                if root.has_ended() {
                    return false;
                }
                change(&mut root);
                root.take_manual()
            }
        };
        manual.is_none_or(|keep| self.trace.decide_manually(keep))
    }

    /// Has what is known of it told, where it is the local root: that is seen if the process dies before its end.
    pub fn tell(&mut self) {
        if self.own.is_none() && self.trace.is_of_this_process() {
            write::tell(&self.trace.tracer().recorder, &mut self.trace.root());
        }
    }

    /// Ends it now.
    pub fn end(&mut self) {
        self.end_at(now_unix_ns());
    }

    /// Ends it at a time in nanoseconds since the Unix epoch; what is before its start is its start. Only the first end
    /// counts, and only in the process that started it.
    pub fn end_at(&mut self, end_unix_ns: u64) {
        if !self.trace.is_of_this_process() {
            return;
        }
        match &mut self.own {
            Some(data) if !data.has_ended() => {
                self.trace.leave_below(data);
                write::end(&self.trace.tracer().recorder, data, end_unix_ns, self.trace.flags_so_far());
                self.trace.part_ended();
            }
            Some(_) => {}
            None => self.trace.end_root(end_unix_ns),
        }
    }

    /// Takes it back, as if it had never been: nobody is to see it. It has ended then. Only the process that started it can
    /// do that.
    pub fn withdraw(&mut self) {
        if !self.trace.is_of_this_process() {
            return;
        }
        match &mut self.own {
            Some(data) if !data.has_ended() => {
                self.trace.leave_below(data);
                write::withdraw(&self.trace.tracer().recorder, data, |_| {});
            }
            Some(_) => {}
            None => self.trace.withdraw_root(),
        }
    }

    /// Whether it can still be changed.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.trace.is_of_this_process() && !self.read(SpanData::has_ended)
    }

    /// Whether it is the first of its trace in this process.
    #[must_use]
    pub fn is_local_root(&self) -> bool {
        self.read(|data| data.flags & SPAN_LOCAL_ROOT != 0)
    }
}
