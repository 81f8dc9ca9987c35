//! OpenSSL, and what has its functions. Each hook is there once for each copy of the library in a process.
//!
//! What fails is for the program to look at with `SSL_get_error`, which goes by the state of the session and of the thread:
//! between the real function's failure and the program nothing is called but `SSL_get_shutdown`, which only tells.

use super::each_copy;
use crate::libraries::{Function, real};
use crate::net::session::{self, Facts, Session};
use core::ffi::c_void;

type Of = unsafe extern "C" fn(*mut c_void) -> i32;
type Write = unsafe extern "C" fn(*mut c_void, *const u8, i32) -> i32;
type WriteEx = unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut usize) -> i32;

/// What the library says where it has no such function.
const FAILED: i32 = -1;

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_new(3)`.
    unsafe fn SSL_new(copy, context: *mut c_void) -> *mut c_void {
        type New = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
        // SAFETY: the type of SSL_new.
        let Some(real) = (unsafe { real::<New>(copy, Function::SslNew) }) else { return core::ptr::null_mut() };
        // SAFETY: the host's own argument.
        let ssl = unsafe { real(context) };
        session::begun(ssl as usize, None);
        ssl
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_free(3)`.
    unsafe fn SSL_free(copy, ssl: *mut c_void) {
        type Free = unsafe extern "C" fn(*mut c_void);
        // Before: afterwards the address may be another session's.
        session::forget(ssl as usize);
        // SAFETY: the type of SSL_free.
        if let Some(real) = unsafe { real::<Free>(copy, Function::SslFree) } {
            // SAFETY: the host's own argument.
            unsafe { real(ssl) }
        }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_clear(3)`.
    unsafe fn SSL_clear(copy, ssl: *mut c_void) -> i32 {
        // SAFETY: the type of SSL_clear.
        let Some(real) = (unsafe { real::<Of>(copy, Function::SslClear) }) else { return 0 };
        // SAFETY: the host's own argument.
        let result = unsafe { real(ssl) };
        if result > 0 {
            session::begun(ssl as usize, None);
        }
        result
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_set_fd(3)`.
    unsafe fn SSL_set_fd(copy, ssl: *mut c_void, fd: i32) -> i32 {
        // SAFETY: the host's own arguments.
        unsafe { set_descriptor(copy, Function::SslSetFd, ssl, fd) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_set_rfd(3)`.
    unsafe fn SSL_set_rfd(copy, ssl: *mut c_void, fd: i32) -> i32 {
        // SAFETY: the host's own arguments.
        unsafe { set_descriptor(copy, Function::SslSetRfd, ssl, fd) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_set_wfd(3)`.
    unsafe fn SSL_set_wfd(copy, ssl: *mut c_void, fd: i32) -> i32 {
        // SAFETY: the host's own arguments.
        unsafe { set_descriptor(copy, Function::SslSetWfd, ssl, fd) }
    }
}

/// # Safety
///
/// As for `SSL_set_fd(3)`, whose name is `function`.
unsafe fn set_descriptor(copy: usize, function: Function, ssl: *mut c_void, fd: i32) -> i32 {
    type SetFd = unsafe extern "C" fn(*mut c_void, i32) -> i32;
    // SAFETY: the type of SSL_set_fd and its like.
    let Some(real) = (unsafe { real::<SetFd>(copy, function) }) else { return 0 };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(ssl, fd) };
    if result > 0 {
        session::uses_descriptor(ssl as usize, fd);
    }
    result
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_connect(3)`.
    unsafe fn SSL_connect(copy, ssl: *mut c_void) -> i32 {
        // SAFETY: the host's own argument.
        unsafe { handshake(copy, Function::SslConnect, ssl) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_accept(3)`.
    unsafe fn SSL_accept(copy, ssl: *mut c_void) -> i32 {
        // SAFETY: the host's own argument.
        unsafe { handshake(copy, Function::SslAccept, ssl) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_do_handshake(3)`.
    unsafe fn SSL_do_handshake(copy, ssl: *mut c_void) -> i32 {
        // SAFETY: the host's own argument.
        unsafe { handshake(copy, Function::SslDoHandshake, ssl) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_shutdown(3)`.
    unsafe fn SSL_shutdown(copy, ssl: *mut c_void) -> i32 {
        if session::is_known(ssl as usize) {
            session::shut(ssl as usize);
        }
        // SAFETY: the host's own argument.
        unsafe { handshake(copy, Function::SslShutdown, ssl) }
    }
}

/// # Safety
///
/// As for the function, which takes the session and may send and receive.
unsafe fn handshake(copy: usize, function: Function, ssl: *mut c_void) -> i32 {
    // SAFETY: the type of these functions.
    let Some(real) = (unsafe { real::<Of>(copy, function) }) else { return FAILED };
    // SAFETY: the host's own argument.
    session::during(ssl as usize, || unsafe { real(ssl) })
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_read(3)`.
    unsafe fn SSL_read(copy, ssl: *mut c_void, buffer: *mut u8, count: i32) -> i32 {
        type Read = unsafe extern "C" fn(*mut c_void, *mut u8, i32) -> i32;
        // SAFETY: the type of SSL_read.
        let Some(real) = (unsafe { real::<Read>(copy, Function::SslRead) }) else { return FAILED };
        // SAFETY: the host's own arguments.
        let result = session::during(ssl as usize, || unsafe { real(ssl, buffer, count) });
        // SAFETY: the call has read so much into the buffer.
        unsafe { arrived(copy, ssl, buffer, usize::try_from(result).unwrap_or(0)) };
        result
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_read_ex(3)`.
    unsafe fn SSL_read_ex(
        copy,
        ssl: *mut c_void,
        buffer: *mut u8,
        count: usize,
        read: *mut usize,
    ) -> i32 {
        // SAFETY: the host's own arguments.
        unsafe { read_ex(copy, Function::SslReadEx, ssl, buffer, count, read) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_read_early_data(3)`.
    unsafe fn SSL_read_early_data(
        copy,
        ssl: *mut c_void,
        buffer: *mut u8,
        count: usize,
        read: *mut usize,
    ) -> i32 {
        // SAFETY: the host's own arguments.
        unsafe { read_ex(copy, Function::SslReadEarlyData, ssl, buffer, count, read) }
    }
}

/// # Safety
///
/// As for `SSL_read_ex(3)`, or the other one.
unsafe fn read_ex(
    copy: usize,
    function: Function,
    ssl: *mut c_void,
    buffer: *mut u8,
    count: usize,
    read: *mut usize,
) -> i32 {
    type ReadEx = unsafe extern "C" fn(*mut c_void, *mut u8, usize, *mut usize) -> i32;
    // SAFETY: the type of both.
    let Some(real) = (unsafe { real::<ReadEx>(copy, function) }) else { return 0 };
    // SAFETY: the host's own arguments.
    let result = session::during(ssl as usize, || unsafe { real(ssl, buffer, count, read) });
    // SAFETY: the call says by what it gives that it has written there. Of early data the last call may have none.
    let count = if result > 0 { unsafe { *read } } else { 0 };
    // SAFETY: the call has read so much into the buffer.
    unsafe { arrived(copy, ssl, buffer, count) };
    result
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_write(3)`.
    unsafe fn SSL_write(copy, ssl: *mut c_void, buffer: *const u8, count: i32) -> i32 {
        // SAFETY: the type of SSL_write.
        let Some(real) = (unsafe { real::<Write>(copy, Function::SslWrite) }) else { return FAILED };
        let Some(length) = usize::try_from(count).ok().filter(|_| session::is_known(ssl as usize)) else {
            // SAFETY: the host's own arguments.
            return unsafe { real(ssl, buffer, count) };
        };
        let mut result = FAILED;
        // SAFETY: the host's own buffer; what the call gets is as long as the host's at most, or no longer than a room.
        let written = unsafe {
            write(copy, ssl, buffer, length, &mut |bytes, length| {
                result = real(ssl, bytes, i32::try_from(length).unwrap_or(i32::MAX));
                usize::try_from(result).ok().filter(|written| *written > 0)
            })
        };
        written.and_then(|written| i32::try_from(written).ok()).unwrap_or(result.min(0))
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_write_ex(3)`.
    unsafe fn SSL_write_ex(
        copy,
        ssl: *mut c_void,
        buffer: *const u8,
        count: usize,
        written: *mut usize,
    ) -> i32 {
        // SAFETY: the type of SSL_write_ex.
        let Some(real) = (unsafe { real::<WriteEx>(copy, Function::SslWriteEx) }) else { return 0 };
        // SAFETY: the host's own arguments, but for the buffer.
        unsafe { write_ex(copy, ssl, buffer, count, written, |bytes, count, out| real(ssl, bytes, count, out)) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_write_ex2(3)`.
    unsafe fn SSL_write_ex2(
        copy,
        ssl: *mut c_void,
        buffer: *const u8,
        count: usize,
        flags: u64,
        written: *mut usize,
    ) -> i32 {
        type WriteEx2 = unsafe extern "C" fn(*mut c_void, *const u8, usize, u64, *mut usize) -> i32;
        // SAFETY: the type of SSL_write_ex2.
        let Some(real) = (unsafe { real::<WriteEx2>(copy, Function::SslWriteEx2) }) else { return 0 };
        // SAFETY: the host's own arguments, but for the buffer.
        unsafe { write_ex(copy, ssl, buffer, count, written, |bytes, count, out| real(ssl, bytes, count, flags, out)) }
    }
}

/// # Safety
///
/// As for `SSL_write_ex(3)`, which `call` calls.
unsafe fn write_ex(
    copy: usize,
    ssl: *mut c_void,
    buffer: *const u8,
    count: usize,
    written: *mut usize,
    call: impl Fn(*const u8, usize, *mut usize) -> i32,
) -> i32 {
    if !session::is_known(ssl as usize) {
        return call(buffer, count, written);
    }
    // SAFETY: the host's own buffer.
    let all = unsafe {
        write(copy, ssl, buffer, count, &mut |bytes, count| {
            let mut written = 0;
            (call(bytes, count, &raw mut written) > 0).then_some(written)
        })
    };
    let Some(all) = all else { return 0 };
    // SAFETY: the host's own, where the real function would have written.
    unsafe { *written = all };
    1
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_write_early_data(3)`.
    unsafe fn SSL_write_early_data(
        copy,
        ssl: *mut c_void,
        buffer: *const u8,
        count: usize,
        written: *mut usize,
    ) -> i32 {
        // SAFETY: the type of SSL_write_early_data.
        let Some(real) = (unsafe { real::<WriteEx>(copy, Function::SslWriteEarlyData) }) else { return 0 };
        // What comes so early may be refused, and is then sent again: nothing is certain of it.
        session::forget(ssl as usize);
        // SAFETY: the host's own arguments.
        unsafe { real(ssl, buffer, count, written) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `SSL_sendfile(3)`.
    unsafe fn SSL_sendfile(
        copy,
        ssl: *mut c_void,
        fd: i32,
        offset: i64,
        size: usize,
        flags: i32,
    ) -> isize {
        type Sendfile = unsafe extern "C" fn(*mut c_void, i32, i64, usize, i32) -> isize;
        // SAFETY: the type of SSL_sendfile.
        let Some(real) = (unsafe { real::<Sendfile>(copy, Function::SslSendfile) }) else { return FAILED as isize };
        // SAFETY: the host's own arguments.
        let result = session::during(ssl as usize, || unsafe { real(ssl, fd, offset, size, flags) });
        if let (Ok(count @ 1..), true) = (usize::try_from(result), session::is_known(ssl as usize)) {
            let facts = || facts(copy, ssl);
            session::went_unseen(&Session { address: ssl as usize, facts: &facts }, true, count);
        }
        result
    }
}

/// # Safety
///
/// `call` writes to the session, as `SSL_write` does; the buffer is the host's.
unsafe fn write(
    copy: usize,
    ssl: *mut c_void,
    buffer: *const u8,
    length: usize,
    call: &mut dyn FnMut(*const u8, usize) -> Option<usize>,
) -> Option<usize> {
    let facts = || facts(copy, ssl);
    let session = Session { address: ssl as usize, facts: &facts };
    // SAFETY: the caller's promise. Who did not ask for it does not know that less may be written than he gives.
    unsafe {
        session::write(&session, buffer, length, false, &mut |bytes, length| {
            session::during(ssl as usize, || call(bytes, length))
        })
    }
}

/// # Safety
///
/// A call has read `count` bytes into the buffer; or none.
unsafe fn arrived(copy: usize, ssl: *mut c_void, buffer: *const u8, count: usize) {
    const SSL_RECEIVED_SHUTDOWN: i32 = 2;
    if !session::is_known(ssl as usize) {
        return;
    }
    if count == 0 {
        // SAFETY: the type of SSL_get_shutdown.
        let shutdown = unsafe { real::<Of>(copy, Function::SslGetShutdown) };
        // SAFETY: the host's own session.
        if shutdown.is_none_or(|shutdown| unsafe { shutdown(ssl) } & SSL_RECEIVED_SHUTDOWN == 0) {
            return;
        }
    }
    let facts = || facts(copy, ssl);
    // SAFETY: the caller's promise.
    unsafe { session::received(&Session { address: ssl as usize, facts: &facts }, buffer, count) };
}

fn facts(copy: usize, ssl: *mut c_void) -> Facts {
    type Alpn = unsafe extern "C" fn(*mut c_void, *mut *const u8, *mut u32);
    // SAFETY: the type of SSL_is_server.
    let is_server = unsafe { real::<Of>(copy, Function::SslIsServer) };
    let (mut name, mut length) = (core::ptr::null(), 0u32);
    // SAFETY: the type of SSL_get0_alpn_selected; it gives a name that lives as long as the session.
    let is_http2 = unsafe {
        if let Some(alpn) = real::<Alpn>(copy, Function::SslGet0AlpnSelected) {
            alpn(ssl, &raw mut name, &raw mut length);
        }
        !name.is_null() && core::slice::from_raw_parts(name, length as usize) == b"h2"
    };
    // SAFETY: the host's own session, of which this only tells.
    Facts { is_server: is_server.map(|is_server| unsafe { is_server(ssl) } != 0), is_http2 }
}
