//! The Rust services of `examples/services` and programs of `tests/apps`, built when asked for.

use crate::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::{repository, target_dir};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// Builds the services and programs, once in each test program, so that they trace themselves without the launcher, too,
/// and gives the path of one of them.
///
/// # Panics
/// When they cannot be built.
#[must_use]
pub fn service(name: &str) -> String {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What the outer cargo says of this test would make it build the dependencies anew.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_")) {
            if name != "CARGO_HOME" && name != "CARGO_TARGET_DIR" {
                cargo.env_remove(name);
            }
        }
        cargo.current_dir(repository());
        cargo.args(["build", "--locked"]);
        for package in ["ddtrace-example-services", "ddtrace-test-apps"] {
            cargo.args(["--package", package, "--features", &format!("{package}/direct")]);
        }
        let built = cargo.stdin(Stdio::null()).output().expect("cargo can be started");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        target_dir().join("debug")
    });
    let path = directory.join(name);
    path.to_str().expect("the target directory has a UTF-8 name").to_owned()
}

/// A service that runs; it is killed with the value.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Where it listens.
    pub port: u16,
}

impl Running {
    /// Starts a service and waits until it says where it listens.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line of the service");
        let port = line.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{command:?} said {line:?}"));
        Running { child, stdout, port }
    }

    /// Starts a service of [`service`] in a sandbox, under its launcher.
    #[must_use]
    pub fn traced(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Running {
        let program = service(name);
        Running::start(sandbox.traced([program.as_str()].into_iter().chain(arguments.iter().copied())))
    }

    /// The next line that it prints.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line of the service");
        line
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `http://…` of it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// As [`Outcome::finish`].
    pub fn wait(&mut self) {
        crate::outcome::end_of(&mut self.child, "the service");
    }

    /// Kills it by SIGKILL.
    ///
    /// # Panics
    /// When it has been waited for already.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it has ended by itself; either way there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one of the programs to its end, under the launcher.
#[must_use]
pub fn run_traced(sandbox: &Sandbox, name: &str) -> Outcome {
    sandbox.run_traced([service(name)])
}
