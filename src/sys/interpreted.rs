//! What Miri, which runs no assembly, sees in the kernel's place: one in which nothing happens. Compiled for it alone.

use super::{CLOCK_GETTIME, FUTEX, GETPID, GETPPID, GETTID, MADVISE, SCHED_YIELD, TGKILL};
use std::time::SystemTime;

const ENOSYS: isize = -38;

/// Answers a few calls that the ring makes; all others fail as if the kernel did not know them.
///
/// # Safety
///
/// As for the call itself.
pub(in crate::sys) unsafe fn syscall6(number: usize, _: usize, b: usize, _: usize, _: usize, _: usize, _: usize) -> isize {
    match number {
        GETPID | GETPPID | GETTID => 1,
        CLOCK_GETTIME => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let time = core::ptr::with_exposed_provenance_mut::<[i64; 2]>(b);
            // SAFETY: the caller's timespec (its promise).
            unsafe { time.write([now.as_secs() as i64, now.subsec_nanos().into()]) };
            0
        }
        // Others get on meanwhile.
        SCHED_YIELD | FUTEX => {
            std::thread::yield_now();
            0
        }
        // The pages are there, and so is every thread.
        MADVISE | TGKILL => 0,
        _ => ENOSYS,
    }
}
