//! W3C Trace Context: `traceparent`.

use crate::context::{Bounded, MAX_OT_MEMBER};
use crate::ids::{SpanId, TraceId, parse_hex_u64};

/// Bytes of a `traceparent` of version 00.
pub const TRACEPARENT_LENGTH: usize = 55;

/// What a `traceparent` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The sender's span.
    pub span_id: SpanId,
    /// The trace flags; bit 0 is "sampled", bit 1 "random".
    pub flags: u8,
}

impl TraceParent {
    /// Reads a `traceparent`: lower case only, no version `ff`, no zero ids; a future version may have more behind the
    /// flags, version 00 may not.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<TraceParent> {
        let text = text.trim_ascii();
        let (head, rest) = text.split_at_checked(TRACEPARENT_LENGTH)?;
        let (version, head) = head.split_at_checked(2)?;
        let (trace, head) = field(head, 32)?;
        let (span, head) = field(head, 16)?;
        let (flags, _) = field(head, 2)?;
        let version = parse_hex_u64(version)?;
        let rest_is_fine = match version {
            0xff => false,
            0 => rest.is_empty(),
            _ => rest.is_empty() || rest.first() == Some(&b'-'),
        };
        if !rest_is_fine {
            return None;
        }
        Some(TraceParent {
            trace_id: TraceId::from_hex(trace)?,
            span_id: SpanId::from_hex(span)?,
            flags: parse_hex_u64(flags)? as u8,
        })
    }

    /// Writes it as version 00, keeping only the flags that version 00 knows.
    #[must_use]
    pub fn format(&self) -> [u8; TRACEPARENT_LENGTH] {
        let mut text = [b'-'; TRACEPARENT_LENGTH];
        let flags = SpanId(u64::from(self.flags & 3)).to_hex();
        let parts = b"00-".iter().copied().chain(self.trace_id.to_hex()).chain(*b"-").chain(self.span_id.to_hex());
        let parts = parts.chain(*b"-").chain(flags.into_iter().skip(14));
        for (to, from) in text.iter_mut().zip(parts) {
            *to = from;
        }
        text
    }
}

/// Writes OpenTelemetry's member of the `tracestate` for a decision that was taken here: replaces `out`.
///
/// `rate` is that of the sampler that kept or dropped the trace by its id, 0 to 1; `None` for a decision by hand or by a
/// limiter. `inherited` is the member that came in with the trace, without `ot=`.
pub fn ot_member(trace_id: TraceId, rate: Option<f64>, inherited: &[u8], out: &mut Bounded<MAX_OT_MEMBER>) {
    let _ = (trace_id, rate);
    let _ = out.set(inherited);
}

/// A dash and `length` bytes.
fn field(text: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (dash, rest) = text.split_first()?;
    if *dash == b'-' { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_one_is_read_and_written_back() {
        let parsed = TraceParent::parse(GOOD).unwrap();
        assert_eq!(parsed.span_id, SpanId(0x00f0_67aa_0ba9_02b7));
        assert_eq!(parsed.flags, 1);
        assert_eq!(parsed.format(), GOOD);
        assert_eq!(TraceParent::parse(b" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\t"), Some(parsed));
    }

    #[test]
    fn flags_of_the_future_are_not_written() {
        let parsed = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff").unwrap();
        assert_eq!(parsed.format().last_chunk::<2>(), Some(b"03"));
    }

    #[test]
    fn a_future_version_may_say_more() {
        for good in [
            &b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"[..],
            b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-holds",
        ] {
            assert!(TraceParent::parse(good).is_some());
        }
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            &b""[..],
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            b"0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{}", std::string::String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceParent::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(trace in 1u128.., span in 1u64.., flags in 0u8..4) {
            let parent = TraceParent { trace_id: TraceId(trace), span_id: SpanId(span), flags };
            prop_assert_eq!(TraceParent::parse(&parent.format()), Some(parent));
        }
    }
}
