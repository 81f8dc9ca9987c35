//! `posix_spawn` and `posix_spawnp`: the child's identity is made before the child is.

use crate::child_environment::{ForChild, with_child_environment};
use crate::describe;
use crate::environment;
use crate::inspect::{self, NO_ENVIRONMENT, Program, Verdict};
use crate::process::{self, Caller};
use crate::table::{self, Function, real};
use core::ffi::c_void;
use ddtrace::identity::Holder;
use ddtrace::sys;

type Text = *const u8;
type Array = *const *const u8;
type Spawn = unsafe extern "C" fn(*mut i32, Text, *const c_void, *const c_void, Array, Array) -> i32;

/// # Safety
///
/// As for `posix_spawn(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn posix_spawn(
    pid: *mut i32,
    path: Text,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Array,
    envp: Array,
) -> i32 {
    // SAFETY: the type of posix_spawn.
    let Some(real) = (unsafe { real::<Spawn>(Function::PosixSpawn) }) else { return table::ENOSYS };
    // SAFETY: the host's own arguments, handed on.
    unsafe { spawn(pid, Program::Path(path), argv, envp, |pid, envp| real(pid, path, actions, attributes, argv, envp)) }
}

/// # Safety
///
/// As for `posix_spawnp(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn posix_spawnp(
    pid: *mut i32,
    file: Text,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Array,
    envp: Array,
) -> i32 {
    // SAFETY: the type of posix_spawnp.
    let Some(real) = (unsafe { real::<Spawn>(Function::PosixSpawnp) }) else { return table::ENOSYS };
    // SAFETY: the host's own arguments, handed on.
    unsafe {
        spawn(pid, Program::Search(file), argv, envp, |pid, envp| real(pid, file, actions, attributes, argv, envp))
    }
}

/// # Safety
///
/// `pid` is null or writable, the arrays are null or end with null; `call` is the real function.
unsafe fn spawn(
    pid: *mut i32,
    program: Program,
    argv: Array,
    envp: Array,
    call: impl Fn(*mut i32, Array) -> i32,
) -> i32 {
    let readable = || program.is_readable() && environment::is_walkable(argv) && environment::is_walkable(envp);
    if process::caller() != Some(Caller::Itself) || !readable() {
        return call(pid, envp);
    }
    // SAFETY: the host's own arguments.
    let found = unsafe { inspect::look(program) };
    if found.verdict == Verdict::Unknown {
        return call(pid, envp);
    }
    // SAFETY: the caller's promise.
    let context = unsafe { environment::host_context(envp) };
    let identity = process::child_identity(Holder::ChildOf(sys::getpid()), context);
    let reason = match found.verdict {
        Verdict::Untraceable(reason) => Some(reason),
        _ => None,
    };
    let child =
        ForChild { identity: &identity, loadable: found.verdict.hands_on(), keep_host_context: false, may_map: true };
    let mut own_pid = 0;
    let place = if pid.is_null() { &raw mut own_pid } else { pid };
    // SAFETY: the caller's promise.
    let made = unsafe { with_child_environment(envp, child, |envp| call(place, envp)) };
    // It cannot be made, or there is no room for it beside the arguments: the program starts as it would without us.
    let made = made.ok().filter(|result| *result != table::E2BIG);
    let reason = if made.is_none() { reason.or(Some(NO_ENVIRONMENT)) } else { reason };
    let result = made.unwrap_or_else(|| call(place, envp));
    if result == 0 {
        // SAFETY: our own variable, or the host's, which the successful call has written.
        let started = unsafe { *place } as u32;
        process::record_child(&identity, started, |record| {
            if let Some(reason) = reason {
                // SAFETY: the caller's promise for `argv`.
                unsafe { describe::program(record, found.path(), argv, reason) };
            }
        });
    }
    result
}
