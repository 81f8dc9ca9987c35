//! The one socket that a traced process ever opens: to the sidecar, for one message. And questions about the program's own.

use super::arch::{self, syscall6};
use super::{Fd, SysResult, check};

const AF_UNIX: u16 = 1;
const SOCK_SEQPACKET: usize = 5;
const SOCK_CLOEXEC: usize = 0o2_000_000;
const SOCK_NONBLOCK: usize = 0o4000;

/// A Unix socket that keeps message borders, close-on-exec and non-blocking.
pub fn seqpacket_socket() -> SysResult<Fd> {
    // SAFETY: no pointers.
    check(unsafe {
        syscall6(arch::SOCKET, AF_UNIX as usize, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0, 0)
    })
    .map(|fd| fd as Fd)
}

/// Connects to an abstract Unix socket; never waits: a full backlog is `EAGAIN`.
pub fn connect_abstract(fd: Fd, name: &[u8]) -> SysResult<()> {
    #[repr(C)]
    struct Address {
        family: u16,
        // Abstract names begin with a NUL.
        path: [u8; 108],
    }
    let mut address = Address { family: AF_UNIX, path: [0; 108] };
    for (to, from) in address.path.iter_mut().skip(1).zip(name) {
        *to = *from;
    }
    let length = 3 + name.len().min(107);
    // SAFETY: the address is readable for `length`, at most its size.
    check(unsafe {
        syscall6(arch::CONNECT, fd as usize, core::ptr::from_ref(&address) as usize, length, 0, 0, 0)
    })
    .map(drop)
}

/// Who is at the other end of a socket: fills in a `sockaddr` and gives its length, zero for an error.
pub fn peer_name(fd: Fd, address: &mut [u8]) -> usize {
    let mut length = u32::try_from(address.len()).unwrap_or(u32::MAX);
    // SAFETY: writable memory of the length that is stated.
    let told = check(unsafe {
        let length = core::ptr::from_mut(&mut length) as usize;
        syscall6(arch::GETPEERNAME, fd as usize, address.as_mut_ptr() as usize, length, 0, 0, 0)
    });
    if told.is_ok() { address.len().min(length as usize) } else { 0 }
}

/// Whether a descriptor is a stream socket.
#[must_use]
pub fn is_stream_socket(fd: Fd) -> bool {
    const SOL_SOCKET: usize = 1;
    const SO_TYPE: usize = 3;
    const SOCK_STREAM: i32 = 1;
    let (mut kind, mut length) = (0i32, 4u32);
    // SAFETY: both lead to live locals of the sizes that are stated.
    let told = check(unsafe {
        let (kind, length) = (core::ptr::from_mut(&mut kind) as usize, core::ptr::from_mut(&mut length) as usize);
        syscall6(arch::GETSOCKOPT, fd as usize, SOL_SOCKET, SO_TYPE, kind, length, 0)
    });
    told.is_ok() && kind == SOCK_STREAM
}

/// How many bytes were written to a TCP connection by whomever, plus a number that stays the same as long as it lives. `None` for
/// other sockets, before Linux 4.1, and where so much is acknowledged meanwhile that it cannot be told.
#[must_use]
pub fn tcp_bytes_written(fd: Fd) -> Option<u64> {
    const SIOCOUTQ: usize = 0x5411;
    const TRIES: usize = 8;
    for _ in 0..TRIES {
        let (acknowledged, mut unacknowledged) = (tcp_bytes_acknowledged(fd)?, 0i32);
        // SAFETY: leads to a live local of the size that the request fills in.
        let told = check(unsafe {
            let unacknowledged = core::ptr::from_mut(&mut unacknowledged) as usize;
            syscall6(arch::IOCTL, fd as usize, SIOCOUTQ, unacknowledged, 0, 0, 0)
        });
        told.ok()?;
        if tcp_bytes_acknowledged(fd)? == acknowledged {
            return acknowledged.checked_add(unacknowledged.try_into().ok()?);
        }
    }
    None
}

fn tcp_bytes_acknowledged(fd: Fd) -> Option<u64> {
    const IPPROTO_TCP: usize = 6;
    const TCP_INFO: usize = 11;
    // `tcpi_bytes_acked` is the 64-bit word at 120 of `struct tcp_info`.
    const WORDS: usize = 16;
    let (mut info, mut length) = ([0u64; WORDS], (WORDS * size_of::<u64>()) as u32);
    // SAFETY: both lead to live locals of the sizes that are stated.
    let told = check(unsafe {
        let (info, length) = (info.as_mut_ptr() as usize, core::ptr::from_mut(&mut length) as usize);
        syscall6(arch::GETSOCKOPT, fd as usize, IPPROTO_TCP, TCP_INFO, info, length, 0)
    });
    let is_whole = told.is_ok() && length as usize == WORDS * size_of::<u64>();
    info.last().copied().filter(|_| is_whole)
}

/// Whether calls on a descriptor return rather than wait.
#[must_use]
pub fn is_nonblocking(fd: Fd) -> bool {
    const F_GETFL: usize = 3;
    // SAFETY: asks only.
    let flags = check(unsafe { syscall6(arch::FCNTL, fd as usize, F_GETFL, 0, 0, 0, 0) });
    flags.is_ok_and(|flags| flags & SOCK_NONBLOCK != 0)
}

const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;

/// Sends one message; never waits, never raises SIGPIPE.
pub fn send(socket: Fd, message: &[u8]) -> SysResult<()> {
    // SAFETY: the bytes are readable; no address is given.
    let sent = unsafe {
        let (start, length) = (message.as_ptr() as usize, message.len());
        syscall6(arch::SENDTO, socket as usize, start, length, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0)
    };
    check(sent).map(drop)
}

/// Sends one message with one descriptor; never waits, never raises SIGPIPE.
pub fn send_with_fd(socket: Fd, message: &[u8], passed: Fd) -> SysResult<()> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    #[repr(C)]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        fd: i32,
        padding: i32,
    }
    #[repr(C)]
    struct IoVec {
        base: *const u8,
        length: usize,
    }
    #[repr(C)]
    struct Message {
        name: usize,
        name_length: u32,
        vectors: *const IoVec,
        vector_count: usize,
        control: *const Control,
        control_length: usize,
        flags: i32,
    }
    let vector = IoVec { base: message.as_ptr(), length: message.len() };
    // CMSG_LEN(4) is 20, CMSG_SPACE(4) is 24 on 64-bit Linux.
    let control = Control { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd: passed, padding: 0 };
    let header =
        Message { name: 0, name_length: 0, vectors: &vector, vector_count: 1, control: &control, control_length: 24, flags: 0 };
    // SAFETY: all pointers of `header` lead to live locals of the layouts that sendmsg(2) reads.
    check(unsafe {
        syscall6(arch::SENDMSG, socket as usize, core::ptr::from_ref(&header) as usize, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0)
    })
    .map(drop)
}
