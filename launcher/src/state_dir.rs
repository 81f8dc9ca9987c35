//! Where local store, spool and log are kept.

use std::path::{Path, PathBuf};

use ddtrace::config::Config;
use nix::unistd::{AccessFlags, access, geteuid};

/// The first of these that can be written: the configured directory, or else `$XDG_STATE_HOME/ddtrace` or
/// `~/.local/state/ddtrace`; `ddtrace-<uid>` in `$TMPDIR` and in `/tmp`. `None` where none can.
pub fn choose(config: &Config, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let first = preferred(config, &variable);
    if usable(&first) {
        return Some(first);
    }
    let temporary = variable("TMPDIR").filter(|directory| directory.is_absolute());
    temporary.into_iter().chain([PathBuf::from("/tmp")]).find_map(|parent| private(&parent))
}

/// What there is to say where a directory was configured and is not the chosen one.
pub fn refusal(config: &Config, chosen: Option<&Path>) -> Option<String> {
    let wanted = config.state_dir.as_deref().filter(|wanted| chosen != Some(*wanted))?;
    let instead = match chosen {
        Some(chosen) => format!("using {}", chosen.display()),
        None => String::from("nor can a directory for temporary files; spans that no backend takes at once are lost"),
    };
    Some(format!("state_dir \"{}\" cannot be written; {instead}", wanted.display()))
}

/// What there is to say to somebody who asks what is kept, where that is not where it would be best.
pub fn elsewhere(config: &Config, variable: impl Fn(&str) -> Option<PathBuf>, chosen: Option<&Path>) -> Option<String> {
    let (best, chosen) = (preferred(config, variable), chosen?);
    (best != chosen).then(|| format!("{} cannot be written; looking in {}", best.display(), chosen.display()))
}

/// Where it would be best.
pub fn preferred(config: &Config, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    config.state_dir.clone().unwrap_or_else(|| by_default(variable))
}

/// Where it would be by the environment alone, where no file and no flag says anything else.
pub fn by_environment(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    variable("DD_TRACE_STATE_DIR").filter(|directory| directory.is_absolute()).unwrap_or_else(|| by_default(variable))
}

fn by_default(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let absolute = |name: &str| variable(name).filter(|directory| directory.is_absolute());
    absolute("XDG_STATE_HOME")
        .map(|directory| directory.join("ddtrace"))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state/ddtrace")))
        .unwrap_or_else(|| PathBuf::from("/tmp").join(own_name()))
}

fn own_name() -> String {
    format!("ddtrace-{}", geteuid())
}

fn private(parent: &Path) -> Option<PathBuf> {
    let directory = parent.join(own_name());
    // In a directory that everybody can write, somebody else may have made it first.
    let foreign = std::fs::symlink_metadata(&directory).is_ok_and(|meta| {
        use std::os::unix::fs::MetadataExt;
        !meta.is_dir() || meta.uid() != geteuid().as_raw() || meta.mode() & 0o022 != 0
    });
    (!foreign && usable(&directory)).then_some(directory)
}

/// Whether the directory, or the nearest one above that exists, can be written, and the spool in it, which may be another user's.
fn usable(directory: &Path) -> bool {
    let can_be_written = |path: &Path| path.is_dir() && access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    let spool = directory.join("spool");
    directory.ancestors().find(|path| path.exists()).is_some_and(can_be_written)
        && (!spool.is_dir() || can_be_written(&spool))
}
