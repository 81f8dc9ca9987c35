//! Where local store, spool and log are kept.

use std::path::{Path, PathBuf};

use ddtrace::config::Config;
use nix::unistd::{AccessFlags, access, geteuid};

/// The first of these that can be written: the configured directory, `$XDG_STATE_HOME/ddtrace`,
/// `~/.local/state/ddtrace`, `/tmp/ddtrace-<uid>`. `None` where none can.
pub fn choose(config: &Config, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(directory) = &config.state_dir {
        return usable(directory).then(|| directory.clone()).or_else(temporary);
    }
    let of_user = variable("XDG_STATE_HOME")
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("ddtrace"))
        .or_else(|| variable("HOME").filter(|home| home.is_absolute()).map(|home| home.join(".local/state/ddtrace")));
    of_user.filter(|directory| usable(directory)).or_else(temporary)
}

fn temporary() -> Option<PathBuf> {
    let directory = std::env::temp_dir().join(format!("ddtrace-{}", geteuid()));
    // In a directory that everybody can write, somebody else may have made it first.
    let foreign = std::fs::symlink_metadata(&directory).is_ok_and(|meta| {
        use std::os::unix::fs::MetadataExt;
        !meta.is_dir() || meta.uid() != geteuid().as_raw() || meta.mode() & 0o022 != 0
    });
    (!foreign && usable(&directory)).then_some(directory)
}

/// Whether the directory, or the nearest one above that exists, can be written.
fn usable(directory: &Path) -> bool {
    let existing = directory.ancestors().find(|path| path.exists());
    existing.is_some_and(|path| path.is_dir() && access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}
