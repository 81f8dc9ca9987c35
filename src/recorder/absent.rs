//! Why nothing can be recorded.

use crate::handshake::Refusal;
use core::fmt;

/// Why a process does not record into shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Absent {
    /// No `ddtrace-run` started it: `_DDTRACE_RUN` is not set, or is not of this release.
    NotLaunched,
    /// It has more rights than who started it (`AT_SECURE`), whose environment is then not to be followed.
    Privileged,
    /// It is on the list of programs that are never instrumented (`DD_TRACE_DENYLIST`).
    Denied,
    /// It may make no system calls for us, as it runs under a filter.
    Sandboxed,
    /// The library that `ddtrace-run` put into it speaks another version of the interface.
    OtherRelease {
        /// The version that the library speaks.
        version: u32,
    },
    /// The sidecar cannot be reached, or the memory cannot be had.
    NoRing(Refusal),
    /// The kernel cannot tell a forked child that it is one (before Linux 4.14).
    OldKernel,
}

impl fmt::Display for Absent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::NotLaunched => out.write_str("the program was not started by ddtrace-run"),
            Absent::Privileged => {
                out.write_str("the program has more rights than who started it, whose _DDTRACE_RUN is not followed")
            }
            Absent::Denied => out.write_str("the program is on the list of those that are never instrumented"),
            Absent::Sandboxed => out.write_str("the program runs under a filter of its system calls"),
            Absent::OtherRelease { version } => write!(
                out,
                "the library of ddtrace-run in this program speaks version {version} of the interface, not {}; \
                 use the same release of both",
                crate::interface::VERSION
            ),
            Absent::NoRing(Refusal::Limit) => {
                out.write_str("a limit (ulimit -f or -v) leaves no room for the memory shared with ddtrace-run")
            }
            Absent::NoRing(Refusal::Memory(errno)) => {
                write!(out, "the memory shared with ddtrace-run cannot be had (error {})", errno.0)
            }
            Absent::NoRing(Refusal::Socket(errno)) => {
                write!(out, "the sidecar of ddtrace-run cannot be reached (error {})", errno.0)
            }
            Absent::OldKernel => out.write_str("the kernel is older than Linux 4.14"),
        }
    }
}

impl core::error::Error for Absent {}
