//! The library that LD_PRELOAD puts into traced processes.
//!
//! It is `no_std`, links nothing, exports only what it interposes, and its link fails if a panic is reachable
//! (`launcher/build.rs` builds it so, with `--cfg preload_so`). As an ordinary crate it can be checked and documented.
//!
//! Each hook calls the real function with the caller's own arguments and gives its result back untouched; what is
//! recorded besides is done only where all is known to be fine. No hook allocates, locks, waits, keeps a descriptor,
//! installs a handler or prints.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(preload_so),
    allow(dead_code, reason = "only the shared library has the entry points that call the hooks")
)]
#![allow(non_snake_case, reason = "C and POSIX named the functions")]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod child_environment;
mod describe;
mod environment;
mod hash;
mod hooks;
mod host;
mod inspect;
mod libraries;
mod net;
mod process;
pub mod protocol;
mod raw;
mod settled;
mod start;
mod table;
mod thread;
mod tracer;

#[cfg(preload_so)]
mod so;
