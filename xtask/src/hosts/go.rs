//! Go's own tests.

use super::suite::{Results, Run, Suite, compare};
use crate::step::{Done, is_installed};
use std::fs;
use std::process::Command;

/// Those that start processes. The toolchain is linked statically, what it builds mostly not.
const PACKAGES: &[&str] = &["os", "os/exec", "os/signal", "os/user", "syscall"];

/// All of them, if there is a Go.
///
/// # Errors
/// When they end otherwise than bare.
pub fn run() -> Done {
    if !is_installed("go") {
        eprintln!("==> Go's tests are left out: there is no go");
        return Ok(());
    }
    let root = Command::new("go").args(["env", "GOROOT"]).output().map_err(|error| format!("go: {error}"))?;
    let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
    let suite = Suite {
        name: "Go".to_owned(),
        parts: PACKAGES.iter().map(|package| (*package).to_owned()).collect(),
        run: &|package, run| tests(&root, package, run),
        known: &[],
    };
    compare(&suite, &["--process-spans=true", "--exporter=local"])
}

fn tests(root: &str, package: &str, run: &Run) -> Result<Results, String> {
    let mut command = run.command("go");
    command.args(["test", "-json", "-count=1", package]).current_dir(format!("{root}/src"));
    run.status(&mut command)?;
    let text = fs::read(run.output()).map_err(|error| format!("{}: {error}", run.output().display()))?;
    let text = String::from_utf8_lossy(&text);
    let field = |line: &str, name: &str| {
        Some(line.split_once(&format!("\"{name}\":\""))?.1.split('"').next().unwrap_or_default().to_owned())
    };
    let ends = text.lines().filter_map(|line| {
        let action = field(line, "Action").filter(|action| ["pass", "fail", "skip"].contains(&action.as_str()))?;
        Some((format!("{} {}", field(line, "Package")?, field(line, "Test").unwrap_or_default()), action))
    });
    Ok(ends.collect())
}
