//! `fork` and what forks inside libc. `vfork` is not interposed: its caller's frame must not be gone when the child
//! returns; vfork children are met in their exec.

use crate::libraries;
use crate::net;
use crate::process::{self, Caller};
use crate::table::{self, Function, real};
use crate::tracer;
use core::ffi::c_void;
use ddtrace::identity::Holder;

type Fork = unsafe extern "C" fn() -> i32;

/// # Safety
///
/// As for `fork(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn fork() -> i32 {
    // SAFETY: the type of fork.
    let Some(real) = (unsafe { real::<Fork>(Function::Fork) }) else { return table::missing() };
    // SAFETY: called as the host called us.
    forked(|| unsafe { real() })
}

/// # Safety
///
/// As for `_Fork(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn _Fork() -> i32 {
    // SAFETY: the type of _Fork.
    let Some(real) = (unsafe { real::<Fork>(Function::UnderscoreFork) }) else { return table::missing() };
    // SAFETY: called as the host called us.
    forked(|| unsafe { real() })
}

/// # Safety
///
/// As for `forkpty(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn forkpty(
    master: *mut i32,
    name: *mut u8,
    mode: *const c_void,
    size: *const c_void,
) -> i32 {
    type Forkpty = unsafe extern "C" fn(*mut i32, *mut u8, *const c_void, *const c_void) -> i32;
    // SAFETY: the type of forkpty.
    let Some(real) = (unsafe { real::<Forkpty>(Function::Forkpty) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    forked(|| unsafe { real(master, name, mode, size) })
}

/// # Safety
///
/// As for `daemon(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn daemon(no_chdir: i32, no_close: i32) -> i32 {
    type Daemon = unsafe extern "C" fn(i32, i32) -> i32;
    // SAFETY: the type of daemon.
    let Some(real) = (unsafe { real::<Daemon>(Function::Daemon) }) else { return table::missing() };
    let armed = process::caller() == Some(Caller::Itself);
    // SAFETY: the host's own arguments.
    let result = unsafe { real(no_chdir, no_close) };
    if armed && process::caller() == Some(Caller::Itself) {
        // This is the child: its parent is gone and could not say that it started one, so it speaks for itself now.
        if process::processes_are_recorded() {
            let _ = process::ring();
        }
    }
    result
}

fn forked(call: impl FnOnce() -> i32) -> i32 {
    if process::caller() != Some(Caller::Itself) {
        return call();
    }
    tracer::before_fork();
    if net::is_enabled() {
        libraries::hook_new();
    }
    // Both sides know the child's span before there are two sides.
    let child = process::child_identity(Holder::Process(0), None);
    let pid = call();
    if pid == 0 {
        process::become_child(child.span_id);
    } else if pid > 0 {
        process::record_child(&child, pid as u32, |_| {});
    }
    pid
}
