//! Linux system calls made directly, without a C library.
//!
//! Traced processes may have any libc, an old one, or none, and `errno` belongs to the host; so the in-process parts
//! ask the kernel themselves and get their errors as values.

#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;
#[cfg(not(target_arch = "x86_64"))]
compile_error!("ddtrace-run supports x86-64 Linux; another architecture needs its own src/sys/<arch>.rs");

mod calls;
mod memory;
mod sockets;

pub use calls::*;
pub use memory::*;
pub use sockets::*;

/// An error number as the kernel returned it, positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// `EPERM`, `ENOENT`, … as far as callers tell them apart.
    pub const ENOENT: Errno = Errno(2);
    /// Interrupted by a signal.
    pub const EINTR: Errno = Errno(4);
    /// Try again; for a connect to a Unix socket: its backlog is full.
    pub const EAGAIN: Errno = Errno(11);
    /// Permission denied.
    pub const EACCES: Errno = Errno(13);
    /// Invalid argument; for an optional flag: this kernel does not know it.
    pub const EINVAL: Errno = Errno(22);
    /// No such process.
    pub const ESRCH: Errno = Errno(3);
    /// Not implemented.
    pub const ENOSYS: Errno = Errno(38);
}

/// What a system call gave.
pub type SysResult<T> = Result<T, Errno>;

/// Numbers of calls that are made for the host, where it has no C library that could be found.
pub mod number {
    pub use super::arch::{
        ACCEPT, ACCEPT4, CLOSE, CONNECT, DUP, DUP2, DUP3, EPOLL_CREATE, EPOLL_CREATE1, EPOLL_CTL, EPOLL_PWAIT, EPOLL_PWAIT2,
        EPOLL_WAIT, POLL, PPOLL, SELECT, EXECVE, EXECVEAT, FCNTL,
        FORK, MLOCKALL, PRCTL, READ, READV, RECVFROM, RECVMMSG, RECVMSG, SENDFILE, SENDMMSG, SENDMSG, SENDTO, SHUTDOWN, SPLICE, WAIT4,
        WAITID, WRITE, WRITEV,
    };
}

/// Makes a call of the host's own.
///
/// # Errors
///
/// The kernel's.
///
/// # Safety
///
/// The host has asked for this call with these arguments.
pub unsafe fn by_number(number: usize, arguments: [usize; 6]) -> SysResult<usize> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    check(unsafe { arch::syscall6(number, a, b, c, d, e, f) })
}

/// Splits the kernel's return value into result and error.
fn check(value: isize) -> SysResult<usize> {
    if (-4095..0).contains(&value) { Err(Errno((-value) as i32)) } else { Ok(value as usize) }
}
