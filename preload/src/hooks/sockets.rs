//! How connections begin and end.

use crate::net;
use crate::table::{self, Function, real};

/// # Safety
///
/// As for `connect(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn connect(fd: i32, address: *const u8, length: u32) -> i32 {
    const EINTR: i32 = 4;
    const EINPROGRESS: i32 = 115;
    type Connect = unsafe extern "C" fn(i32, *const u8, u32) -> i32;
    // SAFETY: the type of connect.
    let Some(real) = (unsafe { real::<Connect>(Function::Connect) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, address, length) };
    if result == 0 || matches!(table::errno(), EINPROGRESS | EINTR) {
        // SAFETY: the kernel has read the address.
        unsafe { net::connected(fd, address, length, result == 0) };
    } else {
        net::not_connected();
    }
    result
}

/// # Safety
///
/// As for `accept(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn accept(fd: i32, address: *mut u8, length: *mut u32) -> i32 {
    type Accept = unsafe extern "C" fn(i32, *mut u8, *mut u32) -> i32;
    // SAFETY: the type of accept.
    let Some(real) = (unsafe { real::<Accept>(Function::Accept) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    unsafe { accepted(fd, address, length, || real(fd, address, length)) }
}

/// # Safety
///
/// As for `accept4(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn accept4(fd: i32, address: *mut u8, length: *mut u32, flags: i32) -> i32 {
    type Accept4 = unsafe extern "C" fn(i32, *mut u8, *mut u32, i32) -> i32;
    // SAFETY: the type of accept4.
    let Some(real) = (unsafe { real::<Accept4>(Function::Accept4) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    unsafe { accepted(fd, address, length, || real(fd, address, length, flags)) }
}

/// # Safety
///
/// `call` accepts a connection, and fills in the two.
unsafe fn accepted(listener: i32, address: *mut u8, length: *mut u32, call: impl FnOnce() -> i32) -> i32 {
    if !net::is_enabled() {
        return call();
    }
    let is_bad = length.is_null() || !ddtrace::sys::is_readable(length as usize);
    // SAFETY: it can be read (just tried); a bad pointer is left to the kernel.
    let room = if is_bad { None } else { Some(unsafe { *length }) };
    let fd = call();
    if fd >= 0 {
        // SAFETY: the kernel has written the length, and so much of the address as there was room for.
        unsafe {
            let written = room.map(|room| room.min(*length));
            net::accepted(listener, fd, address, written);
        }
    }
    fd
}

/// # Safety
///
/// As for `shutdown(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn shutdown(fd: i32, how: i32) -> i32 {
    const SHUT_RD: i32 = 0;
    type Shutdown = unsafe extern "C" fn(i32, i32) -> i32;
    // SAFETY: the type of shutdown.
    let Some(real) = (unsafe { real::<Shutdown>(Function::Shutdown) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, how) };
    if result == 0 && how != SHUT_RD && net::is_watched(fd) {
        net::shut(fd.into());
    }
    result
}
