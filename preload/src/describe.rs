//! What is recorded about a program: executable, arguments with their secrets removed, directory.

use crate::host::c_bytes;
use core::ffi::CStr;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use ddtrace::record::RecordWriter;
use ddtrace::scrub::ArgScrubber;
use ddtrace::semconv::Key;
use ddtrace::sys;

/// The most bytes of arguments that are recorded; their number is recorded in any case.
const ARGUMENT_BYTES: usize = 8 * 1024;
/// The most arguments that are counted.
const MOST_ARGUMENTS: usize = 1 << 20;

static ARGV: AtomicPtr<*const u8> = AtomicPtr::new(null_mut());
static NAME: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// Keeps where the process's arguments are, and the name by which its program was started: null, or a C string.
pub(crate) fn remember(argv: *const *const u8, name: *const u8) {
    ARGV.store(argv.cast_mut(), Ordering::Relaxed);
    NAME.store(name.cast_mut(), Ordering::Relaxed);
}

/// The program's path. Where `/proc` is not mounted, what it was started by: a path as well, but of a script its own, not
/// its interpreter's.
pub(crate) fn executable(buffer: &mut [u8]) -> &[u8] {
    match sys::readlink(c"/proc/self/exe", buffer) {
        Ok(path) => path,
        Err(_) => {
            let name = NAME.load(Ordering::Relaxed);
            // SAFETY: null, or the kernel's own C string, which stands above all that programs write their titles over.
            if name.is_null() { &[] } else { unsafe { c_bytes(name) } }
        }
    }
}

/// Describes the program that runs in this process.
pub(crate) fn this_program(record: &mut RecordWriter) {
    let mut buffer = [0u8; 1024];
    let path = executable(&mut buffer);
    if !path.is_empty() {
        record.text(Key::ExecutablePath, path);
    }
    if let Ok(directory) = sys::getcwd(&mut buffer) {
        record.text(Key::WorkingDirectory, directory);
    }
    // SAFETY: null or the array of the process's own arguments, which ends with null. A program that changes its
    // arguments does so after its start, when this has been read; in a forked child it reads what is there now.
    unsafe { arguments(record, ARGV.load(Ordering::Relaxed)) };
}

/// Describes a program that is about to be started, and why it cannot describe itself.
///
/// # Safety
///
/// `argv` is as for [`arguments`].
pub(crate) unsafe fn program(record: &mut RecordWriter, path: Option<&CStr>, argv: *const *const u8, reason: &str) {
    if let Some(path) = path {
        record.text(Key::ExecutablePath, path.to_bytes());
    }
    record.text(Key::Untraceable, reason.as_bytes());
    // SAFETY: the caller's promise.
    unsafe { arguments(record, argv) };
}

/// # Safety
///
/// `argv` is null or an array of C strings that ends with null.
unsafe fn arguments(record: &mut RecordWriter, argv: *const *const u8) {
    if argv.is_null() {
        return;
    }
    let argument = |index: usize| {
        // SAFETY: callers stop at the null that ends the array.
        let pointer = unsafe { *argv.add(index) };
        // SAFETY: an element of the array is null or a C string.
        (!pointer.is_null()).then(|| unsafe { c_bytes(pointer) })
    };
    let mut count = 0usize;
    while count < MOST_ARGUMENTS && argument(count).is_some() {
        count = count.wrapping_add(1);
    }
    record.integer(Key::ArgsCount, count as i64);
    record.text_list(Key::CommandArgs, |list| {
        let mut scrubber = ArgScrubber::new();
        let floor = list.room().saturating_sub(ARGUMENT_BYTES);
        for index in 0..count {
            let Some(text) = argument(index) else { break };
            if list.room().saturating_sub(text.len().wrapping_add(64)) < floor {
                break;
            }
            for piece in scrubber.scrub(text).pieces() {
                list.push(piece);
            }
            list.end_item();
        }
    });
}
