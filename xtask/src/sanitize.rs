//! What runs in other people's processes, under AddressSanitizer: the ring's and the records' own tests, in which writers
//! and readers share memory.

use crate::step::{self, Done, succeeds, target_dir};
use std::process::Command;

/// The sanitizer is for this target alone, as is the ring.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Which tests. Left out are `ring::steps`, which single-steps a process of its own whose every instruction is the
/// sanitizer's then, and `ring::model`, which is a model and shares nothing.
const TESTS: &[&str] = &["ring::", "record::", "interface::", "identity::", "handshake::", "settings::"];

/// Runs them.
///
/// # Errors
/// When there is no nightly toolchain, or a test fails.
pub fn run() -> Done {
    if !succeeds("rustup", &["run", "nightly", "rustc", "--version"]) {
        return Err(
            "the sanitizer is a feature of Rust's nightly toolchain: rustup toolchain install nightly".to_owned()
        );
    }
    let mut command = Command::new("rustup");
    command.current_dir(step::root()).args([
        "run",
        "nightly",
        "cargo",
        "test",
        "--locked",
        "--package",
        "ddtrace",
        "--lib",
    ]);
    command.args(["--target", TARGET, "--target-dir"]).arg(target_dir().join("sanitizer"));
    command.arg("--").args(TESTS).args(["--skip", "ring::steps", "--skip", "ring::model"]);
    command.env("RUSTFLAGS", "-Zsanitizer=address").env("ASAN_OPTIONS", "detect_stack_use_after_return=1");
    // Those that cargo and rustup set for the toolchain that runs this.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    step::run("tests: AddressSanitizer", &mut command)
}
