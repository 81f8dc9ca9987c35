//! Memory: anonymous files, mappings and advice.

use super::arch::{self, syscall6};
use super::{Errno, Fd, SysResult, check};
use core::ffi::CStr;
use core::ptr::NonNull;

const PROT_READ_WRITE: usize = 3;
const MAP_SHARED: usize = 1;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;
const MAP_NORESERVE: usize = 0x4000;

/// Seals of a memfd, `F_SEAL_…`.
pub const SEAL_SEAL: usize = 1;
/// The file may not shrink.
pub const SEAL_SHRINK: usize = 2;
/// The file may not grow.
pub const SEAL_GROW: usize = 4;

/// Makes an anonymous file that can be sealed, close-on-exec.
pub fn memfd_create(name: &CStr) -> SysResult<Fd> {
    const CLOEXEC: usize = 1;
    const ALLOW_SEALING: usize = 2;
    const NOEXEC_SEAL: usize = 8;
    let create = |flags: usize| {
        // SAFETY: `name` ends with NUL.
        check(unsafe { syscall6(arch::MEMFD_CREATE, name.as_ptr() as usize, flags, 0, 0, 0, 0) }).map(|fd| fd as Fd)
    };
    // Kernels before 6.3 refuse the flag, later ones may demand it (vm.memfd_noexec).
    match create(CLOEXEC | ALLOW_SEALING | NOEXEC_SEAL) {
        Err(Errno::EINVAL) => create(CLOEXEC | ALLOW_SEALING),
        other => other,
    }
}

/// Sets a file's length.
pub fn ftruncate(fd: Fd, length: usize) -> SysResult<()> {
    // SAFETY: no pointers; the descriptor is the caller's own.
    check(unsafe { syscall6(arch::FTRUNCATE, fd as usize, length, 0, 0, 0, 0) }).map(drop)
}

/// Allocates the first `length` bytes of a file, so that touching them later cannot fail with SIGBUS.
pub fn fallocate(fd: Fd, length: usize) -> SysResult<()> {
    // SAFETY: no pointers; the descriptor is the caller's own.
    check(unsafe { syscall6(arch::FALLOCATE, fd as usize, 0, 0, length, 0, 0) }).map(drop)
}

/// Adds seals to a memfd.
pub fn add_seals(fd: Fd, seals: usize) -> SysResult<()> {
    const F_ADD_SEALS: usize = 1033;
    // SAFETY: no pointers; the descriptor is the caller's own.
    check(unsafe { syscall6(arch::FCNTL, fd as usize, F_ADD_SEALS, seals, 0, 0, 0) }).map(drop)
}

/// A duplicate with a number of at least `least`, close-on-exec.
pub fn duplicate_above(fd: Fd, least: Fd) -> SysResult<Fd> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    // SAFETY: no pointers; makes a new descriptor only.
    check(unsafe { syscall6(arch::FCNTL, fd as usize, F_DUPFD_CLOEXEC, least as usize, 0, 0, 0) }).map(|fd| fd as Fd)
}

/// Maps a file, shared and writable.
pub fn map_shared(fd: Fd, length: usize) -> SysResult<NonNull<u8>> {
    map(length, MAP_SHARED | MAP_NORESERVE, fd)
}

/// Maps fresh zeroed memory of the process's own.
pub fn map_private(length: usize) -> SysResult<NonNull<u8>> {
    map(length, MAP_PRIVATE | MAP_ANONYMOUS, -1)
}

/// As [`map_private`], but it takes memory only where it is touched also in a process that keeps all that is mapped in place
/// (`mlockall(2)`).
pub fn map_private_loosely(length: usize) -> SysResult<NonNull<u8>> {
    let base = map_with(0, length, MAP_PRIVATE | MAP_ANONYMOUS, -1)?;
    // SAFETY: the whole of our own new mapping, known to nobody. It is locked where the process has asked for that, and what can
    // be written would be allocated then.
    let can_be_used = unsafe {
        check(syscall6(arch::MUNLOCK, base.as_ptr() as usize, length, 0, 0, 0, 0)).and_then(|_| protect(base, length, true))
    };
    if can_be_used.is_err() {
        // SAFETY: as above.
        unsafe { unmap(base, length) };
    }
    can_be_used.map(|()| base)
}

fn map(length: usize, flags: usize, fd: Fd) -> SysResult<NonNull<u8>> {
    map_with(PROT_READ_WRITE, length, flags, fd)
}

fn map_with(protection: usize, length: usize, flags: usize, fd: Fd) -> SysResult<NonNull<u8>> {
    // SAFETY: the kernel chooses the address, so no mapping of the process is replaced.
    let address = check(unsafe { syscall6(arch::MMAP, 0, length, protection, flags, fd as isize as usize, 0) })?;
    NonNull::new(address as *mut u8).ok_or(Errno::EINVAL)
}

/// Takes a mapping away.
///
/// # Safety
///
/// Nothing may use the `length` bytes at `address` any more; they are one mapping of the caller's own.
pub unsafe fn unmap(address: NonNull<u8>, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { syscall6(arch::MUNMAP, address.as_ptr() as usize, length, 0, 0, 0, 0) };
}

/// Lets a mapping be read alone, or written as well.
///
/// # Safety
///
/// The pages are mapped, and nobody else may be about to write there, or to change how they are mapped.
pub unsafe fn protect(address: NonNull<u8>, length: usize, is_writable: bool) -> SysResult<()> {
    const PROT_READ: usize = 1;
    let protection = if is_writable { PROT_READ_WRITE } else { PROT_READ };
    // SAFETY: the caller's promise; nothing is executed there.
    check(unsafe { syscall6(arch::MPROTECT, address.as_ptr() as usize, length, protection, 0, 0, 0) }).map(drop)
}

/// Wakes a thread, of this process or of another one, that waits on the word (`FUTEX_WAKE`). The kernel does not look at
/// what is in it.
pub fn wake_one(word: *const u32) {
    const FUTEX_WAKE: usize = 1;
    // SAFETY: the address only names a queue; nothing is read or written, and one that is none is an error.
    unsafe { syscall6(arch::FUTEX, word as usize, FUTEX_WAKE, 1, 0, 0, 0) };
}

/// Sleeps, by a call that every filter of system calls knows: waits on a word that is zero, which nobody wakes
/// (`FUTEX_WAIT`). Returns at once where it is not zero, and early where a signal comes.
pub fn pause(word: *const u32, nanoseconds: u64) {
    const FUTEX_WAIT: usize = 0;
    let limit = [nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000];
    // SAFETY: the kernel reads the word, where there is one, and the time, which lives until it returns.
    unsafe { syscall6(arch::FUTEX, word as usize, FUTEX_WAIT, 0, limit.as_ptr() as usize, 0, 0) };
}

/// Whether the word at `address` can be read, as the kernel finds out without harm: a host's bad pointer must be the
/// host's error, not a crash of ours.
#[must_use]
pub fn is_readable(address: usize) -> bool {
    const NO_SUCH_OPERATION: usize = usize::MAX;
    const EFAULT: Errno = Errno(14);
    // What callers have on their stacks mostly lies on the page where the stack is now, which can be read.
    let here = 0u8;
    if (core::ptr::from_ref(&here) as usize ^ address) < 4096 {
        return true;
    }
    // An aligned word never lies on two pages.
    let word = address & !7;
    // SAFETY: the kernel copies eight bytes from the address, then refuses the operation; nothing is changed.
    let result = check(unsafe { syscall6(arch::RT_SIGPROCMASK, NO_SUCH_OPERATION, word, 0, 8, 0, 0) });
    word != 0 && result != Err(EFAULT)
}

/// Advice that is given to the kernel about a mapping.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Advice {
    /// A forked child does not get the mapping.
    DontFork = 10,
    /// Left out of core dumps.
    DontDump = 16,
    /// A forked child finds zeros (Linux 4.14).
    WipeOnFork = 18,
    /// Page tables are filled for writing now; fails instead of SIGBUS later (Linux 5.14).
    PopulateWrite = 23,
}

/// Advises the kernel.
///
/// # Safety
///
/// The range is a mapping of the caller's own, which wants what the advice does.
pub unsafe fn advise(address: NonNull<u8>, length: usize, advice: Advice) -> SysResult<()> {
    // SAFETY: the caller's promise; none of the listed advices changes contents in this process.
    check(unsafe { syscall6(arch::MADVISE, address.as_ptr() as usize, length, advice as usize, 0, 0, 0) }).map(drop)
}
