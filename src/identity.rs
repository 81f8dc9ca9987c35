//! `_DDTRACE_RUN`, the one private environment variable: which run a process belongs to and whose context it carries.
//!
//! The text has a fixed width, so that a process can put its own identity over the inherited one in place, without
//! `setenv`: what `system(3)` and `popen(3)` hand to their children is then always the truth about the parent.

use crate::ids::{SpanId, TraceId, parse_hex_u64};

/// The variable's name.
pub const VARIABLE: &[u8] = b"_DDTRACE_RUN";
/// Bytes of the value.
pub const LENGTH: usize = 132;

/// Bit of [`Identity::flags`]: processes are recorded as spans.
pub const FLAG_PROCESS_SPANS: u8 = 1;
/// Bit of [`Identity::flags`]: a program started with an environment that lacks our variables gets them nevertheless.
pub const FLAG_INJECT_CLEARED: u8 = 2;
/// Bit of [`Identity::flags`]: the parent comes from outside of the traced tree.
pub const FLAG_REMOTE_PARENT: u8 = 4;

/// Bit of [`Identity::flags`]: the process filters its system calls, and so do all it starts; they must not make any
/// for us.
pub const FLAG_SANDBOXED: u8 = 8;

/// Bit of [`Identity::flags`]: the holder is traced though it is on the list of programs that never are.
pub const FLAG_FORCED: u8 = 16;

/// Bit of [`Identity::flags`]: processes are recorded, but sent only if the command turns out to be a job. What a program
/// records of its own must not have a process as its parent then: that may never be seen.
pub const FLAG_PROCESS_SPANS_HELD: u8 = 32;

/// Bit of [`Identity::flags`]: the holder was heard of while it ran the program before this one, which has ended by that.
pub const FLAG_HEARD_OF: u8 = 64;

/// The flags that speak of the holder alone, and not of its children.
pub const FLAGS_OF_HOLDER: u8 = FLAG_REMOTE_PARENT | FLAG_FORCED | FLAG_HEARD_OF;

/// Whose identity it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// The process with this id: it was about to replace its program, or has made the identity its own.
    Process(u32),
    /// The next child of the process with this id, made for it before its own id was known.
    ChildOf(u32),
}

/// What the variable says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Names the sidecar's socket.
    pub run: u128,
    /// `FLAG_*`.
    pub flags: u8,
    /// Whose it is.
    pub holder: Holder,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// The trace.
    pub trace_id: TraceId,
    /// The holder's process span.
    pub span_id: SpanId,
    /// The parent of that span, zero for none.
    pub parent_id: SpanId,
    /// When the holder's span began, `CLOCK_MONOTONIC` nanoseconds.
    pub start_ns: u64,
}

impl Identity {
    /// Writes the value.
    #[must_use]
    pub fn format(&self) -> [u8; LENGTH] {
        let (mode, pid) = match self.holder {
            Holder::Process(pid) => (b'p', pid),
            Holder::ChildOf(pid) => (b'c', pid),
        };
        let run = TraceId(self.run).to_hex();
        let small = (u64::from(self.flags) << 40) | (u64::from(self.trace_flags) << 32) | u64::from(pid);
        let small = SpanId(small).to_hex();
        let mut text = [b'.'; LENGTH];
        let parts = b"1."
            .iter()
            .copied()
            .chain(run)
            .chain([b'.', mode])
            .chain(small.into_iter().skip(4))
            .chain(*b".")
            .chain(self.trace_id.to_hex())
            .chain(*b".")
            .chain(self.span_id.to_hex())
            .chain(*b".")
            .chain(self.parent_id.to_hex())
            .chain(*b".")
            .chain(SpanId(self.start_ns).to_hex());
        for (to, from) in text.iter_mut().zip(parts) {
            *to = from;
        }
        text
    }

    /// Reads the value; `None` for what another release or a stranger wrote.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Identity> {
        if text.len() != LENGTH {
            return None;
        }
        let text = text.strip_prefix(b"1.")?;
        let (run, text) = hex128(text)?;
        let (mode, text) = text.strip_prefix(b".")?.split_first()?;
        let (small, text) = text.split_at_checked(12)?;
        let small = parse_hex_u64(small)?;
        let (trace_id, text) = hex128(text.strip_prefix(b".")?)?;
        let (span_id, text) = hex64(text.strip_prefix(b".")?)?;
        let (parent_id, text) = hex64(text.strip_prefix(b".")?)?;
        let (start_ns, rest) = hex64(text.strip_prefix(b".")?)?;
        let pid = small as u32;
        let holder = match mode {
            b'p' => Holder::Process(pid),
            b'c' => Holder::ChildOf(pid),
            _ => return None,
        };
        if !rest.is_empty() || trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Identity {
            run,
            flags: (small >> 40) as u8,
            holder,
            trace_flags: (small >> 32) as u8,
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            parent_id: SpanId(parent_id),
            start_ns,
        })
    }

    /// Whether processes are spans that are surely sent, so that others may have them as their parents.
    #[must_use]
    pub fn is_parent(&self) -> bool {
        self.flags & (FLAG_PROCESS_SPANS | FLAG_PROCESS_SPANS_HELD) == FLAG_PROCESS_SPANS
    }

    /// Whether it speaks of the process with these ids, rather than of an ancestor that the variable came from.
    #[must_use]
    pub fn is_of(&self, pid: u32, ppid: u32) -> bool {
        match self.holder {
            Holder::Process(holder) => holder == pid,
            Holder::ChildOf(parent) => parent == ppid,
        }
    }
}

fn hex64(text: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = text.split_at_checked(16)?;
    Some((parse_hex_u64(digits)?, rest))
}

fn hex128(text: &[u8]) -> Option<(u128, &[u8])> {
    let (high, rest) = hex64(text)?;
    let (low, rest) = hex64(rest)?;
    Some(((u128::from(high) << 64) | u128::from(low), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity() -> Identity {
        Identity {
            run: 0xfeed << 64 | 7,
            flags: FLAG_PROCESS_SPANS | FLAG_REMOTE_PARENT,
            holder: Holder::ChildOf(0xffff_ffff),
            trace_flags: 3,
            trace_id: TraceId(1 << 100),
            span_id: SpanId(0xabc),
            parent_id: SpanId(0),
            start_ns: u64::MAX,
        }
    }

    #[test]
    fn the_width_is_fixed_and_every_byte_counts() {
        let text = identity().format();
        assert_eq!(Identity::parse(&text), Some(identity()));
        assert!(text.last() != Some(&b'.'), "LENGTH is longer than what is written");
        for position in 0..LENGTH {
            let mut broken = text;
            broken[position] = b'Z';
            assert_eq!(Identity::parse(&broken), None, "byte {position}");
        }
    }

    #[test]
    fn it_tells_the_holder_from_its_descendants() {
        let mut identity = identity();
        identity.holder = Holder::Process(10);
        assert!(identity.is_of(10, 9));
        assert!(!identity.is_of(11, 10));
        identity.holder = Holder::ChildOf(10);
        assert!(identity.is_of(11, 10));
        assert!(!identity.is_of(12, 11));
    }

    #[test]
    fn a_process_whose_span_may_never_be_sent_is_nobodys_parent() {
        for (flags, is_parent) in [(0, false), (1, true), (FLAG_PROCESS_SPANS | FLAG_PROCESS_SPANS_HELD, false), (32, false)] {
            assert_eq!(Identity { flags, ..identity() }.is_parent(), is_parent, "{flags}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            let _ = Identity::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(run: u128, pid: u32, trace in 1u128.., span in 1u64.., parent: u64, start: u64) {
            let identity = Identity {
                run, holder: Holder::Process(pid), trace_id: TraceId(trace), span_id: SpanId(span),
                parent_id: SpanId(parent), start_ns: start, ..identity()
            };
            prop_assert_eq!(Identity::parse(&identity.format()), Some(identity));
        }
    }
}
