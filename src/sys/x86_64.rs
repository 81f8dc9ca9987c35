//! The `syscall` instruction of x86-64 and the numbers of the calls that are used.

#[cfg(not(miri))]
use core::arch::asm;

#[cfg(miri)]
#[path = "interpreted.rs"]
mod interpreted;
#[cfg(miri)]
pub(in crate::sys) use interpreted::syscall6;

/// Makes a system call with up to six arguments; the result is the kernel's, negative for an error.
///
/// # Safety
///
/// The caller vouches for the call: pointers are valid for what the kernel does with them, and nothing is unmapped,
/// closed or changed that other code of the process relies on.
#[cfg(not(miri))]
pub unsafe fn syscall6(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result: isize;
    // SAFETY: registers are used as the kernel's x86-64 convention lays down; rcx and r11 are declared as clobbered,
    // memory is not declared untouched; the rest is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// `read(2)`.
pub const READ: usize = 0;
/// `write(2)`.
pub const WRITE: usize = 1;
/// `close(2)`.
pub const CLOSE: usize = 3;
pub const FSTAT: usize = 5;
pub const MMAP: usize = 9;
pub const MPROTECT: usize = 10;
pub const MUNMAP: usize = 11;
pub const RT_SIGACTION: usize = 13;
pub const RT_SIGPROCMASK: usize = 14;
pub const IOCTL: usize = 16;
pub const PREAD64: usize = 17;
/// `readv(2)`.
pub const READV: usize = 19;
/// `writev(2)`.
pub const WRITEV: usize = 20;
pub const SCHED_YIELD: usize = 24;
pub const MADVISE: usize = 28;
/// `dup(2)`.
pub const DUP: usize = 32;
/// `dup2(2)`.
pub const DUP2: usize = 33;
pub const GETPID: usize = 39;
/// `sendfile(2)`.
pub const SENDFILE: usize = 40;
pub const SOCKET: usize = 41;
/// `connect(2)`.
pub const CONNECT: usize = 42;
/// `accept(2)`.
pub const ACCEPT: usize = 43;
/// `sendto(2)`.
pub const SENDTO: usize = 44;
/// `recvfrom(2)`.
pub const RECVFROM: usize = 45;
/// `sendmsg(2)`.
pub const SENDMSG: usize = 46;
/// `recvmsg(2)`.
pub const RECVMSG: usize = 47;
/// `shutdown(2)`.
pub const SHUTDOWN: usize = 48;
pub const GETPEERNAME: usize = 52;
pub const GETSOCKOPT: usize = 55;
/// `fork(2)`.
pub const FORK: usize = 57;
/// `execve(2)`.
pub const EXECVE: usize = 59;
/// `wait4(2)`.
pub const WAIT4: usize = 61;
/// `fcntl(2)`.
pub const FCNTL: usize = 72;
pub const FTRUNCATE: usize = 77;
pub const GETCWD: usize = 79;
pub const READLINK: usize = 89;
pub const GETRUSAGE: usize = 98;
pub const GETUID: usize = 102;
pub const GETGID: usize = 104;
pub const GETPPID: usize = 110;
pub const SIGALTSTACK: usize = 131;
/// `prctl(2)`.
pub const PRCTL: usize = 157;
pub const MUNLOCK: usize = 150;
/// `mlockall(2)`.
pub const MLOCKALL: usize = 151;
pub const GETTID: usize = 186;
pub const FUTEX: usize = 202;
pub const FGETXATTR: usize = 193;
pub const CLOCK_GETTIME: usize = 228;
pub const EXIT_GROUP: usize = 231;
/// `poll(2)`.
pub const POLL: usize = 7;
/// `select(2)`.
pub const SELECT: usize = 23;
/// `ppoll(2)`.
pub const PPOLL: usize = 271;
/// `epoll_create(2)`.
pub const EPOLL_CREATE: usize = 213;
/// `epoll_wait(2)`.
pub const EPOLL_WAIT: usize = 232;
/// `epoll_ctl(2)`.
pub const EPOLL_CTL: usize = 233;
pub const TGKILL: usize = 234;
/// `waitid(2)`.
pub const WAITID: usize = 247;
pub const OPENAT: usize = 257;
pub const FACCESSAT: usize = 269;
/// `splice(2)`.
pub const SPLICE: usize = 275;
/// `epoll_pwait(2)`.
pub const EPOLL_PWAIT: usize = 281;
pub const FALLOCATE: usize = 285;
/// `accept4(2)`.
pub const ACCEPT4: usize = 288;
/// `dup3(2)`.
pub const DUP3: usize = 292;
/// `recvmmsg(2)`.
pub const RECVMMSG: usize = 299;
pub const PRLIMIT64: usize = 302;
/// `sendmmsg(2)`.
pub const SENDMMSG: usize = 307;
pub const GETRANDOM: usize = 318;
pub const MEMFD_CREATE: usize = 319;
/// `execveat(2)`.
pub const EXECVEAT: usize = 322;
/// `epoll_create1(2)`.
pub const EPOLL_CREATE1: usize = 291;
/// `epoll_pwait2(2)`.
pub const EPOLL_PWAIT2: usize = 441;
