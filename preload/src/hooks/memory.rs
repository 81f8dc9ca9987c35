//! What keeps a program's memory in place.

use crate::process;
use crate::table::{self, Function, real};

/// Whether these flags of `mlockall(2)` are about what is mapped, or will be.
pub(super) fn keeps_all(flags: i32) -> bool {
    const MCL_CURRENT: i32 = 1;
    const MCL_FUTURE: i32 = 2;
    flags & (MCL_CURRENT | MCL_FUTURE) != 0
}

/// # Safety
///
/// As for `mlockall(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn mlockall(flags: i32) -> i32 {
    type Mlockall = unsafe extern "C" fn(i32) -> i32;
    // SAFETY: the type of mlockall.
    let Some(real) = (unsafe { real::<Mlockall>(Function::Mlockall) }) else { return table::missing() };
    if keeps_all(flags) {
        process::keep_little_memory();
    }
    // SAFETY: the host's own argument.
    unsafe { real(flags) }
}
