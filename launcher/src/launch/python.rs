//! Where the package is that every Python loads at its start. `python/ddtrace_run/bootstrap` is what it does there.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ddtrace::settings::PYTHON_BOOTSTRAP;

use super::library::{own_directory, speakable};

/// The directory that belongs in front of `PYTHONPATH`; `None` where the package is not installed.
pub fn bootstrap() -> Option<PathBuf> {
    let root = roots().into_iter().find(|root| within(root).join("sitecustomize.py").is_file())?;
    let root = root.canonicalize().unwrap_or(root);
    Some(within(&speakable(&root, b":").ok()?))
}

/// What looks for instrumentations, run by the Python that it looks for; `None` where the package is not installed.
pub fn instrumentations() -> Option<PathBuf> {
    Some(bootstrap()?.parent()?.join("_bootstrap.py"))
}

/// Where it is to be, for those who look for it in vain.
pub fn usual_place() -> PathBuf {
    within(&own_directory().join("python"))
}

fn within(root: &Path) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(PYTHON_BOOTSTRAP).to_string_lossy().trim_start_matches('/'))
}

/// Beside the launcher, as cargo builds it; as it is installed: bin/ddtrace-run, lib/ddtrace/python; and as pip does it.
fn roots() -> Vec<PathBuf> {
    let directory = own_directory();
    let mut roots = vec![directory.join("python"), directory.join("../lib/ddtrace/python")];
    let libraries = fs::read_dir(directory.join("../lib")).into_iter().flatten().flatten();
    for library in libraries.filter(|entry| entry.file_name().as_bytes().starts_with(b"python3")) {
        roots.extend(["site-packages", "dist-packages"].map(|packages| library.path().join(packages)));
    }
    roots
}
