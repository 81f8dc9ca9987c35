//! The time without a system call: by the C library, which reads the clock from the kernel's shared page.

use crate::table::{Function, real};
use ddtrace::sys;

type ClockGettime = unsafe extern "C" fn(i32, *mut [i64; 2]) -> i32;

const REALTIME: i32 = 0;
const MONOTONIC: i32 = 1;
const REALTIME_COARSE: i32 = 5;
const MONOTONIC_COARSE: i32 = 6;

/// Nanoseconds since the Unix epoch.
pub(super) fn unix_ns() -> u64 {
    read(REALTIME).unwrap_or_else(sys::realtime_ns)
}

/// Seconds since the Unix epoch, as of the kernel's last tick: for that the processor's counter need not be read.
pub(super) fn unix_seconds() -> u64 {
    read(REALTIME_COARSE).unwrap_or_else(sys::realtime_ns) / 1_000_000_000
}

/// Milliseconds of a clock that never goes back, as of the kernel's last tick.
pub(super) fn coarse_ms() -> u64 {
    read(MONOTONIC_COARSE).unwrap_or_else(sys::monotonic_ns) / 1_000_000
}

/// Nanoseconds of a clock that never goes back.
pub(super) fn monotonic_ns() -> u64 {
    read(MONOTONIC).unwrap_or_else(sys::monotonic_ns)
}

fn read(clock: i32) -> Option<u64> {
    // SAFETY: the type of clock_gettime on 64-bit Linux.
    let clock_gettime = unsafe { real::<ClockGettime>(Function::ClockGettime) }?;
    let mut time = [0i64; 2];
    // SAFETY: fills in two words; errno is changed only on failure, which these clocks do not have.
    let failed = unsafe { clock_gettime(clock, &raw mut time) } != 0;
    let [seconds, nanoseconds] = time;
    // A clock that was set before the epoch stands at its beginning.
    let seconds = u64::try_from(seconds).unwrap_or(0);
    (!failed).then(|| seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds as u64))
}
