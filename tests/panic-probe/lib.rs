//! Calls every public function of the core that may run inside a traced process. Never shipped and never run.
//!
//! `tests/panic_free.rs` links it as the preload is linked, without any library and with a panic handler that calls an
//! undefined symbol: if the optimiser leaves a way from any of these functions into a panic, the link fails. The preload
//! proves the same of what it uses, and in the way it uses it; here every argument is unknown to the optimiser.
#![no_std]

pub mod context;
pub mod elf;
pub mod failure;
pub mod http;
pub mod naming;
pub mod propagation;
pub mod record;
pub mod sampling;
pub mod settings;
#[cfg(probe_so)]
mod so;
pub mod span_record;
pub mod sys;
pub mod text;

/// A value that the optimiser knows nothing about.
fn any<T>(value: T) -> T {
    core::hint::black_box(value)
}

/// Keeps the optimiser from leaving out what nobody needs.
fn used<T>(value: T) {
    core::hint::black_box(value);
}

/// Bytes of unknown length and content.
fn bytes() -> &'static [u8] {
    any(b"bytes")
}

/// An exported function, so that the linker keeps it and all that it calls.
macro_rules! probes {
    ($($name:ident $body:block)*) => {
        $(
            #[doc = concat!("Calls what is public in `", stringify!($name), "`.")]
            #[cfg_attr(probe_so, unsafe(no_mangle))]
            pub extern "C" fn $name() $body
        )*
    };
}
use probes;

/// What the proof must notice, compiled in only to see that it does.
#[cfg(deliberate_panic)]
#[unsafe(no_mangle)]
pub extern "C" fn deliberate_panic() -> u8 {
    [1u8, 2, 3][any(0)]
}
