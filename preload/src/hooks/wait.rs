//! The wait functions: how a child ended is the parent's to know.

use crate::process::{self, Caller};
use crate::table::{self, Function, real};
use ddtrace::record::ChildExitBody;
use ddtrace::sys::{self, RawUsage, Usage};

/// # Safety
///
/// As for `waitpid(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32 {
    type Waitpid = unsafe extern "C" fn(i32, *mut i32, i32) -> i32;
    // SAFETY: the type of waitpid.
    let Some(real) = (unsafe { real::<Waitpid>(Function::Waitpid) }) else { return table::missing() };
    // SAFETY: the host's own arguments, but for a status that it did not want.
    unsafe { waited(status, |status| real(pid, status, options), || None) }
}

/// # Safety
///
/// As for `wait(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn wait(status: *mut i32) -> i32 {
    type Wait = unsafe extern "C" fn(*mut i32) -> i32;
    // SAFETY: the type of wait.
    let Some(real) = (unsafe { real::<Wait>(Function::Wait) }) else { return table::missing() };
    // SAFETY: as for waitpid.
    unsafe { waited(status, |status| real(status), || None) }
}

/// # Safety
///
/// As for `wait3(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn wait3(status: *mut i32, options: i32, usage: *mut RawUsage) -> i32 {
    type Wait3 = unsafe extern "C" fn(*mut i32, i32, *mut RawUsage) -> i32;
    // SAFETY: the type of wait3.
    let Some(real) = (unsafe { real::<Wait3>(Function::Wait3) }) else { return table::missing() };
    // SAFETY: as for waitpid; `usage` is read only after the call has filled it.
    unsafe { waited(status, |status| real(status, options, usage), || usage.as_ref().map(RawUsage::usage)) }
}

/// # Safety
///
/// As for `wait4(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn wait4(pid: i32, status: *mut i32, options: i32, usage: *mut RawUsage) -> i32 {
    type Wait4 = unsafe extern "C" fn(i32, *mut i32, i32, *mut RawUsage) -> i32;
    // SAFETY: the type of wait4.
    let Some(real) = (unsafe { real::<Wait4>(Function::Wait4) }) else { return table::missing() };
    // SAFETY: as for wait3.
    unsafe { waited(status, |status| real(pid, status, options, usage), || usage.as_ref().map(RawUsage::usage)) }
}

/// # Safety
///
/// `status` is null or writable; `call` is the real function, `usage` reads what it has filled in.
unsafe fn waited(status: *mut i32, call: impl FnOnce(*mut i32) -> i32, usage: impl FnOnce() -> Option<Usage>) -> i32 {
    if process::caller() != Some(Caller::Itself) {
        return call(status);
    }
    let mut own_status = 0;
    let place = if status.is_null() { &raw mut own_status } else { status };
    let pid = call(place);
    if pid > 0 {
        // SAFETY: our own variable, or the host's, which the successful call has written.
        let status = unsafe { *place } as u32;
        if is_end(status) {
            ended(pid as u32, status, usage());
        }
    }
    pid
}

/// Not a stop, nor a continuation: exited (low byte zero) or killed by a signal (1 to 126).
fn is_end(status: u32) -> bool {
    let signal = status & 0x7f;
    signal != 0x7f && status != 0xffff
}

fn ended(pid: u32, status: u32, usage: Option<Usage>) {
    let body = ChildExitBody { time_ns: sys::monotonic_ns(), pid, status, usage };
    let span = process::identity().span_id;
    process::record(|record| record.child_exit(span, &body));
}

/// The head of `siginfo_t` for a child's end.
#[repr(C)]
pub(crate) struct SignalInfo {
    signal: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: i32,
    uid: u32,
    status: i32,
}

/// # Safety
///
/// As for `waitid(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn waitid(kind: i32, id: u32, info: *mut SignalInfo, options: i32) -> i32 {
    type Waitid = unsafe extern "C" fn(i32, u32, *mut SignalInfo, i32) -> i32;
    const WNOWAIT: i32 = 0x0100_0000;
    const CLD_EXITED: i32 = 1;
    const CLD_KILLED: i32 = 2;
    const CLD_DUMPED: i32 = 3;
    // SAFETY: the type of waitid.
    let Some(real) = (unsafe { real::<Waitid>(Function::Waitid) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(kind, id, info, options) };
    if result != 0 || options & WNOWAIT != 0 || info.is_null() || process::caller() != Some(Caller::Itself) {
        return result;
    }
    // SAFETY: the successful call has written it; with WNOHANG and no child to tell of, the pid is zero.
    let info = unsafe { &*info };
    if info.pid > 0 {
        let status = info.status as u32;
        match info.code {
            CLD_EXITED => ended(info.pid as u32, (status & 0xff) << 8, None),
            CLD_KILLED => ended(info.pid as u32, status & 0x7f, None),
            CLD_DUMPED => ended(info.pid as u32, (status & 0x7f) | 0x80, None),
            _ => {}
        }
    }
    result
}
