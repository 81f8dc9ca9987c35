//! Pythons with packages installed, and the programs that the tests run with them.

use crate::{repository, target_dir};

/// The Python of one of the virtual environments that `cargo xtask setup` makes.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn python(venv: &str) -> String {
    let python = target_dir().join(venv).join("bin/python");
    assert!(python.exists(), "{} is not there: run `cargo xtask setup`", python.display());
    python.to_str().expect("the path is UTF-8").to_owned()
}

/// A program of `tests/python_api`.
///
/// # Panics
/// When the repository's path is no UTF-8.
#[must_use]
pub fn program(name: &str) -> String {
    let path = repository().join("tests/python_api").join(name);
    path.to_str().expect("the path is UTF-8").to_owned()
}
