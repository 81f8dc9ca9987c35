//! Recording through the library that `ddtrace-run` put into the process.

use super::{Absent, Process};
use crate::interface::{
    CurrentSpan, DecidedInfo, Interface, LentSpan, MOST_PLACES, PROCESS_IS_SPAN, Part, Place, ProcessInfo, RequestInfo,
    VERSION,
};
use crate::propagation::CarrierMut;
use crate::record::RecordWriter;
use crate::ring::layout::MAX_RECORD;
use core::ffi::{CStr, c_char, c_void};
use core::mem::MaybeUninit;
use core::net::{IpAddr, SocketAddr};
use core::ptr::NonNull;

/// The library's table. It is never unloaded (`-z nodelete`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Preload {
    interface: &'static Interface,
}

impl Preload {
    /// The library, and what the process is, if the library is there and records.
    pub(super) fn find() -> Result<Option<(Preload, Process)>, Absent> {
        let Some(table) = symbol() else { return Ok(None) };
        // SAFETY: every release of the table begins with these two numbers.
        let [size, version] = unsafe { table.cast::<[u32; 2]>().read() };
        if version != VERSION || (size as usize) < size_of::<Interface>() {
            return Err(Absent::OtherRelease { version });
        }
        // SAFETY: the table is at least as long as ours and of our version, is never written to, and stays.
        let preload = Preload { interface: unsafe { table.as_ref() } };
        // A library that has nothing to do in this process leaves room for a ring of our own.
        Ok(preload.process().map(|process| (preload, process)))
    }

    pub(super) fn process(&self) -> Option<Process> {
        let mut info = ProcessInfo { size: size_of::<ProcessInfo>() as u32, ..ProcessInfo::default() };
        // SAFETY: `info` is of the size that it says.
        let told = unsafe { (self.interface.process)(&mut info) } == 0;
        told.then(|| Process::told(&info))
    }

    pub(super) fn surroundings(&self) -> u64 {
        // SAFETY: it takes nothing.
        unsafe { (self.interface.surroundings)() }
    }

    pub(super) fn describe(&self, number: u64) -> Option<CurrentSpan> {
        let mut span = CurrentSpan { size: size_of::<CurrentSpan>() as u32, ..CurrentSpan::default() };
        // SAFETY: as above.
        let told = unsafe { (self.interface.describe)(number, &mut span) } == 0;
        told.then_some(span)
    }

    pub(super) fn request(&self, number: u64) -> Option<RequestInfo> {
        let mut request = RequestInfo { size: size_of::<RequestInfo>() as u32, ..RequestInfo::default() };
        // SAFETY: as above.
        let told = unsafe { (self.interface.request)(number, &mut request) } == 0;
        told.then_some(request)
    }

    pub(super) fn request_from(&self, peer: SocketAddr) -> u64 {
        let address = match peer.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        // SAFETY: 16 bytes.
        unsafe { (self.interface.request_from)(address.octets().as_ptr(), peer.port().into()) }
    }

    pub(super) fn leave(&self, what: u32) {
        // SAFETY: a number.
        unsafe { (self.interface.leave)(what) };
    }

    pub(super) fn take_over(&self, number: u64) -> u64 {
        // SAFETY: a handle.
        unsafe { (self.interface.take_over)(number) }
    }

    pub(super) fn lend(&self, span: &LentSpan) -> u64 {
        // SAFETY: `span` is of the size that it says, and has as many headers.
        unsafe { (self.interface.lend)(span) }
    }

    pub(super) fn activate(&self, number: u64) {
        // SAFETY: a handle.
        unsafe { (self.interface.activate)(number) };
    }

    /// # Safety
    ///
    /// The list stays where it is until the thread tells of another one, and what its places point to for as long as it is
    /// in there.
    pub(super) unsafe fn places(&self, places: Option<&[Place; MOST_PLACES]>) {
        // SAFETY: null, or a list that is never without an end; it stays (contract above).
        unsafe { (self.interface.places)(places.map_or(core::ptr::null(), |places| places.as_ptr())) };
    }

    pub(super) fn give_back(&self, number: u64) {
        // SAFETY: a handle.
        unsafe { (self.interface.give_back)(number) }
    }

    pub(super) fn set(&self, number: u64, part: Part, text: &[u8]) {
        // SAFETY: a handle, and a text of that length.
        unsafe { (self.interface.set)(number, part as u32, text.as_ptr().cast(), text.len()) }
    }

    pub(super) fn decide(&self, number: u64, decided: Option<&DecidedInfo>) -> bool {
        let decided = decided.map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: null, or a structure of the size that it says.
        unsafe { (self.interface.decide)(number, decided) == 0 }
    }

    /// Writes all that the trace of a handle carries.
    pub(super) fn hand_over(&self, number: u64, headers: &mut dyn CarrierMut) {
        unsafe extern "C" fn set(to: *mut c_void, name: *const c_char, value: *const c_char, length: usize) {
            // SAFETY: what `hand_over` below is given, for the time of its call.
            let headers = unsafe { &mut *to.cast::<&mut dyn CarrierMut>() };
            // SAFETY: a name that ends with NUL, and a value of that length (contract of the table).
            let (name, value) = unsafe { (CStr::from_ptr(name), core::slice::from_raw_parts(value.cast(), length)) };
            headers.set(name.to_str().unwrap_or_default(), value);
        }
        let mut headers = headers;
        // SAFETY: the function takes the argument that is given with it, which outlives the call.
        unsafe { (self.interface.hand_over)(number, Some(set), (&raw mut headers).cast()) };
    }

    pub(super) fn agent_rate(&self, service: &[u8], env: &[u8]) -> Option<f64> {
        // SAFETY: both texts are as long as is said.
        let rate =
            unsafe { (self.interface.rate)(service.as_ptr().cast(), service.len(), env.as_ptr().cast(), env.len()) };
        (rate >= 0.0).then_some(rate)
    }

    pub(super) fn record(&self, build: impl FnOnce(&mut RecordWriter)) -> bool {
        // On the stack: 16 KiB that only what is written of touches, with nothing to free and nothing shared.
        let mut buffer = MaybeUninit::<[u8; MAX_RECORD]>::uninit();
        let start = NonNull::from(&mut buffer).cast::<u8>();
        // SAFETY: the buffer is ours, MAX_RECORD bytes long, and outlives the writer.
        let mut writer = unsafe { RecordWriter::new(start, MAX_RECORD) };
        build(&mut writer);
        let Some(length) = writer.finish() else { return false };
        // SAFETY: the writer has written that many bytes from the start of the buffer.
        unsafe { (self.interface.record)(start.as_ptr(), length as usize) == 0 }
    }
}

impl Process {
    fn told(info: &ProcessInfo) -> Process {
        Process::new(super::process::Facts {
            pid: info.pid,
            trace_id: crate::ids::TraceId((u128::from(info.trace_id_high) << 64) | u128::from(info.trace_id_low)),
            span_id: crate::ids::SpanId(info.span_id),
            trace_flags: info.trace_flags as u8,
            is_span: info.flags & PROCESS_IS_SPAN != 0,
        })
    }
}

#[cfg(not(target_feature = "crt-static"))]
fn symbol() -> Option<NonNull<Interface>> {
    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    }
    // RTLD_DEFAULT is the null pointer in glibc and musl.
    // SAFETY: a handle that is always valid, and a C string.
    NonNull::new(unsafe { dlsym(core::ptr::null_mut(), crate::interface::SYMBOL.as_ptr()) }).map(NonNull::cast)
}

/// A static program has no loader that could put a library into it.
#[cfg(target_feature = "crt-static")]
fn symbol() -> Option<NonNull<Interface>> {
    None
}
