//! The wheel for pip: the launcher, its libraries and the Python package.

use crate::step::{self, Done, cargo, root, target_dir};
use std::fs;
use std::path::Path;
use std::process::Command;

const MATURIN: &str = "maturin==1.16.0";

/// Makes `target/wheels/ddtrace_run-*.whl`.
///
/// # Errors
/// When something does not build.
pub fn run() -> Done {
    step::run("launcher", cargo().args(["build", "--locked", "--release", "--package", "ddtrace-run"]))?;
    let (target, data) = (target_dir(), target_dir().join("wheel-data"));
    // What pip puts into bin/, site-packages/ and the environment itself.
    for (from, to) in [
        (target.join("release/ddtrace-run"), data.join("scripts/ddtrace-run")),
        (root().join("python/ddtrace_run.pth"), data.join("platlib/ddtrace_run.pth")),
        (target.join("release/libddtrace_preload.so"), data.join("data/lib/ddtrace/libddtrace_preload.so")),
    ] {
        copy(&from, &to).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))?;
    }
    let venv = target.join("maturin-venv");
    if !venv.join("bin/maturin").exists() {
        step::run("Python environment maturin-venv", Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/python3"));
        step::run("maturin", pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MATURIN]))?;
    }
    let mut maturin = Command::new(venv.join("bin/maturin"));
    maturin.current_dir(root().join("python")).args([
        "build",
        "--release",
        "--strip",
        "--locked",
        "--auditwheel",
        "skip",
    ]);
    step::run("wheel", maturin.arg("--out").arg(target.join("wheels")))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<u64> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to)
}
