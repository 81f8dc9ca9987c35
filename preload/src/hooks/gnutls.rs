//! GnuTLS. Each hook is there once for each copy of the library in a process.
//!
//! Its functions keep what they could not send, and want to be called again: with the same, or with nothing. They may
//! always send less than they were given.

use super::each_copy;
use crate::libraries::{Function, real};
use crate::net::session::{self, Facts, Session};
use core::ffi::c_void;

type Of = unsafe extern "C" fn(*mut c_void) -> i32;
type Recv = unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> isize;
type Send = unsafe extern "C" fn(*mut c_void, *const u8, usize) -> isize;

/// `GNUTLS_E_INTERNAL_ERROR`, where the library has no such function.
const FAILED: i32 = -59;
/// `GNUTLS_SERVER`.
const SERVER: u32 = 1;

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_init(3)`.
    unsafe fn gnutls_init(copy, session: *mut *mut c_void, flags: u32) -> i32 {
        type Init = unsafe extern "C" fn(*mut *mut c_void, u32) -> i32;
        // SAFETY: the type of gnutls_init.
        let Some(real) = (unsafe { real::<Init>(copy, Function::GnutlsInit) }) else { return FAILED };
        // SAFETY: the host's own arguments.
        let result = unsafe { real(session, flags) };
        if result == 0 {
            // SAFETY: the call has written there.
            session::begun(unsafe { *session } as usize, Some(flags & SERVER != 0));
        }
        result
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_deinit(3)`.
    unsafe fn gnutls_deinit(copy, session: *mut c_void) {
        type Deinit = unsafe extern "C" fn(*mut c_void);
        // Before: afterwards the address may be another session's.
        session::forget(session as usize);
        // SAFETY: the type of gnutls_deinit.
        if let Some(real) = unsafe { real::<Deinit>(copy, Function::GnutlsDeinit) } {
            // SAFETY: the host's own argument.
            unsafe { real(session) }
        }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_handshake(3)`.
    unsafe fn gnutls_handshake(copy, session: *mut c_void) -> i32 {
        // SAFETY: the type of gnutls_handshake.
        let Some(real) = (unsafe { real::<Of>(copy, Function::GnutlsHandshake) }) else { return FAILED };
        // SAFETY: the host's own argument.
        session::during(session as usize, || unsafe { real(session) })
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_bye(3)`.
    unsafe fn gnutls_bye(copy, session: *mut c_void, how: i32) -> i32 {
        type Bye = unsafe extern "C" fn(*mut c_void, i32) -> i32;
        // SAFETY: the type of gnutls_bye.
        let Some(real) = (unsafe { real::<Bye>(copy, Function::GnutlsBye) }) else { return FAILED };
        if session::is_known(session as usize) {
            session::shut(session as usize);
        }
        // SAFETY: the host's own arguments.
        session::during(session as usize, || unsafe { real(session, how) })
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_recv(3)`.
    unsafe fn gnutls_record_recv(
        copy,
        session: *mut c_void,
        data: *mut u8,
        size: usize,
    ) -> isize {
        // SAFETY: the type of gnutls_record_recv.
        let Some(real) = (unsafe { real::<Recv>(copy, Function::GnutlsRecordRecv) }) else { return FAILED as isize };
        // SAFETY: the host's own arguments.
        unsafe { received(copy, session, data, size, || real(session, data, size)) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_recv_seq(3)`.
    unsafe fn gnutls_record_recv_seq(
        copy,
        session: *mut c_void,
        data: *mut u8,
        size: usize,
        sequence: *mut u8,
    ) -> isize {
        type RecvSeq = unsafe extern "C" fn(*mut c_void, *mut u8, usize, *mut u8) -> isize;
        // SAFETY: the type of gnutls_record_recv_seq.
        let Some(real) = (unsafe { real::<RecvSeq>(copy, Function::GnutlsRecordRecvSeq) }) else { return FAILED as isize };
        // SAFETY: the host's own arguments.
        unsafe { received(copy, session, data, size, || real(session, data, size, sequence)) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_recv_packet(3)`.
    unsafe fn gnutls_record_recv_packet(
        copy,
        session: *mut c_void,
        packet: *mut *mut c_void,
    ) -> isize {
        type RecvPacket = unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> isize;
        // SAFETY: the type of gnutls_record_recv_packet.
        let Some(real) = (unsafe { real::<RecvPacket>(copy, Function::GnutlsRecordRecvPacket) }) else {
            return FAILED as isize;
        };
        // SAFETY: the host's own arguments.
        let result = session::during(session as usize, || unsafe { real(session, packet) });
        unseen(copy, session, false, result);
        result
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_recv_early_data(3)`.
    unsafe fn gnutls_record_recv_early_data(
        copy,
        session: *mut c_void,
        data: *mut u8,
        size: usize,
    ) -> isize {
        // SAFETY: the type of gnutls_record_recv_early_data.
        let Some(real) = (unsafe { real::<Recv>(copy, Function::GnutlsRecordRecvEarlyData) }) else {
            return FAILED as isize;
        };
        // It comes at a time of the program's choosing, be there other data before it or not: nothing is certain of it.
        session::forget(session as usize);
        // SAFETY: the host's own arguments.
        unsafe { real(session, data, size) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_send(3)`.
    unsafe fn gnutls_record_send(
        copy,
        session: *mut c_void,
        data: *const u8,
        size: usize,
    ) -> isize {
        // SAFETY: the type of gnutls_record_send.
        let Some(real) = (unsafe { real::<Send>(copy, Function::GnutlsRecordSend) }) else { return FAILED as isize };
        // SAFETY: the host's own arguments, but for the data.
        unsafe { sent(copy, session, data, size, |data, size| real(session, data, size)) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_send2(3)`.
    unsafe fn gnutls_record_send2(
        copy,
        session: *mut c_void,
        data: *const u8,
        size: usize,
        padding: usize,
        flags: u32,
    ) -> isize {
        type Send2 = unsafe extern "C" fn(*mut c_void, *const u8, usize, usize, u32) -> isize;
        // SAFETY: the type of gnutls_record_send2.
        let Some(real) = (unsafe { real::<Send2>(copy, Function::GnutlsRecordSend2) }) else { return FAILED as isize };
        // SAFETY: the host's own arguments, but for the data.
        unsafe { sent(copy, session, data, size, |data, size| real(session, data, size, padding, flags)) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_send_range(3)`.
    unsafe fn gnutls_record_send_range(
        copy,
        session: *mut c_void,
        data: *const u8,
        size: usize,
        range: *const c_void,
    ) -> isize {
        type SendRange = unsafe extern "C" fn(*mut c_void, *const u8, usize, *const c_void) -> isize;
        // SAFETY: the type of gnutls_record_send_range.
        let Some(real) = (unsafe { real::<SendRange>(copy, Function::GnutlsRecordSendRange) }) else {
            return FAILED as isize;
        };
        // How long it looks is the program's secret: nothing may be put in.
        session::forget(session as usize);
        // SAFETY: the host's own arguments.
        unsafe { real(session, data, size, range) }
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_send_file(3)`.
    unsafe fn gnutls_record_send_file(
        copy,
        session: *mut c_void,
        fd: i32,
        offset: *mut i64,
        count: usize,
    ) -> isize {
        type SendFile = unsafe extern "C" fn(*mut c_void, i32, *mut i64, usize) -> isize;
        // SAFETY: the type of gnutls_record_send_file.
        let Some(real) = (unsafe { real::<SendFile>(copy, Function::GnutlsRecordSendFile) }) else {
            return FAILED as isize;
        };
        // SAFETY: the host's own arguments.
        let result = session::during(session as usize, || unsafe { real(session, fd, offset, count) });
        unseen(copy, session, true, result);
        result
    }
}

each_copy! {
    /// # Safety
    ///
    /// As for `gnutls_record_send_early_data(3)`.
    unsafe fn gnutls_record_send_early_data(
        copy,
        session: *mut c_void,
        data: *const u8,
        size: usize,
    ) -> isize {
        // SAFETY: the type of gnutls_record_send_early_data.
        let Some(real) = (unsafe { real::<Send>(copy, Function::GnutlsRecordSendEarlyData) }) else {
            return FAILED as isize;
        };
        // What comes so early may be refused, and is then sent again: nothing is certain of it.
        session::forget(session as usize);
        // SAFETY: the host's own arguments.
        unsafe { real(session, data, size) }
    }
}

/// # Safety
///
/// `call` receives into the data, as `gnutls_record_recv` does.
unsafe fn received(
    copy: usize,
    session: *mut c_void,
    data: *const u8,
    size: usize,
    call: impl FnOnce() -> isize,
) -> isize {
    let result = session::during(session as usize, call);
    if let (Ok(count), true) = (usize::try_from(result), size > 0 && session::is_known(session as usize)) {
        let facts = || facts(copy, session);
        // SAFETY: the call has received so much into the data; nothing is the end.
        unsafe { session::received(&Session { address: session as usize, facts: &facts }, data, count) };
    }
    result
}

/// # Safety
///
/// `call` sends, as `gnutls_record_send` does; the data are the host's.
unsafe fn sent(
    copy: usize,
    session: *mut c_void,
    data: *const u8,
    size: usize,
    call: impl Fn(*const u8, usize) -> isize,
) -> isize {
    if !session::is_known(session as usize) {
        return call(data, size);
    }
    let mut result = 0;
    let facts = || facts(copy, session);
    // SAFETY: the caller's promise.
    let sent = unsafe {
        session::write(&Session { address: session as usize, facts: &facts }, data, size, true, &mut |data, size| {
            result = session::during(session as usize, || call(data, size));
            usize::try_from(result).ok()
        })
    };
    sent.and_then(|sent| isize::try_from(sent).ok()).unwrap_or(result)
}

fn unseen(copy: usize, session: *mut c_void, writes: bool, result: isize) {
    if let (Ok(count @ 1..), true) = (usize::try_from(result), session::is_known(session as usize)) {
        let facts = || facts(copy, session);
        session::went_unseen(&Session { address: session as usize, facts: &facts }, writes, count);
    }
}

fn facts(copy: usize, session: *mut c_void) -> Facts {
    /// `gnutls_datum_t`.
    #[repr(C)]
    struct Datum {
        data: *const u8,
        size: u32,
    }
    type Alpn = unsafe extern "C" fn(*mut c_void, *mut Datum) -> i32;
    let mut name = Datum { data: core::ptr::null(), size: 0 };
    // SAFETY: the type of gnutls_alpn_get_selected_protocol; it gives a name that lives as long as the session.
    let is_http2 = unsafe {
        real::<Alpn>(copy, Function::GnutlsAlpnGetSelectedProtocol)
            .is_some_and(|alpn| alpn(session, &raw mut name) == 0 && !name.data.is_null())
            && core::slice::from_raw_parts(name.data, name.size as usize) == b"h2"
    };
    Facts { is_server: None, is_http2 }
}
