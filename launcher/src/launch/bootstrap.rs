//! `ddtrace-run bootstrap`: which Python is meant, and then that Python does it, as it alone knows what it has.

use std::env::var_os;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python;
use crate::cli::{Bootstrap, EXIT_OWN_FAILURE};
use crate::message;
use crate::target;

/// Names of the Python in PATH; `python` may be one of version 2, and an environment has both.
const NAMES: [&str; 2] = ["python3", "python"];

/// Becomes the Python that finds, and installs, what fits. Comes back with an exit code only if that cannot be.
pub fn bootstrap(asked: &Bootstrap) -> i32 {
    let search_path = var_os("PATH");
    let python = match python_of(asked, search_path.as_deref()) {
        Ok(python) => python,
        Err((text, code)) => {
            message::error(&text);
            return code;
        }
    };
    let Some(script) = python::instrumentations() else {
        let place = python::usual_place();
        return failed(format_args!("the Python package is not installed: {} is not there", place.display()));
    };
    let mut command = Command::new(&python);
    command.arg(script).arg(if asked.installs { "install" } else { "requirements" });
    if asked.is_dry {
        command.arg("--dry-run");
    }
    let error = command.exec();
    failed(format_args!("{}: {error}", python.display()))
}

fn failed(text: impl Display) -> i32 {
    message::error(&text);
    EXIT_OWN_FAILURE
}

fn python_of(asked: &Bootstrap, search_path: Option<&OsStr>) -> Result<PathBuf, (String, i32)> {
    let find = |word: &OsStr| target::find(word, search_path);
    if let Some(python) = &asked.python {
        let inside = Path::new(python).join("bin/python");
        let python = if Path::new(python).is_dir() { inside.into_os_string() } else { python.clone() };
        return find(&python).map_err(|error| (error.to_string(), error.exit_code().into()));
    }
    let Some(program) = asked.command.first() else {
        let found = NAMES.iter().find_map(|name| find(OsStr::new(name)).ok());
        return found.ok_or_else(|| (format!("there is no {} in PATH", NAMES.join(" and no ")), 127));
    };
    let program = find(program).map_err(|error| (error.to_string(), error.exit_code().into()))?;
    let program = shimmed(&program)?.unwrap_or(program);
    if program.file_name() == Some(OsStr::new("uv")) && asked.command.get(1).is_some_and(|word| word == "run") {
        return run_by_uv(&program, &asked.command[2..]);
    }
    let looked_at = target::inspect(&program, search_path);
    let python = looked_at.python().map(Path::to_owned);
    python.ok_or_else(|| (format!("{} is no Python program", program.display()), EXIT_OWN_FAILURE))
}

/// The program that a shim of pyenv stands for, which only pyenv knows: it depends on variables and on files around. `None` for
/// what is no shim.
fn shimmed(program: &Path) -> Result<Option<PathBuf>, (String, i32)> {
    /// Longer ones are something else.
    const LONGEST: u64 = 4096;
    let is_short = std::fs::metadata(program).is_ok_and(|file| file.len() <= LONGEST);
    let text = if is_short { std::fs::read_to_string(program).unwrap_or_default() } else { String::new() };
    let quoted = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once('"'));
        line.map(|(value, _)| value.to_owned())
    };
    let (Some(pyenv), Some(root), Some(name)) = (
        quoted("exec \"").filter(|path| path.ends_with("/pyenv")),
        quoted("export PYENV_ROOT=\""),
        program.file_name(),
    ) else {
        return Ok(None);
    };
    let mut asked = Command::new(&pyenv);
    asked.arg("which").arg(name).env("PYENV_ROOT", root);
    found_by(Path::new(&pyenv), &mut asked, &format!("it does not know {}", program.display())).map(Some)
}

/// The Python that `uv run` gives a command, which only uv knows; nothing is installed for that. `words` are those behind `run`.
fn run_by_uv(uv: &Path, words: &[OsString]) -> Result<PathBuf, (String, i32)> {
    /// With a value: which environment it is, and what is none of its business.
    const VALUED: [&str; 10] = [
        "--directory",
        "--env-file",
        "--extra",
        "--group",
        "--no-group",
        "--only-group",
        "--package",
        "--project",
        "--python",
        "-p",
    ];
    const FLAGS: [&str; 14] = [
        "--active",
        "--all-extras",
        "--all-groups",
        "--all-packages",
        "--dev",
        "--frozen",
        "--locked",
        "--no-dev",
        "--no-project",
        "--no-sync",
        "--offline",
        "--quiet",
        "--verbose",
        "-q",
    ];
    let unknown = |word: &OsStr| {
        let text = format!("uv run {}: its Python is not known before it runs, say it by --python", word.display());
        (text, EXIT_OWN_FAILURE)
    };
    let mut options = Vec::new();
    let mut rest = words.iter();
    let command = loop {
        let Some(word) = rest.next() else { break None };
        let text = word.to_str().unwrap_or_default();
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        match name {
            "--" | "-m" | "--module" => break None,
            _ if !name.starts_with('-') => break Some(word),
            _ if FLAGS.contains(&text) => options.push(word),
            _ if VALUED.contains(&name) => {
                options.push(word);
                if value.is_none() {
                    options.extend(rest.next());
                }
            }
            // Such as `--with`, which makes an environment for this once.
            _ => return Err(unknown(word)),
        }
    };
    // A script that says itself what it needs gets an environment of its own.
    let is_alone =
        |script: &OsString| std::fs::read_to_string(script).is_ok_and(|text| text.contains("\n# /// script\n"));
    if let Some(script) = command.filter(|script| is_alone(script)) {
        return Err(unknown(script));
    }
    let mut asked = Command::new(uv);
    asked.arg("run").args(options).args(["python", "-c", "import sys; print(sys.executable)"]).env("UV_NO_SYNC", "1");
    found_by(uv, &mut asked, "there is no Python for this command")
}

/// What a tool says by itself.
fn found_by(tool: &Path, asked: &mut Command, otherwise: &str) -> Result<PathBuf, (String, i32)> {
    let found = asked.output().map_err(|error| (format!("{}: {error}", tool.display()), EXIT_OWN_FAILURE))?;
    if !found.status.success() {
        let said = String::from_utf8_lossy(&found.stderr).trim_end().to_owned();
        return Err((if said.is_empty() { format!("{}: {otherwise}", tool.display()) } else { said }, 127));
    }
    Ok(String::from_utf8_lossy(&found.stdout).trim_end().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::find;

    fn chosen(python: Option<&str>, command: &[&str]) -> Result<PathBuf, i32> {
        let asked = Bootstrap {
            python: python.map(OsString::from),
            command: command.iter().map(OsString::from).collect(),
            ..Bootstrap::default()
        };
        python_of(&asked, Some(OsStr::new("/usr/local/bin:/usr/bin:/bin"))).map_err(|(_, code)| code)
    }

    #[test]
    fn the_python_of_the_program_is_meant() {
        let in_path = find(OsStr::new("python3"), Some(OsStr::new("/usr/local/bin:/usr/bin:/bin"))).expect("a Python");
        assert_eq!(chosen(None, &[]), Ok(in_path.clone()));
        assert_eq!(chosen(Some("python3"), &[]), Ok(in_path.clone()));
        assert_eq!(chosen(None, &["python3", "app.py"]), Ok(in_path.clone()));
        assert_eq!(chosen(Some("/nowhere/python"), &[]), Err(127));
        assert_eq!(chosen(None, &["/nowhere/app"]), Err(127));
        assert_eq!(chosen(None, &["true"]), Err(EXIT_OWN_FAILURE));
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("app");
        std::fs::write(&script, format!("#!{}\n", in_path.display())).expect("a file");
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
        assert_eq!(chosen(None, &[script.to_str().expect("text"), "--flag"]), Ok(in_path));
    }
}
