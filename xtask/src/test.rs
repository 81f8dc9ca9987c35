//! Every check of the project.

use crate::step::{self, Done, cargo};
use crate::{hosts, setup};

/// Runs them one after the other; the cheap ones first.
///
/// # Errors
/// With the first that fails.
pub fn run() -> Done {
    setup::run()?;
    step::run("format", cargo().args(["fmt", "--all", "--check"]))?;
    step::run("lints", cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // The features that only Rust programs take: by themselves, so that nothing else is built with them.
    let otel = ["--locked", "--package", "ddtrace", "--features", "otel"];
    step::run("lints: otel", cargo().arg("clippy").args(otel).args(["--all-targets", "--", "-D", "warnings"]))?;
    let direct = ["--locked", "--package", "ddtrace", "--features", "direct"];
    step::run("lints: direct", cargo().arg("clippy").args(direct).args(["--all-targets", "--", "-D", "warnings"]))?;
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--locked", "--workspace", "--no-deps"]);
    step::run("documentation", &mut doc)?;
    // All of them, so that one run tells everything that is wrong.
    let tests = step::run("tests", cargo().args(["test", "--locked", "--workspace", "--no-fail-fast"]));
    let tests = tests.and(step::run("tests: direct", cargo().arg("test").args(direct).arg("--no-fail-fast")));
    // The ring as it ships, on the atomics of a model checker: every interleaving there is within its bounds.
    let loom = ["test", "--locked", "--package", "ddtrace", "--lib", "--features", "loom", "ring::shipped"];
    tests.and(step::run("tests: loom", cargo().args(loom))).and(hosts::few())
}
