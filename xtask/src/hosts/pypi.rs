//! The tests that packages of PyPI have with their sources, by pytest.

use super::suite::{Results, Run, Suite, compare, junit};
use crate::setup;
use crate::step::{self, Done, target_dir};
use std::path::Path;
use std::process::Command;

struct Package {
    /// The name of the sources, and their release.
    name: &'static str,
    release: &'static str,
    /// What is left out: what looks for hosts of the internet.
    without: Option<&'static str>,
}

/// What records beside us, what we stand in for, and what many programs use.
const PACKAGES: &[Package] = &[
    Package { name: "opentelemetry_sdk", release: "1.45.2", without: None },
    Package { name: "opentelemetry_api", release: "1.45.2", without: None },
    Package {
        name: "requests",
        release: "2.34.2",
        without: Some("not connect_timeout and not total_timeout and not test_errors and not test_https_warnings"),
    },
    Package { name: "flask", release: "3.1.3", without: None },
];

/// All of them, with the launcher's default settings.
///
/// # Errors
/// When they end otherwise than bare.
pub fn run() -> Done {
    setup::make_venv("suites-venv", "xtask/src/hosts/requirements.txt")?;
    let sources = target_dir().join("suites-sources");
    let mut done = Ok(());
    for package in PACKAGES {
        let tree = sources.join(format!("{}-{}", package.name, package.release));
        if !tree.is_dir() {
            fetch(package, &sources)?;
        }
        let suite = Suite {
            name: format!("{} {}", package.name, package.release),
            parts: vec!["tests".to_owned()],
            run: &|tests, run| pytest(package, &tree, tests, run),
            known: &[],
        };
        done = done.and(compare(&suite, &[]));
    }
    done
}

fn fetch(package: &Package, sources: &Path) -> Done {
    let named = format!("{}=={}", package.name, package.release);
    let mut pip = Command::new(target_dir().join("suites-venv/bin/python3"));
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]);
    step::run(&format!("sources of {named}"), pip.arg("--dest").arg(sources).arg(&named))?;
    let archive = sources.join(format!("{}-{}.tar.gz", package.name, package.release));
    step::run("unpacking", Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(sources))
}

fn pytest(package: &Package, tree: &Path, tests: &str, run: &Run) -> Result<Results, String> {
    let report = run.directory.join("report.xml");
    let commands = target_dir().join("suites-venv/bin");
    let mut command = run.command("python");
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", "--junit-xml"]);
    command.arg(&report).arg(tests).current_dir(tree);
    if let Some(without) = package.without {
        command.args(["-k", without]);
    }
    // As where the environment is activated: some start `python`.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", commands.display()));
    let status = run.status(&mut command)?;
    Ok(junit(&report, run, status))
}
