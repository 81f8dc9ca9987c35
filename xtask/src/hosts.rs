//! Programs that others wrote, bare and under the launcher: the hosts of `tests/hosts`, and whole test suites, whose
//! results must be the same.

use crate::setup;
use crate::step::{self, Done, cargo, is_installed, succeeds, target_dir};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The test's own table: which packages bring the hosts is said there once.
#[path = "../../tests/hosts/table.rs"]
#[expect(dead_code, reason = "only the packages are of use here")]
mod table;

/// CPython's own tests of what this project touches, those that take seconds.
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

/// Go's own tests, most of which start processes. The toolchain is linked statically, what it builds mostly not.
const GO: &[&str] = &["os", "os/exec", "os/signal", "os/user", "syscall"];

/// How many times 500 processes are killed, each time in another order.
const KILLS: usize = 10;

/// Test names, and how they ended.
type Results = BTreeMap<String, String>;

/// Everything.
///
/// # Errors
/// When something cannot be installed, or behaves otherwise than bare.
pub fn run() -> Done {
    setup::run()?;
    let packages: Vec<&str> = table::HOSTS.iter().flat_map(|host| host.packages).copied().collect();
    setup::install(&packages)?;
    let test = |name: &str| {
        let mut test = cargo();
        test.args(["test", "--locked", "--package", "ddtrace-run", "--test", name]);
        test
    };
    step::run("hosts", test("hosts").env("DDTRACE_TEST_ALL_HOSTS", "1"))?;
    // Not all at once: what a sidecar that competes with builds has to put together after the end is waited for.
    for run in 1..=KILLS {
        step::run(&format!("kills, {run} of {KILLS}"), test("kills").env("DDTRACE_TEST_KILLS", "500"))?;
    }
    let python = python()?;
    let modules = there(&python, FEW.iter().chain(MORE).copied());
    let cpython = compare("CPython", |launcher| cpython(&python, launcher, &modules));
    if !is_installed("go") {
        eprintln!("==> Go's tests are left out: there is no go");
        return cpython;
    }
    cpython.and(compare("Go", go))
}

/// What takes a minute or two.
///
/// # Errors
/// As [`run`].
pub fn few() -> Done {
    let python = python()?;
    compare("CPython, a few modules", |launcher| cpython(&python, launcher, FEW))
}

/// The modules that this interpreter has: one that is missing ends the whole run.
fn there<'a>(python: &str, modules: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('test.' + sys.argv[1]) is None)";
    let (there, missing): (Vec<_>, Vec<_>) = modules.partition(|module| succeeds(python, &["-c", find, module]));
    if !missing.is_empty() {
        eprintln!("    {python} has no {}", missing.join(", "));
    }
    there
}

/// An interpreter that has its own tests with it: Debian has them in a package of their own.
fn python() -> Result<String, String> {
    let has_tests = |python: &str| succeeds(python, &["-c", "import test.test_subprocess"]);
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

/// Runs a suite bare and under the launcher. What differs is tried once more: a busy machine makes tests fail by itself.
fn compare(name: &str, suite: impl Fn(&[&str]) -> Result<Results, String>) -> Done {
    step::run("the launcher", cargo().args(["build", "--locked", "--package", "ddtrace-run"]))?;
    let launcher = target_dir().join("debug/ddtrace-run").display().to_string();
    let traced = [launcher.as_str(), "--process-spans=true", "--exporter=local"];
    let both = || -> Result<(Results, Results), String> {
        eprintln!("==> {name}: bare, then under the launcher");
        Ok((suite(&[])?, suite(&traced)?))
    };
    let (bare, under) = both()?;
    let mut differing = difference(&bare, &under);
    if !differing.is_empty() {
        let (bare, under) = both()?;
        let again = difference(&bare, &under);
        differing.retain(|test, _| again.contains_key(test));
    }
    eprintln!("    {name}: {} tests, {} of them otherwise than bare", bare.len(), differing.len());
    match differing.is_empty() && !bare.is_empty() {
        true => Ok(()),
        false => Err(format!("{name}: not the same under the launcher: {differing:#?}")),
    }
}

fn difference(bare: &Results, traced: &Results) -> BTreeMap<String, [String; 2]> {
    let end = |results: &Results, test: &str| results.get(test).cloned().unwrap_or_else(|| "not run".to_owned());
    let tests = bare.keys().chain(traced.keys());
    tests.map(|test| (test.clone(), [end(bare, test), end(traced, test)])).filter(|(_, [a, b])| a != b).collect()
}

/// A directory for one run, which is then gone.
fn scratch() -> Result<PathBuf, String> {
    let directory = target_dir().join("hosts");
    // Left over from a run that was broken off.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory)
}

fn command(launcher: &[&str], program: &str) -> Command {
    let mut words = launcher.iter().copied().chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn cpython(python: &str, launcher: &[&str], modules: &[&str]) -> Result<Results, String> {
    let directory = scratch()?;
    let report = directory.join("report.xml");
    let mut command = command(launcher, python);
    // The tests of VSOCK wait for a hypervisor that answers.
    command.args(["-m", "test", "-i", "*VSOCK*", "--timeout", "600", "--junit-xml"]).arg(&report);
    command.args(modules).current_dir(&directory).env("XDG_STATE_HOME", &directory);
    let output = directory.join("output");
    let file = fs::File::create(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    command.stderr(file.try_clone().map_err(|error| error.to_string())?).stdout(file);
    // Whether some test fails is not the question.
    let status = command.status().map_err(|error| format!("{python}: {error}"))?;
    let text = fs::read_to_string(&report).map_err(|_| {
        let said = fs::read(&output).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last: Vec<&str> = said.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("CPython's tests ended with {status} and no report:\n{}", last.join("\n"))
    })?;
    let cases = text.split("<testcase ").skip(1).filter_map(|case| {
        let name = case.split_once("name=\"")?.1.split('"').next()?;
        let end = ["failure", "error", "skipped"].into_iter().find(|end| case.contains(&format!("<{end}")));
        Some((name.to_owned(), end.unwrap_or("passed").to_owned()))
    });
    Ok(cases.collect())
}

fn go(launcher: &[&str]) -> Result<Results, String> {
    let directory = scratch()?;
    let root = Command::new("go").args(["env", "GOROOT"]).output().map_err(|error| format!("go: {error}"))?;
    let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
    let mut command = command(launcher, "go");
    command.args(["test", "-json", "-count=1"]).args(GO).current_dir(format!("{root}/src"));
    command.env("XDG_STATE_HOME", &directory).stdout(Stdio::piped());
    let output = command.output().map_err(|error| format!("go: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |line: &str, name: &str| {
        Some(line.split_once(&format!("\"{name}\":\""))?.1.split('"').next().unwrap_or_default().to_owned())
    };
    let ends = text.lines().filter_map(|line| {
        let action = field(line, "Action").filter(|action| ["pass", "fail", "skip"].contains(&action.as_str()))?;
        Some((format!("{} {}", field(line, "Package")?, field(line, "Test")?), action))
    });
    Ok(ends.collect())
}
