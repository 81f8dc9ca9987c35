//! The core that every part of ddtrace-run shares.
//!
//! What runs inside traced processes (ids, context, record, ring, handshake) is `no_std`, allocates nothing and has no
//! reachable panic; feature `std`, on by default, adds configuration, the span model and the readers.
//! Feature `otel` adds `init()`, the OpenTelemetry API for Rust programs, and `direct` what they need to send by themselves.
//! The core has no statics: whoever embeds it owns the state. (The [`recorder`]'s thread-local words are the exception.)
#![no_std]

#[cfg(any(feature = "std", test))]
extern crate std;

/// Declares modules that run inside traced processes. A reachable panic there is a link error of the preload; the lints
/// name the place.
macro_rules! in_process {
    ($($(#[$attribute:meta])* $module:ident),* $(,)?) => {
        $(
            $(#[$attribute])*
            #[cfg_attr(
                not(test),
                deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
            )]
            pub mod $module;
        )*
    };
}

in_process! {
    context, decimal, denylist, elf, failure, handshake, http, identity, ids, interface, naming, propagation, random, record, ring, sampling,
    scrub, semconv, settings, sync, sys
}

#[cfg(feature = "std")]
pub mod config;
#[cfg(feature = "otel")]
pub mod otel;
#[cfg(feature = "std")]
pub mod recorder;
#[cfg(feature = "std")]
pub mod span;
#[cfg(feature = "std")]
pub mod tracer;

/// What the pages for users have in Rust is compiled and run; those of other pages by `examples/services`, which has what
/// they need.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../docs/propagation.md")]
struct Pages;

#[cfg(feature = "otel")]
pub use otel::{InitError, Path, Tracing, init};
