//! What the host process is: found without asking its C library for anything.

mod auxv;
mod imports;
mod objects;
mod symbols;

pub(crate) use auxv::Auxv;
pub(crate) use imports::{Import, Iterate, Mapped, Set, each_mapped};
pub(crate) use objects::{Objects, loader, own_library_path};
pub(crate) use symbols::{Name, lookup};

/// The bytes of a C string, without its NUL.
///
/// # Safety
///
/// `text` is null or points to bytes that end with NUL and stay unchanged for `'a`.
pub(crate) unsafe fn c_bytes<'a>(text: *const u8) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::ffi::CStr::from_ptr(text.cast()) }.to_bytes()
}
