//! The one symbol of the preload that others look up: how a language's own tracer, or a program through the C header
//! (`include/ddtrace_run.h`), records through what the launcher put into the process.
//!
//! Layout and meaning are those of C. The table only ever grows at its end: whoever uses it looks at [`Interface::size`]
//! before a function that came later, and at [`Interface::version`], which changes when something that was there means
//! something else. Both sides may be of different releases. The header declares the same once more; a test compiles it
//! and compares sizes and offsets.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU64};

/// The symbol: an [`Interface`].
pub const SYMBOL: &CStr = c"ddtrace_run_interface";

/// The version that this release speaks. Version 0 is unstable: it is used only by parts of the same release.
pub const VERSION: u32 = 0;

/// Bit of [`ProcessInfo::flags`]: the process's span is sent in any case, so that root spans may have it as their
/// parent.
pub const PROCESS_IS_SPAN: u32 = 1;

/// Bit of [`CurrentSpan::flags`]: it is no span of this process but one that was handed in, or the one that a forked child
/// comes from. What begins below it is the local root.
pub const CURRENT_IS_CONTEXT: u32 = 1;

/// Bit of [`CurrentSpan::flags`]: it is a span of a language's own tracer, lent by [`Interface::lend`] or taken over by
/// [`Interface::take_over`], who tells of it.
pub const CURRENT_IS_LENT: u32 = 2;

/// Bit of [`RequestInfo::flags`]: its parent is in another process.
pub const REQUEST_PARENT_IS_REMOTE: u32 = 1;

/// Bit of [`RequestInfo::flags`]: a context has come in with it.
pub const REQUEST_BRINGS_CONTEXT: u32 = 2;

/// [`CurrentSpan::priority`] while nothing is decided.
pub const UNDECIDED: i32 = i32::MIN;

/// What the process is in its run.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProcessInfo {
    /// Bytes of this structure, as the caller knows it.
    pub size: u32,
    /// The process id that the identity is of.
    pub pid: u32,
    /// High half of the trace that the process's span belongs to.
    pub trace_id_high: u64,
    /// Low half.
    pub trace_id_low: u64,
    /// The process's own span, or what stands for it where processes are no spans.
    pub span_id: u64,
    /// W3C trace flags.
    pub trace_flags: u32,
    /// Bit 0, [`PROCESS_IS_SPAN`]: the process's span is recorded and surely sent, so that root spans may have it as their
    /// parent ([`Identity::is_parent`](crate::identity::Identity::is_parent)).
    pub flags: u32,
}

/// A span or context that is there, such as the one that is active on the calling thread.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CurrentSpan {
    /// Bytes of this structure, as the caller knows it.
    pub size: u32,
    /// W3C trace flags.
    pub trace_flags: u32,
    /// High half of the trace id.
    pub trace_id_high: u64,
    /// Low half of the trace id.
    pub trace_id_low: u64,
    /// The span.
    pub span_id: u64,
    /// Its sampling priority: [`Interface::current`] decides it, as the caller is about to hand it on;
    /// [`Interface::describe`] gives [`UNDECIDED`] while it is open.
    pub priority: i32,
    /// Bit 0, [`CURRENT_IS_CONTEXT`].
    pub flags: u32,
}

/// A request that has come in over a connection of the program, and whose span is not taken over.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestInfo {
    /// Bytes of this structure, as the caller knows it.
    pub size: u32,
    /// [`REQUEST_PARENT_IS_REMOTE`], [`REQUEST_BRINGS_CONTEXT`].
    pub flags: u32,
    /// The handle of its span.
    pub span: u64,
    /// High half of the trace id.
    pub trace_id_high: u64,
    /// Low half of the trace id.
    pub trace_id_low: u64,
    /// The span.
    pub span_id: u64,
    /// Its parent; 0 for none.
    pub parent_id: u64,
}

/// A span of a language's own tracer, as the table is to know it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LentSpan {
    /// Bytes of this structure, as the caller knows it.
    pub size: u32,
    /// The number of a `SpanKind` in OTLP.
    pub kind: u32,
    /// A span that the table knows of the same trace, whose headers and decision are this one's; 0 where it is the first.
    pub of: u64,
    /// High half of the trace id.
    pub trace_id_high: u64,
    /// Low half of the trace id.
    pub trace_id_low: u64,
    /// The span.
    pub span_id: u64,
    /// The first span of its trace in the process.
    pub local_root: u64,
    /// What its trace has brought along, in the form of [`Interface::hand_over`]; null where that is nothing. Of the first
    /// one alone.
    pub headers: *const Header,
    /// How many.
    pub count: usize,
    /// The priority that has come in, or [`UNDECIDED`]. Of the first one alone.
    pub priority: i32,
    /// Zero.
    pub reserved: u32,
}

/// What a language's own tracer has decided about a trace.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct DecidedInfo {
    /// Bytes of this structure, as the caller knows it.
    pub size: u32,
    /// The sampling priority.
    pub priority: i32,
    /// What it was decided by, as in `_dd.p.dm`; [`TOLD`]: somebody before this process.
    pub mechanism: u32,
    /// Not zero: it has left the process, and does not change any more.
    pub is_final: u32,
    /// The rate of the rule or of the Agent, below 0 for none.
    pub rate: f64,
}

/// Where something of the caller's is active: a context that a thread enters and leaves, as an event loop's tasks have them.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Place {
    /// Not zero while the thread is in there. Null ends a list.
    pub entered: AtomicPtr<c_int>,
    /// The handle of what is active.
    pub span: AtomicU64,
}

/// The longest list of [`Interface::places`], with the null at its end.
pub const MOST_PLACES: usize = 128;

/// Bits of [`Interface::leave`]: requests that reach the program.
pub const LEFT_REQUESTS: u32 = 1;
/// Requests by HTTP that the program makes.
pub const LEFT_HTTP: u32 = 2;
/// Statements for PostgreSQL.
pub const LEFT_POSTGRES: u32 = 4;
/// Commands for Redis.
pub const LEFT_REDIS: u32 = 8;
/// All there is, and what later releases know.
pub const LEFT_ALL: u32 = u32::MAX;

/// [`DecidedInfo::mechanism`] of what was not decided here.
pub const TOLD: u32 = u32::MAX;

/// A text of the caller's, read during the call only. Null or empty is no text.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The bytes, which should be UTF-8.
    pub bytes: *const c_char,
    /// How many.
    pub length: usize,
}

/// How a span begins.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StartOptions {
    /// Bytes of this structure, as the caller knows it; what lies behind them is taken as zero.
    pub size: u32,
    /// The number of a `SpanKind` in OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer; 0 is 1.
    pub kind: u32,
    /// The parent: a span's handle; 0 is the span that is active on this thread, [`NO_PARENT`] none.
    pub parent: u64,
    /// A handle of [`Interface::extract`], whose sender is then the parent: used up by this.
    pub context: u64,
    /// Nanoseconds since the Unix epoch; 0 is now.
    pub start_unix_ns: u64,
    /// The service, where it is not the process's.
    pub service: Text,
    /// What was done to what: Datadog's resource, OTLP's name. Without it the name.
    pub resource: Text,
    /// Datadog's span type.
    pub kind_of_work: Text,
}

/// [`StartOptions::parent`]: the span begins a trace of its own.
pub const NO_PARENT: u64 = u64::MAX;

/// What [`Interface::set`] changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Part {
    /// Datadog's operation name.
    Name = 1,
    /// Datadog's resource, OTLP's name.
    Resource = 2,
    /// The service.
    Service = 3,
    /// Datadog's span type.
    Type = 4,
    /// `server`, `client`, …: of what is lent alone.
    Kind = 5,
}

/// The type of a [`TagValue`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum TagType {
    /// [`Payload::text`].
    Text = 1,
    /// [`Payload::integer`].
    Integer = 2,
    /// [`Payload::double`].
    Double = 3,
    /// [`Payload::integer`], zero or not.
    Bool = 4,
    /// Nothing: the tag is taken away.
    Removed = 5,
}

/// What a [`TagValue`] holds.
#[repr(C)]
#[derive(Clone, Copy)]
pub union Payload {
    /// Text.
    pub text: Text,
    /// A whole number or a truth value.
    pub integer: i64,
    /// A number.
    pub double: f64,
}

/// The value of a tag, an attribute of a span or event.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TagValue {
    /// A [`TagType`].
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// The value.
    pub payload: Payload,
}

/// A tag's name and value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Tag {
    /// The name.
    pub name: Text,
    /// The value.
    pub value: TagValue,
}

/// A header of a request.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The name, in any case, or in the form of CGI and WSGI (`HTTP_X_DATADOG_TRACE_ID`).
    pub name: Text,
    /// The value.
    pub value: Text,
}

/// What went wrong.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ErrorInfo {
    /// Its class.
    pub kind: Text,
    /// What it says.
    pub message: Text,
    /// Where it happened.
    pub stack: Text,
}

/// Takes a header. `name` ends with NUL and is valid during the call, as is the value, which does not end with NUL.
pub type SetHeader =
    unsafe extern "C" fn(argument: *mut c_void, name: *const c_char, value: *const c_char, value_length: usize);

/// Gives the value number `index` of a header, from 0 on, by filling in `value` and returning 1; 0 where there are not so
/// many. `name` ends with NUL, is in lower case and is to be compared without regard to case. The text must stay
/// unchanged until [`Interface::extract`] is back.
pub type GetHeader =
    unsafe extern "C" fn(argument: *mut c_void, name: *const c_char, index: usize, value: *mut Text) -> i32;

/// The table.
///
/// Handles: a span or an extracted context is a number, 0 is none. Every function takes 0 and handles of what has ended,
/// and does nothing then. All functions may be called from any thread, at the same time as well.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Bytes of this table in the release that the preload is of.
    pub size: u32,
    /// [`VERSION`] of that release.
    pub version: u32,
    /// Puts whole records ([`crate::record`]) into the process's ring. Gives 0, or -1 where nothing is recorded.
    pub record: unsafe extern "C" fn(bytes: *const u8, length: usize) -> i32,
    /// Fills in what the process is; as much of it as `size` says. Gives 0, or -1 where nothing is recorded.
    pub process: unsafe extern "C" fn(out: *mut ProcessInfo) -> i32,
    /// Fills in the span or context that is active on this thread, for one who is about to hand it on: its trace is
    /// decided about. Gives 0, or -1 where there is none.
    pub current: unsafe extern "C" fn(out: *mut CurrentSpan) -> i32,
    /// Begins a span. `options` may be null. Gives its handle, or 0.
    pub start: unsafe extern "C" fn(name: *const c_char, name_length: usize, options: *const StartOptions) -> u64,
    /// Ends a span, at a time in nanoseconds since the Unix epoch; 0 is now. Was it active on this thread, then what was
    /// before it is now.
    pub finish: unsafe extern "C" fn(span: u64, end_unix_ns: u64),
    /// Changes a [`Part`].
    pub set: unsafe extern "C" fn(span: u64, part: u32, text: *const c_char, length: usize),
    /// Sets a tag.
    pub tag: unsafe extern "C" fn(span: u64, name: *const c_char, name_length: usize, value: *const TagValue),
    /// Adds an event, at a time in nanoseconds since the Unix epoch; 0 is now. `tags` are `count` of them, or null.
    pub event: unsafe extern "C" fn(
        span: u64,
        name: *const c_char,
        name_length: usize,
        time_unix_ns: u64,
        tags: *const Tag,
        count: usize,
    ),
    /// The span has failed.
    pub error: unsafe extern "C" fn(span: u64, error: *const ErrorInfo),
    /// Makes a span or a context the active one of this thread, 0 none; of what has ended, the one before it. Gives the one
    /// that was, to be activated again.
    pub activate: unsafe extern "C" fn(span: u64) -> u64,
    /// The span that is active on this thread.
    pub active: unsafe extern "C" fn() -> u64,
    /// Writes a span's context, or an extracted one to pass it on, into headers; 0 is the active span. Decides whether the
    /// trace is kept. Gives 0, or -1 where there is nothing to write.
    pub inject: unsafe extern "C" fn(span: u64, set: Option<SetHeader>, argument: *mut c_void) -> i32,
    /// Reads a context from headers. Gives a handle for [`StartOptions::context`], or 0.
    pub extract: unsafe extern "C" fn(get: Option<GetHeader>, argument: *mut c_void) -> u64,
    /// Gives back an extracted context that no span was started from.
    pub release: unsafe extern "C" fn(context: u64),
    /// Decides by hand whether the span's trace is kept: not zero keeps it. Gives 0, or -1 where the decision has left the
    /// process already.
    pub keep: unsafe extern "C" fn(span: u64, keep: i32) -> i32,
    /// Fills in what a span or a context is, for logs; 0 is the active span. Decides nothing. Gives 0, or -1 where there is none.
    pub describe: unsafe extern "C" fn(span: u64, out: *mut CurrentSpan) -> i32,
    /// The Agent's sampling rate, 0 to 1, for new traces of a service in an environment, for one who decides by itself;
    /// below 0 where none was told.
    pub rate: unsafe extern "C" fn(
        service: *const c_char,
        service_length: usize,
        env: *const c_char,
        env_length: usize,
    ) -> f64,
    /// As [`Interface::inject`], in one form whatever is configured, that of
    /// [`Propagation::between_tracers`](crate::propagation::Propagation::between_tracers): for another tracer of this
    /// process, which needs all that the trace carries to go on below a span. It reads that back by the same rules.
    pub hand_over: unsafe extern "C" fn(span: u64, set: Option<SetHeader>, argument: *mut c_void) -> i32,
    /// As [`Interface::extract`], from a list of all headers: those whose names end in a key of baggage are found as well.
    pub extract_all: unsafe extern "C" fn(headers: *const Header, count: usize) -> u64,
    /// What new spans of a language's own tracer belong under where that knows of nothing: as [`Interface::active`], or else
    /// the request that the thread serves, but never what was lent. 0 for none.
    pub surroundings: unsafe extern "C" fn() -> u64,
    /// Fills in a request, if its span is open and nobody's yet: of the handle `span`, or with 0 the one that this thread
    /// serves, if nothing else is active above it. Gives 0, or -1.
    pub request: unsafe extern "C" fn(span: u64, out: *mut RequestInfo) -> i32,
    /// The request's span is the caller's from now on: with its ids, its place and what is recorded of it so far. Nothing
    /// more of it is recorded here. Gives a handle for its trace, to be given back, or 0 where somebody was faster.
    pub take_over: unsafe extern "C" fn(span: u64) -> u64,
    /// Has the table know a span of the caller's, of which nothing is recorded here. Gives a handle, to be given back, or 0.
    pub lend: unsafe extern "C" fn(span: *const LentSpan) -> u64,
    /// The caller's span is over: as [`Interface::finish`] for what was lent or taken over.
    pub give_back: unsafe extern "C" fn(span: u64),
    /// What the caller has decided about the trace of what it has lent or taken over; null only asks. Gives 0, or -1 where
    /// another decision stands that has left the process: [`Interface::hand_over`] tells it.
    pub decide: unsafe extern "C" fn(span: u64, decided: *const DecidedInfo) -> i32,
    /// The request that is open on the connection that somebody at this IPv6 address (of IPv4 the mapped one), of 16 bytes,
    /// and this port has made; of several that came in over it the oldest. A handle, or 0 for none.
    pub request_from: unsafe extern "C" fn(address: *const u8, port: u32) -> u64,
    /// From now on this list, which the caller goes on to change in this thread, tells what is active in the place in which
    /// the thread is: that comes before what is active on the thread. Null takes it back, which the thread does before the list
    /// is gone.
    pub places: unsafe extern "C" fn(places: *const Place),
    /// A language's own tracer tells of this, or nobody is to: connections tell nothing more of it, unless the user has asked for
    /// what they tell in such programs by name.
    pub leave: unsafe extern "C" fn(what: u32),
}
