//! A service name for those who gave none: inferred from the program.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::target::{PythonCommand, PythonEntry};

/// Interpreters whose first plain argument is the program that matters.
const INTERPRETERS: [&str; 12] =
    ["node", "nodejs", "ruby", "perl", "php", "bash", "dash", "sh", "zsh", "deno", "bun", "java"];

/// How a program is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// By an interpreter, at a file of source or byte code.
    Script,
    /// By an interpreter, at a module that it finds by itself.
    Module,
    /// By itself.
    Executable,
}

impl EntryKind {
    /// Datadog's word for it.
    pub fn name(self) -> &'static str {
        match self {
            EntryKind::Script => "script",
            EntryKind::Module => "module",
            EntryKind::Executable => "executable",
        }
    }
}

/// Where a program is entered.
pub struct EntryPoint {
    /// How.
    pub kind: EntryKind,
    /// The name of the program, script or module, without directory and well-known ending.
    pub name: String,
    /// The script's path, as it was given.
    pub path: Option<String>,
}

/// The service's name by its command: that of the program, for an interpreter that of its script.
pub fn infer(command: &[OsString]) -> String {
    match entry_point(command) {
        Some(entry) if !entry.name.is_empty() => entry.name,
        _ => "unknown_service".to_owned(),
    }
}

/// Where the program of a command is entered; `None` if there is none.
pub fn entry_point(command: &[OsString]) -> Option<EntryPoint> {
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (program, arguments) = words.split_first()?;
    let name = base_name(program);
    let language = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let interpreted = match language {
        "python" | "pypy" => of_python(command.get(1..)?),
        language if INTERPRETERS.contains(&language) => interpreted(arguments),
        _ => None,
    };
    Some(interpreted.unwrap_or(EntryPoint { kind: EntryKind::Executable, name, path: None }))
}

fn of_python(words: &[OsString]) -> Option<EntryPoint> {
    let name = |path: &OsStr| stem(&base_name(&path.to_string_lossy()));
    Some(match PythonCommand::parse(words).entry? {
        PythonEntry::Code => return None,
        PythonEntry::Module(module) => EntryPoint { kind: EntryKind::Module, name: name(module), path: None },
        PythonEntry::Script(path) => {
            EntryPoint { kind: EntryKind::Script, name: name(path), path: Some(path.to_string_lossy().into_owned()) }
        }
    })
}

fn interpreted(arguments: &[String]) -> Option<EntryPoint> {
    let script =
        |path: &String| EntryPoint { kind: EntryKind::Script, name: stem(&base_name(path)), path: Some(path.clone()) };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            // An archive of Java.
            "-jar" => return rest.next().map(script),
            // Code on the command line has no name.
            "-c" | "-e" => return None,
            option if option.starts_with('-') => {}
            _ => return Some(script(argument)),
        }
    }
    None
}

fn base_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn stem(name: &str) -> String {
    let endings = [".pyz", ".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".sh", ".jar"];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    stem.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_scripts_give_their_names() {
        for (command, service) in [
            ("make -j2", "make"),
            ("/usr/sbin/nginx -g daemon", "nginx"),
            ("python app.py", "app"),
            ("/usr/bin/python3.11 -u src/shop.py --port 1", "shop"),
            ("python -m http.server", "http.server"),
            ("python -W ignore -X dev shop.pyz", "shop"),
            ("python3 -c pass", "python3"),
            ("node server.js", "server"),
            ("java -Xmx1g -jar /opt/shop.jar", "shop"),
            ("sh -c true", "sh"),
            ("bash build.sh", "build"),
            ("./my.app", "my.app"),
        ] {
            let command: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            assert_eq!(infer(&command), service, "{command:?}");
        }
        assert_eq!(infer(&[]), "unknown_service");
        assert_eq!(infer(&["".into()]), "unknown_service");
    }
}
