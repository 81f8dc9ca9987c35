//! The records that traced processes write into their rings, and how they are read back.
//!
//! A record is a fixed header of 16 bytes, a body that depends on its kind, and fields: number, type, length, bytes.
//! Everything is little-endian and unaligned. The lengths say where things end, so that a reader skips what it does not
//! know.

//!
//! Processes speak of themselves and their children with *open*, *amend*, *close* and *child exit*. All other spans are
//! *start*, *amend* and *end*, or one record *span* where nobody needs to know of them before their end.

mod attribute;
mod trace;
mod write;
pub use attribute::{Detail, MAX_NAME, Name, SpanFields};
pub use write::RecordWriter;

#[cfg(feature = "std")]
mod encoded;
#[cfg(feature = "std")]
mod read;
#[cfg(feature = "std")]
mod read_attribute;
#[cfg(feature = "std")]
pub use encoded::{EncodedFields, Part, floor_char_boundary, parts};
#[cfg(feature = "std")]
pub use read::{ChildExit, Field, FieldValue, Malformed, Open, Record, RecordBody, records};
#[cfg(feature = "std")]
pub use read_attribute::{ReadEvent, ReadLink};

/// Bytes of a record's header: length (u32), kind (u8), 3 bytes zero, span id (u64).
pub const RECORD_HEADER: usize = 16;

/// What a record says. The number is part of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A span has begun: body [`OpenBody`], then fields.
    Open = 1,
    /// More is known about a span: fields.
    Amend = 2,
    /// A span has ended: body time (u64), then fields.
    Close = 3,
    /// A child process was waited for: body [`ChildExitBody`]. The span id is that of the parent.
    ChildExit = 4,
    /// A span that is no process has begun: body [`SpanBody`], then fields. Local roots are told of so, and whatever is
    /// to be known of should the process die.
    SpanStart = 5,
    /// That span has ended: body [`EndBody`], then fields.
    SpanEnd = 6,
    /// A span that nobody was told of before: body [`SpanBody`] and [`EndBody`], then fields.
    Span = 7,
    /// What records in this process from now on, where it is not what the whole run is: attributes. The span id is that
    /// of the process.
    Resource = 8,
}

/// Bit of [`SpanBody::flags`]: the parent is in another process.
pub const SPAN_REMOTE_PARENT: u8 = 1;
/// Bit of [`SpanBody::flags`]: the first span of its trace in this process.
pub const SPAN_LOCAL_ROOT: u8 = 2;
/// Bit of [`SpanBody::flags`]: an API of Datadog's has made it. Its attributes are tags of Datadog's already, and what it is
/// called is said by its name, its service, its operation and its type alone.
pub const SPAN_DATADOG_TAGS: u8 = 4;

/// Bit of [`SpanBody::flags`]: the span of this id was begun before, by what goes over a connection; this tells of it from now
/// on.
pub const SPAN_TAKES_OVER: u8 = 8;

/// When so many spans below a local root have ended, the process decides whether the trace is kept, and tells: from 300 on
/// (by default) the sidecar sends a trace in parts, and the first part says it for all.
pub const DECIDE_AFTER: u32 = 256;

/// The body of [`Kind::SpanStart`] and [`Kind::Span`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanBody {
    /// The trace.
    pub trace_id: crate::ids::TraceId,
    /// The parent, zero for none.
    pub parent_id: crate::ids::SpanId,
    /// Nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// The number of a `SpanKind` in OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u8,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// `SPAN_*`.
    pub flags: u8,
}

/// The body of [`Kind::SpanEnd`], and the second one of [`Kind::Span`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndBody {
    /// Nanoseconds since the Unix epoch.
    pub end_unix_ns: u64,
    /// The number of a status in OTLP: 0 unset, 1 ok, 2 error. The message is the field [`Key::StatusMessage`].
    ///
    /// [`Key::StatusMessage`]: crate::semconv::Key::StatusMessage
    pub status: u8,
}

/// The span is a process's own, written by the process itself.
pub const ROLE_SELF: u8 = 1;
/// The span is of a child process, written by the parent that started it.
pub const ROLE_CHILD: u8 = 2;

/// The body of [`Kind::Open`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenBody {
    /// The trace.
    pub trace_id: crate::ids::TraceId,
    /// The parent, zero for none.
    pub parent_id: crate::ids::SpanId,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub start_ns: u64,
    /// The process that the span is of, in its own pid namespace.
    pub pid: u32,
    /// Its parent.
    pub ppid: u32,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// `ROLE_*`.
    pub role: u8,
    /// The parent comes from outside of the traced tree.
    pub remote_parent: bool,
}

/// The body of [`Kind::ChildExit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildExitBody {
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub time_ns: u64,
    /// The child, in the namespace of the process that waited.
    pub pid: u32,
    /// As `wait(2)` gives it.
    pub status: u32,
    /// What the child used, where the caller asked the kernel for it.
    pub usage: Option<crate::sys::Usage>,
}

/// How a field's bytes are to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FieldType {
    /// Bytes that are text, mostly UTF-8.
    Text = 1,
    /// i64.
    Integer = 2,
    /// f64.
    Float = 3,
    /// One byte, zero or one.
    Bool = 4,
    /// Texts, each ended by NUL.
    TextList = 5,
    /// i64s.
    IntegerList = 6,
    /// f64s.
    FloatList = 7,
    /// Bytes, each zero or one.
    BoolList = 8,
    /// A list of texts that may contain NUL: for each its length (u32) and its bytes.
    Texts = 9,
    /// An event or a link: see [`Detail`].
    Nested = 10,
    /// Nothing: the attribute is taken away.
    Removed = 11,
}

/// Bit in the last byte of a field's header: the text continues that of the same attribute, which was too long for one
/// record.
pub const FIELD_CONTINUES: u8 = 1;

#[cfg(all(test, feature = "std"))]
mod tests;
