//! Running commands with a heading, and where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Success, or what went wrong in one line.
pub type Done = Result<(), String>;

/// The root of the repository.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Where builds and what the tests need are kept.
pub fn target_dir() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The cargo that runs this task.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Prints a heading, runs the command with its output shown, and tells how long it took.
///
/// # Errors
/// When the command cannot be started or fails.
pub fn run(heading: &str, command: &mut Command) -> Done {
    eprintln!("==> {heading}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{heading}: {}: {error}", name(command)))?;
    if !status.success() {
        return Err(format!("{heading}: {} ended with {status}", name(command)));
    }
    eprintln!("    {heading}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a command can be started and succeeds; its output goes nowhere.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether a program is on the PATH.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
