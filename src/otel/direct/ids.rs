//! New ids by the same rule as everywhere in the project, in the SDK's types.

use super::continuing::continued;
use crate::ids::TraceId as CoreTraceId;
use crate::recorder::{Process, Recorder};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes ids in Datadog's layout: each process from a source of its own, as a forked child would repeat its parent's.
#[derive(Debug)]
pub(super) struct Generator {
    recorder: Arc<Recorder>,
    full_length: bool,
}

impl Generator {
    /// `recorder` tells the process; `full_length`: whether trace ids have 128 bits.
    pub(super) fn new(recorder: Arc<Recorder>, full_length: bool) -> Self {
        Generator { recorder, full_length }
    }

    fn process(&self) -> &'static Process {
        self.recorder.process()
    }
}

impl IdGenerator for Generator {
    fn new_trace_id(&self) -> TraceId {
        if let Some(trace_id) = continued() {
            return trace_id;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = if self.full_length { now.as_secs() as u32 } else { 0 };
        TraceId::from(CoreTraceId::new(seconds, self.process().random.next()).0)
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(self.process().random.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(full_length: bool) -> Generator {
        Generator::new(Arc::new(Recorder::nowhere()), full_length)
    }

    #[test]
    fn trace_ids_have_the_layout_that_is_configured() {
        let long = u128::from_be_bytes(generator(true).new_trace_id().to_bytes());
        assert!(long >> 96 > 1_700_000_000 && (long >> 64) as u32 == 0 && long as u64 != 0, "{long:x}");
        let short = u128::from_be_bytes(generator(false).new_trace_id().to_bytes());
        assert!(short >> 64 == 0 && short != 0, "{short:x}");
    }
}
