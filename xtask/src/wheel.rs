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
    let names = root().join("python/ddtrace_run/compat");
    for name in ["ddtrace", "ddtrace_api", "dd_trace_api"] {
        let stubs = data.join("platlib").join(format!("{name}-stubs"));
        lay_out_stubs(&names.join(name), &stubs).map_err(|error| format!("{}: {error}", stubs.display()))?;
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

/// A stub-only package (PEP 561), by which type checkers find a name that is lent at run time alone: what has types of its
/// own by them, and the rest, which is names and imports, as it is. What it lacks they take from an installed package.
fn lay_out_stubs(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    copy_stubs(from, to)?;
    fs::write(to.join("py.typed"), "partial\n")
}

fn copy_stubs(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let source = entry?.path();
        let Some(name) = source.file_name() else { continue };
        if source.is_dir() {
            if name != "__pycache__" {
                copy_stubs(&source, &to.join(name))?;
            }
        } else if source.extension().is_some_and(|ending| ending == "pyi") || !source.with_extension("pyi").exists() {
            fs::copy(&source, to.join(name).with_extension("pyi"))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<u64> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to)
}
