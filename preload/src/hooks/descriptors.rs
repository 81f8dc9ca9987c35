//! What closes descriptors, or gives them another number.

use crate::net;
use crate::table::{self, Function, real};
use core::ffi::c_void;
use core::ptr::null_mut;

/// # Safety
///
/// As for `close(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn close(fd: i32) -> i32 {
    type Close = unsafe extern "C" fn(i32) -> i32;
    // SAFETY: the type of close.
    let Some(real) = (unsafe { real::<Close>(Function::Close) }) else { return table::missing() };
    // Before: afterwards the number may be another thread's.
    net::closing(fd);
    // SAFETY: the host's own argument.
    unsafe { real(fd) }
}

/// # Safety
///
/// As for `dup(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn dup(fd: i32) -> i32 {
    type Dup = unsafe extern "C" fn(i32) -> i32;
    // SAFETY: the type of dup.
    let Some(real) = (unsafe { real::<Dup>(Function::Dup) }) else { return table::missing() };
    // SAFETY: the host's own argument.
    let new = unsafe { real(fd) };
    if new >= 0 {
        net::duplicated(fd, new);
    }
    new
}

/// # Safety
///
/// As for `dup2(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn dup2(fd: i32, new: i32) -> i32 {
    type Dup2 = unsafe extern "C" fn(i32, i32) -> i32;
    // SAFETY: the type of dup2.
    let Some(real) = (unsafe { real::<Dup2>(Function::Dup2) }) else { return table::missing() };
    net::duplicated(fd, new);
    // SAFETY: the host's own arguments.
    unsafe { real(fd, new) }
}

/// # Safety
///
/// As for `dup3(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn dup3(fd: i32, new: i32, flags: i32) -> i32 {
    type Dup3 = unsafe extern "C" fn(i32, i32, i32) -> i32;
    // SAFETY: the type of dup3.
    let Some(real) = (unsafe { real::<Dup3>(Function::Dup3) }) else { return table::missing() };
    net::duplicated(fd, new);
    // SAFETY: the host's own arguments.
    unsafe { real(fd, new, flags) }
}

/// # Safety
///
/// As for `fcntl(2)`. It is variadic in C; whatever the third argument is travels in one register.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn fcntl(fd: i32, command: i32, argument: usize) -> i32 {
    // SAFETY: the host's own arguments.
    unsafe { controlled(Function::Fcntl, fd, command, argument) }
}

/// # Safety
///
/// As for `fcntl(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn fcntl64(fd: i32, command: i32, argument: usize) -> i32 {
    // SAFETY: the host's own arguments.
    unsafe { controlled(Function::Fcntl64, fd, command, argument) }
}

/// # Safety
///
/// As for `fcntl(2)`, whose name is `function`.
unsafe fn controlled(function: Function, fd: i32, command: i32, argument: usize) -> i32 {
    const F_DUPFD: i32 = 0;
    const F_DUPFD_CLOEXEC: i32 = 1030;
    type Fcntl = unsafe extern "C" fn(i32, i32, usize) -> i32;
    // SAFETY: the type of fcntl, as far as the registers go.
    let Some(real) = (unsafe { real::<Fcntl>(function) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, command, argument) };
    if result >= 0 && matches!(command, F_DUPFD | F_DUPFD_CLOEXEC) {
        net::duplicated(fd, result);
    }
    result
}

/// # Safety
///
/// As for `fdopen(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn fdopen(fd: i32, mode: *const u8) -> *mut c_void {
    type Fdopen = unsafe extern "C" fn(i32, *const u8) -> *mut c_void;
    // SAFETY: the type of fdopen.
    let Some(real) = (unsafe { real::<Fdopen>(Function::Fdopen) }) else {
        table::missing();
        return null_mut();
    };
    if net::is_watched(fd) {
        // What a stream reads, writes and closes is not seen.
        net::lose(fd);
    }
    // SAFETY: the host's own arguments.
    unsafe { real(fd, mode) }
}
