//! The project's own tasks: what CI runs is what a person runs.
//!
//! `cargo xtask test` runs every check, `cargo xtask setup` only installs what the tests need, `cargo xtask hosts` runs
//! other people's programs and test suites under the launcher, `cargo xtask sanitize` runs tests under a sanitizer, `cargo
//! xtask wheel` makes the wheel for pip, `cargo xtask bench` measures what the launcher costs.

mod bench;
mod hosts;
mod sanitize;
mod setup;
mod step;
mod test;
mod wheel;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  test      install what the tests need, then run every check: format, lints, documentation, all tests
  setup     only install what the tests need
  hosts     run many programs and whole foreign test suites bare and under ddtrace-run, and compare (two hours or three);
            or parts of that: programs, kills, cpython, pypi, debian, go
  sanitize  run the tests of what processes share under AddressSanitizer (needs Rust's nightly toolchain)
  wheel     make target/wheels/ddtrace_run-*.whl for pip
  bench     measure starting programs bare and under ddtrace-run, side by side";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => test::run(),
        ["setup"] => setup::run(),
        ["hosts", parts @ ..] => hosts::run(parts),
        ["sanitize"] => sanitize::run(),
        ["wheel"] => wheel::run(),
        ["bench"] => bench::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
