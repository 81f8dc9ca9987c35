//! The command line of Python.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// What a Python is told by its words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PythonCommand<'a> {
    /// What keeps the tracer from being loaded.
    pub obstacle: Option<Obstacle>,
    /// What it is to run; `None` for what comes on its standard input.
    pub entry: Option<PythonEntry<'a>>,
}

/// An option by which Python does not do what the tracer is loaded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// `-I`.
    Isolated,
    /// `-E`.
    NoEnvironment,
    /// `-S`.
    NoSite,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Obstacle::Isolated => "-I makes Python ignore PYTHONPATH",
            Obstacle::NoEnvironment => "-E makes Python ignore PYTHONPATH",
            Obstacle::NoSite => "-S makes Python start without its module site",
        })
    }
}

/// What a Python runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PythonEntry<'a> {
    /// The text of a program.
    Code,
    /// A module by its name.
    Module(&'a OsStr),
    /// A file, or a directory or archive with a program in it.
    Script(&'a OsStr),
}

impl<'a> PythonCommand<'a> {
    /// Reads the words behind the interpreter's own.
    pub fn parse(words: &'a [OsString]) -> PythonCommand<'a> {
        let mut command = PythonCommand::default();
        let mut words = words.iter().map(OsString::as_os_str);
        while let Some(word) = words.next() {
            let Some(letters) = word.as_bytes().strip_prefix(b"-").filter(|letters| !letters.is_empty()) else {
                command.entry = (word != "-").then_some(PythonEntry::Script(word));
                break;
            };
            if letters.starts_with(b"-") {
                match letters {
                    b"-" => {
                        command.entry = words.next().map(PythonEntry::Script);
                        break;
                    }
                    b"-check-hash-based-pycs" => drop(words.next()),
                    _ => {}
                }
            } else if command.take(letters, &mut words) {
                break;
            }
        }
        command
    }

    /// Takes letters behind one dash; gives whether the rest belongs to the program.
    fn take(&mut self, letters: &'a [u8], words: &mut impl Iterator<Item = &'a OsStr>) -> bool {
        for (position, letter) in letters.iter().enumerate() {
            let attached = Some(OsStr::from_bytes(&letters[position + 1..])).filter(|value| !value.is_empty());
            match letter {
                b'I' => self.obstacle = Some(Obstacle::Isolated),
                b'E' => self.obstacle = self.obstacle.or(Some(Obstacle::NoEnvironment)),
                b'S' => self.obstacle = self.obstacle.or(Some(Obstacle::NoSite)),
                b'c' => {
                    self.entry = Some(PythonEntry::Code);
                    return true;
                }
                b'm' => {
                    self.entry = attached.or_else(|| words.next()).map(PythonEntry::Module);
                    return true;
                }
                b'W' | b'X' => {
                    if attached.is_none() {
                        words.next();
                    }
                    return false;
                }
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PythonEntry::{Code, Module, Script};

    #[test]
    fn options_are_read_as_python_does() {
        let module = |name| Some(Module(OsStr::new(name)));
        let script = |name| Some(Script(OsStr::new(name)));
        for (line, obstacle, entry) in [
            ("", None, None),
            ("-", None, None),
            ("app.py -I", None, script("app.py")),
            ("-u -W ignore -X dev app.py", None, script("app.py")),
            ("-Wignore -Xdev app.py", None, script("app.py")),
            ("-uW ignore app.py", None, script("app.py")),
            ("--check-hash-based-pycs always app.py", None, script("app.py")),
            ("-- -I", None, script("-I")),
            ("-m http.server -S", None, module("http.server")),
            ("-mhttp.server", None, module("http.server")),
            ("-c pass -E", None, Some(Code)),
            ("-cpass", None, Some(Code)),
            ("-Ic pass", Some(Obstacle::Isolated), Some(Code)),
            ("-sE app.py", Some(Obstacle::NoEnvironment), script("app.py")),
            ("-ES -I app.py", Some(Obstacle::Isolated), script("app.py")),
            ("-S -", Some(Obstacle::NoSite), None),
            ("-m", None, None),
        ] {
            let words: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
            assert_eq!(PythonCommand::parse(&words), PythonCommand { obstacle, entry }, "{line}");
        }
    }
}
