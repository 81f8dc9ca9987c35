//! Processes, clocks and files.

use super::arch::{self, syscall6};
use super::{SysResult, check};
use core::ffi::CStr;

/// A descriptor number. Closing is explicit: these descriptors live for microseconds inside strangers' processes.
pub type Fd = i32;

macro_rules! number_of_self {
    ($(#[$doc:meta])* $name:ident, $number:ident) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name() -> u32 {
            // SAFETY: takes no arguments, changes nothing, cannot fail.
            unsafe { syscall6(arch::$number, 0, 0, 0, 0, 0, 0) as u32 }
        }
    };
}
number_of_self!(
    /// The process id in the process's own pid namespace; never cached, so it is right in vfork children, too.
    getpid, GETPID
);
number_of_self!(
    /// The parent's process id; 0 where the parent is outside of the pid namespace.
    getppid, GETPPID
);
number_of_self!(
    /// The real user id.
    getuid, GETUID
);
number_of_self!(
    /// The real group id.
    getgid, GETGID
);
number_of_self!(
    /// The thread id.
    gettid, GETTID
);

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of all records: the same for every process of the machine.
#[must_use]
pub fn monotonic_ns() -> u64 {
    clock_ns(1)
}

/// Nanoseconds of `CLOCK_REALTIME` since the Unix epoch.
#[must_use]
pub fn realtime_ns() -> u64 {
    clock_ns(0)
}

fn clock_ns(clock: usize) -> u64 {
    let mut time = [0i64; 2];
    // SAFETY: `time` is a valid, writable timespec on 64-bit Linux.
    unsafe { syscall6(arch::CLOCK_GETTIME, clock, time.as_mut_ptr() as usize, 0, 0, 0, 0) };
    let [seconds, nanos] = time;
    // A clock that was set before the epoch stands at its beginning.
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanos as u64)
}

/// What a process has used, as `getrusage(2)` tells.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Usage {
    /// User CPU time in nanoseconds.
    pub user_ns: u64,
    /// System CPU time in nanoseconds.
    pub system_ns: u64,
    /// Largest resident set in bytes.
    pub max_rss: u64,
}

/// The layout of `struct rusage` on 64-bit Linux, as far as it is read.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RawUsage {
    user: [i64; 2],
    system: [i64; 2],
    max_rss_kib: i64,
    rest: [i64; 13],
}

impl RawUsage {
    /// In the units of [`Usage`].
    #[must_use]
    pub fn usage(&self) -> Usage {
        let ns = |[seconds, micros]: [i64; 2]| {
            (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add((micros as u64).wrapping_mul(1000))
        };
        Usage {
            user_ns: ns(self.user),
            system_ns: ns(self.system),
            max_rss: (self.max_rss_kib as u64).wrapping_mul(1024),
        }
    }
}

/// What the calling process has used so far.
#[must_use]
pub fn usage_of_self() -> Usage {
    let mut raw = RawUsage::default();
    // SAFETY: RUSAGE_SELF (0) into a writable struct of the kernel's size (144 bytes).
    unsafe { syscall6(arch::GETRUSAGE, 0, core::ptr::from_mut(&mut raw) as usize, 0, 0, 0, 0) };
    raw.usage()
}

/// Whether thread `tid` of process `pid` exists.
#[must_use]
pub fn thread_exists(pid: u32, tid: u32) -> bool {
    // SAFETY: signal 0 is never delivered, only checked.
    check(unsafe { syscall6(arch::TGKILL, pid as usize, tid as usize, 0, 0, 0, 0) }).is_ok()
}

/// How many bytes are left of the stack that the program has set aside for its signals' handlers, if the caller is on that;
/// `None` elsewhere.
#[must_use]
pub fn signal_stack_left() -> Option<usize> {
    const SS_ONSTACK: i32 = 1;
    /// `stack_t`.
    #[repr(C)]
    struct Stack {
        start: usize,
        flags: i32,
        size: usize,
    }
    let mut stack = Stack { start: 0, flags: 0, size: 0 };
    // SAFETY: the kernel fills in the structure, which is of its size, and changes nothing.
    let told = check(unsafe { syscall6(arch::SIGALTSTACK, 0, &raw mut stack as usize, 0, 0, 0, 0) });
    let is_there = told.is_ok() && stack.flags & SS_ONSTACK != 0;
    is_there.then(|| (&raw const stack as usize).wrapping_sub(stack.start).min(stack.size))
}

/// Lets other threads run that are ready to.
pub fn give_way() {
    // SAFETY: no arguments, and nothing changes.
    unsafe { syscall6(arch::SCHED_YIELD, 0, 0, 0, 0, 0, 0) };
}

/// Opens a file for reading, close-on-exec.
pub fn open_read(path: &CStr) -> SysResult<Fd> {
    const AT_FDCWD: isize = -100;
    const O_CLOEXEC: usize = 0o2_000_000;
    const O_NONBLOCK: usize = 0o4000;
    open_at(AT_FDCWD as Fd, path, O_CLOEXEC | O_NONBLOCK)
}

/// Whether a file can be read by this path.
#[must_use]
pub fn can_read(path: &CStr) -> bool {
    const AT_FDCWD: isize = -100;
    const R_OK: usize = 4;
    // SAFETY: `path` ends with NUL.
    check(unsafe { syscall6(arch::FACCESSAT, AT_FDCWD as usize, path.as_ptr() as usize, R_OK, 0, 0, 0) }).is_ok()
}

/// Opens a path relative to `directory` with the given flags.
pub fn open_at(directory: Fd, path: &CStr, flags: usize) -> SysResult<Fd> {
    // SAFETY: `path` ends with NUL.
    check(unsafe { syscall6(arch::OPENAT, directory as isize as usize, path.as_ptr() as usize, flags, 0, 0, 0) })
        .map(|fd| fd as Fd)
}

/// Reads once into `buffer`; gives how many bytes came.
pub fn read(fd: Fd, buffer: &mut [u8]) -> SysResult<usize> {
    // SAFETY: `buffer` is writable for its length.
    check(unsafe { syscall6(arch::READ, fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0) })
        .map(|count| count.min(buffer.len()))
}

/// Reads until `buffer` is full or the file ends; gives how many bytes came.
pub fn read_full(fd: Fd, buffer: &mut [u8]) -> SysResult<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..) {
        if rest.is_empty() {
            break;
        }
        match read(fd, rest) {
            Ok(0) => break,
            Ok(count) => filled = filled.wrapping_add(count),
            Err(super::Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Closes a descriptor of our own.
pub fn close(fd: Fd) {
    // SAFETY: callers close only what they opened themselves moments before.
    unsafe { syscall6(arch::CLOSE, fd as usize, 0, 0, 0, 0, 0) };
}

/// Reads at an offset, without moving the file's position; gives how many bytes came, zero for an error.
pub fn read_at(fd: Fd, offset: u64, buffer: &mut [u8]) -> usize {
    // SAFETY: `buffer` is writable for its length.
    let read = check(unsafe {
        syscall6(arch::PREAD64, fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), offset as usize, 0, 0)
    });
    read.map_or(0, |count| count.min(buffer.len()))
}

/// The parts of `struct stat` that are of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStatus {
    /// Type and permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The file's number: of a socket, one that no other socket has at the same time.
    pub inode: u64,
}

/// Tells about an open file.
pub fn file_status(fd: Fd) -> SysResult<FileStatus> {
    // st_ino is the 64-bit word at 8; st_mode, st_uid and st_gid are the 32-bit words at 24, 28 and 32 of the kernel's 144
    // bytes.
    let mut words = [0u32; 36];
    // SAFETY: writable memory of the kernel's size.
    check(unsafe { syscall6(arch::FSTAT, fd as usize, words.as_mut_ptr() as usize, 0, 0, 0, 0) })?;
    let [_, _, inode_low, inode_high, _, _, mode, uid, gid, ..] = words;
    Ok(FileStatus { mode, uid, gid, inode: u64::from(inode_high) << 32 | u64::from(inode_low) })
}

/// Whether an open file has an extended attribute of this name.
#[must_use]
pub fn has_attribute(fd: Fd, name: &CStr) -> bool {
    // SAFETY: `name` ends with NUL; without a buffer only the size is asked for.
    check(unsafe { syscall6(arch::FGETXATTR, fd as usize, name.as_ptr() as usize, 0, 0, 0, 0) }).is_ok()
}

/// Whether the process has renounced what setuid files and file capabilities would give.
#[must_use]
pub fn has_no_new_privileges() -> bool {
    const PR_GET_NO_NEW_PRIVS: usize = 39;
    // SAFETY: no pointers, changes nothing.
    check(unsafe { syscall6(arch::PRCTL, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0) }) == Ok(1)
}

/// The target of a symbolic link, as far as `buffer` holds it.
pub fn readlink<'a>(path: &CStr, buffer: &'a mut [u8]) -> SysResult<&'a [u8]> {
    // SAFETY: `path` ends with NUL, `buffer` is writable for its length.
    let length = check(unsafe {
        syscall6(arch::READLINK, path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0)
    })?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// The current directory, without its final NUL.
pub fn getcwd(buffer: &mut [u8]) -> SysResult<&[u8]> {
    // SAFETY: `buffer` is writable for its length.
    let length =
        check(unsafe { syscall6(arch::GETCWD, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0, 0) })?;
    Ok(buffer.get(..length.wrapping_sub(1)).unwrap_or_default())
}

/// Whether the ends of children are thrown away: SIGCHLD is ignored, or `SA_NOCLDWAIT` set. Inherited through fork, so
/// in a child it tells about the parent.
#[must_use]
pub fn ignores_children() -> bool {
    const SIGCHLD: usize = 17;
    const SIG_IGN: usize = 1;
    const SA_NOCLDWAIT: usize = 2;
    // Handler, flags, restorer, mask: the kernel's struct sigaction.
    let mut action = [0usize; 4];
    // SAFETY: no new action is given; the old one goes into writable memory of the kernel's size.
    unsafe { syscall6(arch::RT_SIGACTION, SIGCHLD, 0, action.as_mut_ptr() as usize, 8, 0, 0) };
    let [handler, flags, ..] = action;
    handler == SIG_IGN || flags & SA_NOCLDWAIT != 0
}

/// Ends the process at once.
pub fn exit_group(code: i32) -> ! {
    loop {
        // SAFETY: does not come back.
        unsafe { syscall6(arch::EXIT_GROUP, code as usize, 0, 0, 0, 0, 0) };
    }
}

/// The process's auxiliary vector, as far as `buffer` holds it; gives how many bytes came (Linux 6.4).
pub fn auxiliary_vector(buffer: &mut [u8]) -> SysResult<usize> {
    const PR_GET_AUXV: usize = 0x4155_5856;
    // SAFETY: `buffer` is writable for its length; the last two arguments have to be zero.
    check(unsafe { syscall6(arch::PRCTL, PR_GET_AUXV, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0) })
        .map(|length| length.min(buffer.len()))
}

/// Random bytes, without ever waiting for the kernel's pool.
pub fn getrandom(buffer: &mut [u8]) -> SysResult<usize> {
    const GRND_NONBLOCK: usize = 1;
    // SAFETY: `buffer` is writable for its length.
    check(unsafe {
        syscall6(arch::GETRANDOM, buffer.as_mut_ptr() as usize, buffer.len(), GRND_NONBLOCK, 0, 0, 0)
    })
}

/// The soft limit of a resource (`RLIMIT_…`); `u64::MAX` is "no limit", which is also the answer where it cannot be asked.
#[must_use]
pub fn soft_limit(resource: usize) -> u64 {
    let mut limit = [u64::MAX; 2];
    // SAFETY: no new limit is given; the old one goes into a writable struct of two words.
    unsafe { syscall6(arch::PRLIMIT64, 0, resource, 0, limit.as_mut_ptr() as usize, 0, 0) };
    let [soft, _] = limit;
    soft
}

/// `RLIMIT_FSIZE`: a memfd grown beyond it kills the process by SIGXFSZ.
pub const RLIMIT_FSIZE: usize = 1;
/// `RLIMIT_AS`: the address space.
pub const RLIMIT_AS: usize = 9;
