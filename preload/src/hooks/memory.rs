//! What keeps a program's memory in place.

use crate::process;
use crate::table::{self, Function, real};

/// # Safety
///
/// As for `mlockall(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn mlockall(flags: i32) -> i32 {
    const MCL_CURRENT: i32 = 1;
    const MCL_FUTURE: i32 = 2;
    type Mlockall = unsafe extern "C" fn(i32) -> i32;
    // SAFETY: the type of mlockall.
    let Some(real) = (unsafe { real::<Mlockall>(Function::Mlockall) }) else { return table::missing() };
    if flags & (MCL_CURRENT | MCL_FUTURE) != 0 {
        process::keep_little_memory();
    }
    // SAFETY: the host's own argument.
    unsafe { real(flags) }
}
