//! The host programs of `tests/apps`.

use crate::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::{repository, target_dir};
use std::path::Path;
use std::process::{Command, Stdio};

/// Compiles `tests/apps/NAME.c` into the sandbox and gives the path of the program.
///
/// # Panics
/// When there is no C compiler, or it refuses.
#[must_use]
pub fn compile(sandbox: &Sandbox, name: &str) -> String {
    compile_with(sandbox, name, "cc", &[])
}

/// Compiles with a compiler and flags of one's own, such as `-static`.
///
/// # Panics
/// As [`compile`].
#[must_use]
pub fn compile_with(sandbox: &Sandbox, name: &str, compiler: &str, flags: &[&str]) -> String {
    let source = repository().join("tests/apps").join(name).with_extension("c");
    let program = sandbox.path().join(name);
    let mut command = Command::new(compiler);
    command.args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-pthread", "-o"]).arg(&program).arg(source).args(flags);
    let outcome = Outcome::of(&mut command);
    assert_eq!(outcome.code, Some(0), "{command:?}: {outcome:?}");
    program.to_str().expect("temporary directories have UTF-8 names").to_owned()
}

/// Compiles a program that includes `include/ddtrace_run.h`, as strictly as a careful user would.
///
/// # Panics
/// When there is no such compiler, or it has anything to say.
pub fn compile_strictly(sandbox: &Sandbox, source: &Path, compiler: &str, flags: &[&str]) -> String {
    let name = source.file_stem().expect("a file has a name").to_string_lossy();
    let program = sandbox.path().join(format!("{compiler}-{name}"));
    let mut command = Command::new(compiler);
    command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]).arg(repository().join("include"));
    let outcome = Outcome::of(command.args(flags).arg("-o").arg(&program).arg(source));
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{command:?}");
    program.to_str().expect("temporary directories have UTF-8 names").to_owned()
}

/// Compiles `tests/apps/spans.c`.
///
/// # Panics
/// As [`compile_strictly`].
#[must_use]
pub fn spans_program(sandbox: &Sandbox) -> String {
    compile_strictly(sandbox, &repository().join("tests/apps/spans.c"), "cc", &[])
}

/// Compiles `tests/apps/dies.c`.
///
/// # Panics
/// As [`compile_strictly`].
#[must_use]
pub fn dying_program(sandbox: &Sandbox) -> String {
    // That it overflows the stack is what it is for, and not to be optimised away or complained of.
    compile_strictly(sandbox, &repository().join("tests/apps/dies.c"), "cc", &["-O0", "-Wno-infinite-recursion"])
}

/// Whether a program that tells its version can be found.
#[must_use]
pub fn has_program(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The Python interpreter of the tests' virtual environment.
///
/// # Panics
/// When it was not set up.
#[must_use]
pub fn python() -> String {
    let path = target_dir().join("test-venv/bin/python3");
    assert!(path.exists(), "{} is not there: run `cargo xtask setup`", path.display());
    path.to_str().expect("the target directory has a UTF-8 name").to_owned()
}

/// The versions of Python that the tests have besides that of the system.
const PYTHONS: [&str; 5] = ["3.9", "3.10", "3.12", "3.13", "3.14"];

/// A Python of each version that can be traced; the first has the packages of `tests/python/requirements.txt`.
///
/// # Panics
/// When they were not set up, but for those of Maven Central where they cannot be had.
#[must_use]
pub fn pythons() -> Vec<String> {
    let venv = venv_program("python3");
    [venv].into_iter().chain(PYTHONS.iter().filter_map(|version| python_of(version))).collect()
}

/// A Python of Maven Central, of a version that `cargo xtask setup` fetches; `None` where that was not possible.
///
/// # Panics
/// When it is not there in CI.
#[must_use]
pub fn python_of(version: &str) -> Option<String> {
    let path = target_dir().join("pythons").join(version).join(format!("bin/python{version}"));
    assert!(path.exists() || std::env::var_os("CI").is_none(), "{} is not there", path.display());
    path.exists().then(|| path.to_str().expect("the target directory has a UTF-8 name").to_owned())
}

/// A program of the virtual environment with the packages of `tests/python/requirements.txt`.
///
/// # Panics
/// When it was not set up.
#[must_use]
pub fn venv_program(name: &str) -> String {
    let path = target_dir().join("python-venv/bin").join(name);
    assert!(path.exists(), "{} is not there: run `cargo xtask setup`", path.display());
    path.to_str().expect("the target directory has a UTF-8 name").to_owned()
}

#[cfg(test)]
mod tests {
    use super::compile;
    use crate::sandbox::Sandbox;

    #[test]
    fn programs_are_compiled_and_run() {
        let sandbox = Sandbox::new("/nonexistent");
        let exits = compile(&sandbox, "exits");
        assert_eq!(sandbox.run_bare([exits.as_str(), "exit", "9"]).code, Some(9));
        assert_eq!(sandbox.run_bare([exits.as_str(), "segv"]).signal, Some(11));
    }
}
