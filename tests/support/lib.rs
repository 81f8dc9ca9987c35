//! What the end-to-end tests share.
//!
//! - [`sandbox`]: a home, state and temporary directory of its own for each test, and programs run in it, bare or traced
//! - [`outcome`]: what a run showed to the outside, in a form that can be compared
//! - [`spans`]: spans as each receiver hands them out, brought into one form
//! - [`agent`]: Datadog's own test agent, which also takes OTLP
//! - [`receiver`]: one that answers as it is told, or not at all
//! - [`witness`]: the processes of a run as `strace` saw them, to hold the spans against
//! - [`process`]: the one form in which the tree of the witness and the tree of the spans are compared
//! - [`programs`]: the small C programs of `tests/apps`, compiled when asked for
//! - [`servers`]: servers and clients that know nothing of tracing, for what their connections tell
//! - [`services`]: the Rust services of `examples/services` and programs of `tests/apps`, built when asked for
//! - [`python`]: the Pythons with packages, and the programs that are run with them
//! - [`terminal`]: a run whose stderr is a terminal
//!
//! Everything here panics with a telling message when it fails, since a test has nothing better to do with an error.

pub mod agent;
pub mod http;
pub mod http2;
pub mod outcome;
pub mod process;
pub mod programs;
pub mod python;
pub mod receiver;
pub mod sandbox;
pub mod servers;
pub mod services;
pub mod spans;
pub mod terminal;
pub mod witness;

pub use agent::Agent;
pub use outcome::Outcome;
pub use process::{End, Process};
pub use receiver::{Manner, Moment, Nobody, Receiver};
pub use sandbox::Sandbox;
pub use spans::Span;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest wait for anything that must happen, generous because test machines are slow and shared.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository is where it was at compile time")
}

/// The directory where `cargo xtask setup` put what the tests need.
#[must_use]
pub fn target_dir() -> PathBuf {
    repository().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Asks `probe` again and again until it gives a value.
///
/// # Panics
/// When [`PATIENCE`] is over; `what` names the thing that did not happen.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
