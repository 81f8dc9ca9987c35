//! The host's headers, behind its callbacks.

use core::ffi::{c_char, c_void};
use core::ptr::null;
use ddtrace::context::Bounded;
use ddtrace::interface::{GetHeader, SetHeader, Text};
use ddtrace::propagation::{Carrier, CarrierMut};

/// The longest name of a header, in bytes; those with a longer one are neither written nor read.
const MAX_NAME: usize = 255;
/// A host that never says that there are no more values of a header is not asked for ever.
const MOST_VALUES: usize = 64;

/// The name with the NUL that C wants.
fn c_name(name: &str) -> Option<Bounded<{ MAX_NAME + 1 }>> {
    let mut text = Bounded::new();
    text.push(name.as_bytes()).ok()?;
    text.push(&[0]).ok()?;
    Some(text)
}

/// Headers that are read.
pub(super) struct HostHeaders {
    pub(super) get: GetHeader,
    pub(super) argument: *mut c_void,
}

impl Carrier for HostHeaders {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let Some(name) = c_name(name) else { return };
        for index in 0..MOST_VALUES {
            let mut value = Text { bytes: null(), length: 0 };
            // SAFETY: the host's own function with its own argument; the name ends with NUL.
            let given = unsafe { (self.get)(self.argument, name.as_bytes().as_ptr().cast(), index, &raw mut value) };
            if given != 1 {
                return;
            }
            // SAFETY: the host has said so, and keeps the text until the extraction is over.
            each(unsafe { bytes(value.bytes, value.length) });
        }
    }
}

/// Headers that are written.
pub(super) struct HostHeadersMut {
    pub(super) set: SetHeader,
    pub(super) argument: *mut c_void,
}

impl CarrierMut for HostHeadersMut {
    fn set(&mut self, name: &str, value: &[u8]) {
        let Some(name) = c_name(name) else { return };
        // SAFETY: the host's own function with its own argument; the name ends with NUL, and both texts live longer than
        // the call.
        unsafe { (self.set)(self.argument, name.as_bytes().as_ptr().cast(), value.as_ptr().cast(), value.len()) };
    }
}

/// A text of the host's.
///
/// # Safety
///
/// `length` bytes at `start` can be read and stay unchanged for `'a`, or `start` is null.
pub(super) unsafe fn bytes<'a>(start: *const c_char, length: usize) -> &'a [u8] {
    if start.is_null() || length > isize::MAX as usize {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(start.cast(), length) }
}
