//! New ids by the same rule as everywhere in the project, in the SDK's types.

use crate::ids::TraceId as CoreTraceId;
use crate::random::Random;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes ids in Datadog's layout.
pub(super) struct Generator {
    random: Random,
    full_length: bool,
}

impl Generator {
    /// `full_length`: whether trace ids have 128 bits.
    pub(super) fn new(full_length: bool) -> Self {
        Generator { random: Random::new(), full_length }
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The state would tell the ids that come next.
        out.debug_struct("Generator").field("full_length", &self.full_length).finish_non_exhaustive()
    }
}

impl IdGenerator for Generator {
    fn new_trace_id(&self) -> TraceId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = if self.full_length { now.as_secs() as u32 } else { 0 };
        TraceId::from(CoreTraceId::new(seconds, self.random.next()).0)
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(self.random.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_have_the_layout_that_is_configured() {
        let long = u128::from_be_bytes(Generator::new(true).new_trace_id().to_bytes());
        assert!(long >> 96 > 1_700_000_000 && (long >> 64) as u32 == 0 && long as u64 != 0, "{long:x}");
        let short = u128::from_be_bytes(Generator::new(false).new_trace_id().to_bytes());
        assert!(short >> 64 == 0 && short != 0, "{short:x}");
    }
}
