//! The one symbol of the preload that others look up: how a language's own tracer, or a program through the C header,
//! records through what the launcher put into the process.
//!
//! Layout and meaning are those of C. The table only ever grows at its end: whoever uses it looks at [`Interface::size`]
//! before a function that came later, and at [`Interface::version`], which changes when something that was there means
//! something else. Both sides may be of different releases.

use core::ffi::CStr;

/// The symbol: an [`Interface`].
pub const SYMBOL: &CStr = c"ddtrace_run_interface";

/// The version that this release speaks. Version 0 is unstable: it is used only by parts of the same release.
pub const VERSION: u32 = 0;

/// Bit of [`ProcessInfo::flags`]: the process's span is recorded, so that root spans may have it as their parent.
pub const PROCESS_IS_SPAN: u32 = 1;

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
    /// Bit 0: the process's span is recorded, so that root spans may have it as their parent.
    pub flags: u32,
}

/// The span that is active on the calling thread.
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
    /// Its sampling priority. Asking decides it.
    pub priority: i32,
    /// Zero.
    pub reserved: u32,
}

/// The table.
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
    /// Fills in the span that is active on this thread. Gives 0, or -1 where there is none.
    pub current: unsafe extern "C" fn(out: *mut CurrentSpan) -> i32,
}
