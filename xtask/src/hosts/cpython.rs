//! CPython's own tests.

use super::suite::{Results, Run, Suite, compare, junit};
use crate::setup;
use crate::step::{Done, succeeds, target_dir};
use std::process::Command;

/// Of what this project touches, those that take seconds.
const FEW: &[&str] =
    &["test_fork1", "test_wait3", "test_wait4", "test_posix", "test_pty", "test_popen", "test_subprocess"];

/// And those that take minutes.
const MORE: &[&str] = &[
    "test_asyncio",
    "test_atexit",
    "test_audit",
    "test_cmd_line",
    "test_cmd_line_script",
    "test_concurrent_futures",
    "test_ctypes",
    "test_eintr",
    "test_embed",
    "test_faulthandler",
    "test_fcntl",
    "test_file",
    "test_ftplib",
    "test_httpservers",
    "test_io",
    "test_logging",
    "test_mmap",
    "test_multiprocessing_fork",
    "test_multiprocessing_forkserver",
    "test_multiprocessing_spawn",
    "test_openpty",
    "test_os",
    "test_poll",
    "test_queue",
    "test_resource",
    "test_select",
    "test_selectors",
    "test_shutil",
    "test_signal",
    "test_socket",
    "test_socketserver",
    "test_ssl",
    "test_sys",
    "test_tempfile",
    "test_thread",
    "test_threading",
    "test_threadsignals",
    "test_time",
    "test_tty",
    "test_urllib2_localnet",
];

/// What is meant to differ.
const KNOWN: &[(&str, &str)] =
    &[("test_vfork_used_when_expected", "CPython skips what looks at system calls where LD_PRELOAD is set")];

/// All modules, by an interpreter of the system and by the newest that is traced; those that take seconds, by all others.
///
/// # Errors
/// When they end otherwise than bare.
pub fn run() -> Done {
    let mut done = modules(&python()?, FEW.iter().chain(MORE).copied());
    let pythons = setup::pythons();
    let newest = pythons.len() - 1;
    for (at, version) in pythons.iter().enumerate() {
        let python = target_dir().join(format!("pythons/{version}/bin/python{version}")).display().to_string();
        if !has_tests(&python) {
            eprintln!("==> CPython {version} is left out: it is not there, or has no tests");
        } else if at == newest {
            done = done.and(modules(&python, FEW.iter().chain(MORE).copied()));
        } else {
            done = done.and(modules(&python, FEW.iter().copied()));
        }
    }
    done
}

/// What takes a minute or two.
///
/// # Errors
/// As [`run`].
pub fn few() -> Done {
    modules(&python()?, FEW.iter().copied())
}

fn modules<'a>(python: &str, modules: impl Iterator<Item = &'a str>) -> Done {
    let output = Command::new(python).args(["-c", "import platform; print(platform.python_version())"]).output();
    let version = output.map_err(|error| format!("{python}: {error}"))?.stdout;
    // Later ones leave out by default what takes its time in waiting.
    let walltime = succeeds(python, &["-m", "test", "-u", "walltime", "--list-tests", "test_fork1"]);
    let resources = if walltime { "cpu,subprocess,walltime" } else { "cpu,subprocess" };
    let suite = Suite {
        name: format!("CPython {}", String::from_utf8_lossy(&version).trim()),
        parts: there(python, modules),
        run: &|module, run| tests(python, resources, module, run),
        known: KNOWN,
    };
    compare(&suite, &["--process-spans=true", "--exporter=local"])
}

/// The modules that this interpreter has.
fn there<'a>(python: &str, modules: impl Iterator<Item = &'a str>) -> Vec<String> {
    let find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('test.' + sys.argv[1]) is None)";
    let (there, missing): (Vec<_>, Vec<_>) = modules.partition(|module| succeeds(python, &["-c", find, module]));
    if !missing.is_empty() {
        eprintln!("    {python} has no {}", missing.join(", "));
    }
    there.into_iter().map(ToOwned::to_owned).collect()
}

fn has_tests(python: &str) -> bool {
    succeeds(python, &["-c", "import test.test_subprocess"])
}

/// An interpreter of the system that has its own tests with it: Debian has them in a package of their own.
fn python() -> Result<String, String> {
    for python in ["/usr/bin/python3", "python3"] {
        if has_tests(python) {
            return Ok(python.to_owned());
        }
    }
    let version = "import sys; print('%d.%d' % sys.version_info[:2])";
    let output = Command::new("/usr/bin/python3").args(["-c", version]).output().map_err(|error| error.to_string())?;
    let package = format!("libpython{}-testsuite", String::from_utf8_lossy(&output.stdout).trim());
    setup::install(&[&package])?;
    if has_tests("/usr/bin/python3") {
        Ok("/usr/bin/python3".to_owned())
    } else {
        Err(format!("{package} brings no tests"))
    }
}

fn tests(python: &str, resources: &str, module: &str, run: &Run) -> Result<Results, String> {
    let report = run.directory.join("report.xml");
    let mut command = run.command(python);
    // The network of these is this machine; that of all others is the internet.
    let network = if module == "test_socketserver" { ",network" } else { "" };
    command.args(["-m", "test", "-u", &format!("{resources}{network}")]);
    // The tests of VSOCK wait for a hypervisor that answers.
    command.args(["-i", "*VSOCK*", "--timeout", "600", "--junit-xml"]).arg(&report).arg(module);
    let status = run.status(&mut command)?;
    Ok(junit(&report, run, status))
}
