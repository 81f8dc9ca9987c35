//! Every check of the project.

use crate::setup;
use crate::step::{self, Done, cargo};

/// Runs them one after the other; the cheap ones first.
///
/// # Errors
/// With the first that fails.
pub fn run() -> Done {
    setup::run()?;
    step::run("format", cargo().args(["fmt", "--all", "--check"]))?;
    step::run("lints", cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--locked", "--workspace", "--no-deps"]);
    step::run("documentation", &mut doc)?;
    // All of them, so that one run tells everything that is wrong.
    step::run("tests", cargo().args(["test", "--locked", "--workspace", "--no-fail-fast"]))
}
