//! What only the linked library has.

use core::arch::global_asm;
use core::panic::PanicInfo;

unsafe extern "C" {
    // Defined nowhere: the linker names it if it is reachable.
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}

// Compilers call these. The library is only linked: it is enough that they are there.
global_asm!(
    ".irp name, memcpy, memmove, memset, memcmp, bcmp, strlen",
    ".globl \\name",
    ".hidden \\name",
    "\\name:",
    ".endr",
    "ud2"
);
