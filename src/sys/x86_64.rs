//! The `syscall` instruction of x86-64 and the numbers of the calls that are used.

use core::arch::asm;

/// Makes a system call with up to six arguments; the result is the kernel's, negative for an error.
///
/// # Safety
///
/// The caller vouches for the call: pointers are valid for what the kernel does with them, and nothing is unmapped,
/// closed or changed that other code of the process relies on.
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

pub const READ: usize = 0;
pub const CLOSE: usize = 3;
pub const FSTAT: usize = 5;
pub const MMAP: usize = 9;
pub const MUNMAP: usize = 11;
pub const RT_SIGACTION: usize = 13;
pub const RT_SIGPROCMASK: usize = 14;
pub const PREAD64: usize = 17;
pub const MADVISE: usize = 28;
pub const GETPID: usize = 39;
pub const SOCKET: usize = 41;
pub const CONNECT: usize = 42;
pub const SENDMSG: usize = 46;
pub const FCNTL: usize = 72;
pub const FTRUNCATE: usize = 77;
/// `fork(2)`.
pub const FORK: usize = 57;
/// `execve(2)`.
pub const EXECVE: usize = 59;
/// `wait4(2)`.
pub const WAIT4: usize = 61;
pub const GETCWD: usize = 79;
pub const READLINK: usize = 89;
pub const GETRUSAGE: usize = 98;
pub const GETUID: usize = 102;
pub const GETGID: usize = 104;
pub const GETPPID: usize = 110;
/// `prctl(2)`.
pub const PRCTL: usize = 157;
pub const GETTID: usize = 186;
pub const FGETXATTR: usize = 193;
pub const CLOCK_GETTIME: usize = 228;
pub const EXIT_GROUP: usize = 231;
pub const TGKILL: usize = 234;
/// `waitid(2)`.
pub const WAITID: usize = 247;
pub const OPENAT: usize = 257;
pub const FACCESSAT: usize = 269;
pub const FALLOCATE: usize = 285;
pub const PRLIMIT64: usize = 302;
pub const GETRANDOM: usize = 318;
pub const MEMFD_CREATE: usize = 319;
/// `execveat(2)`.
pub const EXECVEAT: usize = 322;
