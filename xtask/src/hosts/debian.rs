//! The tests that bash and Perl have with their sources, on the programs that are installed.

use super::suite::{END, Results, Run, Suite, compare};
use crate::step::{self, Done, is_installed, target_dir};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Both of them, where there is Debian to have their sources from.
///
/// # Errors
/// When they cannot be had, or end otherwise than bare.
pub fn run() -> Done {
    if !is_installed("apt-get") {
        eprintln!("==> bash's and Perl's own tests are left out: there is no apt-get to get them by");
        return Ok(());
    }
    perl().and(bash())
}

fn bash() -> Done {
    let tree = sources("bash")?;
    let tests = tree.join("tests");
    for helper in ["recho", "zecho", "printenv", "xcase"] {
        if !tests.join(helper).exists() {
            build(&tree, helper)?;
        }
    }
    let parts =
        names(&tests, |name| name.starts_with("run-") && !["run-all", "run-minimal", "run-gprof"].contains(&name))?;
    let suite = Suite { name: "bash".to_owned(), parts, run: &|part, run| bash_test(&tests, part, run), known: &[] };
    compare(&suite, &["--process-spans=true", "--exporter=local"])
}

/// One of the small programs that bash's tests start.
fn build(tree: &Path, helper: &str) -> Done {
    // What `configure` would write says nothing that these want to know.
    fs::write(tree.join("config.h"), "").map_err(|error| format!("config.h: {error}"))?;
    let mut cc = Command::new("cc");
    cc.args(["-w", "-DHAVE_STDLIB_H", "-DHAVE_UNISTD_H", "-DHAVE_STRING_H", "-I.", "-Iinclude", "-o"]);
    cc.arg(tree.join("tests").join(helper)).arg(format!("support/{helper}.c")).current_dir(tree);
    step::run(&format!("{helper}, for bash's tests"), &mut cc)
}

/// What a test prints is what differs from what it should be: nothing, or what this machine brings with it.
fn bash_test(tests: &Path, part: &str, run: &Run) -> Result<Results, String> {
    let mut command = run.command("sh");
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg(part).current_dir(tests).env("PATH", format!(".:{path}"));
    // One directory for both ways: its name is in what they print.
    command.env("TMPDIR", "/tmp").env("BASH_TSTOUT", run.directory.join("result"));
    command.env("THIS_SH", "/bin/bash").env("BUILD_DIR", tests.join(".."));
    let status = run.status(&mut command)?;
    let output = fs::read(run.output()).unwrap_or_default();
    let end = if status.success() && !String::from_utf8_lossy(&output).contains("\n< ") {
        "passed".to_owned()
    } else {
        // What is different is told by the output; processes have other numbers each time.
        let output = String::from_utf8_lossy(&output);
        format!("failed: {}", output.split(|c: char| c.is_ascii_digit()).collect::<Vec<_>>().join("#"))
    };
    Ok(Results::from([(part.to_owned(), end)]))
}

fn perl() -> Done {
    let tree = sources("perl")?;
    let tests = tree.join("t");
    if !tests.join("perl").exists() {
        // Perl's tests want it in its tree, with a library that its build would have completed.
        for kind in ["privlibexp", "archlibexp"] {
            let output = Command::new("perl").args(["-MConfig", "-e", &format!("print $Config{{{kind}}}")]).output();
            let library = output.map_err(|error| format!("perl: {error}"))?.stdout;
            let library = PathBuf::from(String::from_utf8_lossy(&library).into_owned());
            step::run("Perl's library", Command::new("cp").arg("-RT").arg(library.join(".")).arg(tree.join("lib")))?;
        }
        for link in [tree.join("perl"), tests.join("perl")] {
            symlink("/usr/bin/perl", &link).map_err(|error| format!("{}: {error}", link.display()))?;
        }
    }
    let mut parts = Vec::new();
    for directory in ["io", "op"] {
        let files = names(&tests.join(directory), |name| name.ends_with(".t"))?;
        parts.extend(files.into_iter().map(|file| format!("{directory}/{file}")));
    }
    let suite = Suite { name: "Perl".to_owned(), parts, run: &|part, run| perl_test(&tests, part, run), known: &[] };
    compare(&suite, &["--process-spans=true", "--exporter=local"])
}

fn perl_test(tests: &Path, part: &str, run: &Run) -> Result<Results, String> {
    let mut command = run.command("timeout");
    let status = run.status(command.args(["300", "./perl", part]).current_dir(tests))?;
    let output = fs::read(run.output()).unwrap_or_default();
    let output = String::from_utf8_lossy(&output);
    let mut results = Results::from([(format!("{part} {END}"), status.to_string())]);
    for line in output.lines() {
        let (end, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) if rest.contains("# skip") => ("skipped", rest),
            (Some(rest), _) => ("passed", rest),
            (_, Some(rest)) => ("failed", rest),
            _ => continue,
        };
        let number = rest.split_whitespace().next().unwrap_or_default();
        results.insert(format!("{part} {number}"), end.to_owned());
    }
    Ok(results)
}

/// The names in a directory that are wanted, in order.
fn names(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| wanted(name)).collect();
    names.sort();
    Ok(names)
}

/// The sources of a Debian package, unpacked: those of the release that is the system's. The system's own list of
/// sources need not have any, so that this has one of its own.
fn sources(package: &str) -> Result<PathBuf, String> {
    let home = target_dir().join("suites-sources").join(package);
    if let Some(tree) = tree(&home, package) {
        return Ok(tree);
    }
    let failed = |error: std::io::Error| format!("{}: {error}", home.display());
    fs::create_dir_all(home.join("lists/partial")).map_err(failed)?;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    let list = home.join("sources.list");
    fs::write(&list, format!("deb-src http://deb.debian.org/debian {codename} main\n")).map_err(failed)?;
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-o", &format!("Dir::Etc::sourcelist={}", list.display())]);
        apt.args(["-o", "Dir::Etc::sourceparts=/dev/null", "-o", "APT::Sandbox::User=root"]);
        apt.args(["-o", &format!("Dir::State::lists={}", home.join("lists").display())]);
        apt.args(arguments).current_dir(&home);
        apt
    };
    step::run(&format!("list of sources, for {package}"), &mut apt(&["update"]))?;
    step::run(&format!("sources of {package}"), &mut apt(&["source", "--download-only", package]))?;
    let named = |name: &str| name.contains(".orig.tar.") && !name.ends_with(".asc");
    for archive in names(&home, named)? {
        step::run("unpacking", Command::new("tar").arg("xf").arg(&archive).current_dir(&home))?;
    }
    tree(&home, package).ok_or_else(|| format!("{}: no tree of {package} in it", home.display()))
}

fn tree(home: &Path, package: &str) -> Option<PathBuf> {
    let name = names(home, |name| name.starts_with(&format!("{package}-"))).ok()?.into_iter().next()?;
    Some(home.join(name)).filter(|tree| tree.is_dir())
}
