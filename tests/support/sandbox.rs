//! A world of its own for each test.

use crate::outcome::Outcome;
use crate::spans::{self, Span};
use crate::wait_for;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where programs are looked for: the same on each machine, whatever the person who runs the tests has set.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Home, state and temporary directories, and an environment with nothing else in it.
#[derive(Debug)]
pub struct Sandbox {
    dir: TempDir,
    launcher: PathBuf,
    environment: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    /// A fresh sandbox for a launcher, given as `env!("CARGO_BIN_EXE_ddtrace-run")`.
    /// Process spans are on, and all go to the local store, whatever receivers the machine of the test has.
    ///
    /// # Panics
    /// When no directory can be made.
    #[must_use]
    pub fn new(launcher: &str) -> Sandbox {
        let dir = tempfile::Builder::new().prefix("ddtrace-test-").tempdir().expect("a temporary directory");
        let mut sandbox = Sandbox { dir, launcher: PathBuf::from(launcher), environment: BTreeMap::new() };
        sandbox.set("PATH", PATH);
        sandbox.set("LC_ALL", "C.UTF-8");
        for (variable, name) in [
            ("HOME", "home"),
            ("TMPDIR", "tmp"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_STATE_HOME", "home/.local/state"),
        ] {
            let path = sandbox.path().join(name);
            fs::create_dir_all(&path).expect("a directory in the sandbox");
            sandbox.set(variable, path);
        }
        fs::create_dir(sandbox.path().join("work")).expect("a directory in the sandbox");
        sandbox.set("DD_TRACE_PROCESS_SPANS", "true").set("DD_TRACE_EXPORTER", "local");
        sandbox
    }

    /// The directory that holds everything else.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The directory that programs start in.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// The file that takes the spans when nothing else is configured.
    #[must_use]
    pub fn local_store(&self) -> PathBuf {
        self.path().join("home/.local/state/ddtrace/traces.jsonl")
    }

    /// Sets a variable for all that is run from here on.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.remove(OsStr::new(name));
        self
    }

    /// Uses another launcher from here on.
    pub fn use_launcher(&mut self, launcher: impl Into<PathBuf>) -> &mut Self {
        self.launcher = launcher.into();
        self
    }

    /// The launcher, as text.
    ///
    /// # Panics
    /// When its path is not UTF-8.
    #[must_use]
    pub fn launcher(&self) -> &str {
        self.launcher.to_str().expect("the path of the launcher is UTF-8")
    }

    /// Writes a file into the working directory and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Writes a program into the working directory and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_program(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let draft = self.path().join("draft");
        fs::write(&draft, content).unwrap_or_else(|error| panic!("{}: {error}", draft.display()));
        let program = self.work().join(name);
        install(&draft, &program);
        program
    }

    /// A command that runs in the sandbox, the launcher not involved. Standard input is empty.
    ///
    /// # Panics
    /// When there is not even a program in `argv`.
    pub fn bare<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> Command {
        let mut argv = argv.into_iter();
        let mut command = Command::new(argv.next().expect("a program to run"));
        command.args(argv).env_clear().envs(&self.environment).current_dir(self.work()).stdin(Stdio::null());
        command
    }

    /// The same under the launcher. What comes first in `argv` may be flags of the launcher.
    pub fn traced<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.bare([&self.launcher]);
        command.args(argv);
        command
    }

    /// Runs a program bare.
    pub fn run_bare<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> Outcome {
        Outcome::of(&mut self.bare(argv))
    }

    /// Runs a program under the launcher.
    pub fn run_traced<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> Outcome {
        Outcome::of(&mut self.traced(argv))
    }

    /// Runs a program bare and under the launcher, and asserts that nobody could tell the two runs apart.
    ///
    /// # Panics
    /// When output or end differ.
    #[track_caller]
    pub fn assert_same<A: AsRef<OsStr>>(&self, argv: &[A]) -> Outcome {
        let bare = self.run_bare(argv);
        let traced = self.run_traced(argv);
        assert_eq!(traced, bare, "under the launcher (left) the program behaves otherwise than bare (right)");
        traced
    }

    /// Waits until no process that was started in the sandbox is left, the sidecar included.
    ///
    /// # Panics
    /// When one stays; it is named.
    pub fn settle(&self) {
        let mut left = Vec::new();
        let start = std::time::Instant::now();
        let mut was_empty = false;
        while start.elapsed() < crate::PATIENCE {
            left = self.processes();
            // Looked for twice: a process in the midst of `exec` has no environment to be known by.
            if left.is_empty() && was_empty {
                return;
            }
            was_empty = left.is_empty();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("these processes do not end: {left:?}");
    }

    /// The processes that live in the sandbox now: their ids and command lines.
    ///
    /// They are known by the sandbox's home in the environment they were started with, which the kernel keeps
    /// through forks and sessions of their own.
    ///
    /// # Panics
    /// When there is no `/proc`.
    #[must_use]
    pub fn processes(&self) -> Vec<(u32, String)> {
        let mark = [b"HOME=", self.path().as_os_str().as_bytes()].concat();
        let entries = fs::read_dir("/proc").expect("/proc is mounted");
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            environment.split(|&byte| byte == 0).find(|variable| variable.starts_with(&mark))?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            Some((pid, String::from_utf8_lossy(&line).replace('\0', " ")))
        })
        .collect()
    }

    /// The sidecar of the one run there is, as `ddtrace-run status` tells it.
    ///
    /// # Panics
    /// When none comes up.
    #[must_use]
    pub fn sidecar(&self) -> u32 {
        wait_for("the sidecar", || {
            let status: serde_json::Value = serde_json::from_str(&self.run_traced(["status", "--json"]).out()).ok()?;
            status["runs"][0]["sidecar_pid"].as_u64()?.try_into().ok()
        })
    }

    /// Waits for the end of all and reads the spans of the local store.
    ///
    /// # Panics
    /// When the store cannot be read, or a process stays.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.settle();
        spans::read_lines(&self.local_store())
    }

    /// Waits until a file is there and has something in it, and reads it.
    ///
    /// # Panics
    /// When it does not come.
    #[must_use]
    pub fn wait_for_file(&self, path: &Path) -> String {
        wait_for(&format!("{} to be written", path.display()), || {
            fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
        })
    }
}

/// Copies a program.
///
/// Another process does it: a file that this one has written cannot be executed as long as a child that another
/// thread is just starting still has it open for writing (`ETXTBSY`).
///
/// # Panics
/// When it cannot be copied.
pub fn install(from: &Path, to: &Path) {
    let outcome = Outcome::of(Command::new("install").args(["-D", "-m", "755", "--"]).arg(from).arg(to));
    assert_eq!(outcome.code, Some(0), "{} to {}: {outcome:?}", from.display(), to.display());
}

#[cfg(test)]
mod tests {
    use super::Sandbox;

    #[test]
    fn nothing_is_inherited_and_the_home_is_private() {
        let sandbox = Sandbox::new("/nonexistent");
        let outcome = sandbox.run_bare(["env"]);
        let names: Vec<_> = outcome.out().lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
        assert_eq!(
            names,
            [
                "DD_TRACE_EXPORTER",
                "DD_TRACE_PROCESS_SPANS",
                "HOME",
                "LC_ALL",
                "PATH",
                "TMPDIR",
                "XDG_CONFIG_HOME",
                "XDG_RUNTIME_DIR",
                "XDG_STATE_HOME"
            ]
        );
        assert!(outcome.out().contains(&format!("HOME={}", sandbox.path().join("home").display())));
    }

    #[test]
    fn a_process_in_a_session_of_its_own_is_waited_for() {
        let sandbox = Sandbox::new("/nonexistent");
        let script = "setsid sh -c 'sleep 0.5; echo done > late' >/dev/null 2>&1 & exit 0";
        assert_eq!(sandbox.run_bare(["sh", "-c", script]).code, Some(0));
        sandbox.settle();
        assert!(sandbox.work().join("late").exists());
    }
}
