//! A service name for those who gave none: inferred from the program.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::target::{PythonCommand, PythonEntry};

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
        language => Interpreter::of(language).and_then(|interpreter| interpreter.entry_point(arguments)),
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

/// How a language's interpreter is called.
struct Interpreter {
    /// Its names.
    names: &'static [&'static str],
    /// Options behind which there is code, or nothing that has a name; those of one letter also at the end of several in one word.
    code: &'static [&'static str],
    /// Options with a value in the next word.
    values: &'static [&'static str],
    /// Options behind which there is the script.
    scripts: &'static [&'static str],
}

const INTERPRETERS: [Interpreter; 6] = [
    Interpreter {
        names: &["sh", "bash", "dash", "zsh", "ksh"],
        code: &["-c"],
        values: &["-o", "-O", "--rcfile", "--init-file"],
        scripts: &[],
    },
    Interpreter {
        names: &["node", "nodejs", "bun", "deno"],
        code: &["-e", "--eval", "-p", "--print", "-i", "--interactive"],
        values: &["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"],
        scripts: &[],
    },
    Interpreter { names: &["perl"], code: &["-e", "-E"], values: &["-I", "-M"], scripts: &[] },
    Interpreter { names: &["ruby", "jruby"], code: &["-e"], values: &["-r", "-I", "-C"], scripts: &[] },
    Interpreter {
        names: &["php", "php-cgi"],
        code: &["-r", "--run", "-R", "-B", "-E", "-S", "--server", "-a"],
        values: &["-d", "--define", "-c", "--php-ini", "-t", "--docroot", "-z"],
        scripts: &["-f", "--file", "-F"],
    },
    Interpreter {
        names: &["java"],
        code: &[],
        values: &["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules"],
        scripts: &["-jar", "-m", "--module"],
    },
];

impl Interpreter {
    fn of(language: &str) -> Option<&'static Interpreter> {
        INTERPRETERS.iter().find(|interpreter| interpreter.names.contains(&language))
    }

    fn entry_point(&self, arguments: &[String]) -> Option<EntryPoint> {
        let script = |path: &String| EntryPoint {
            kind: EntryKind::Script,
            name: stem(&base_name(path)),
            path: Some(path.clone()),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let option = argument.as_str();
            if self.scripts.contains(&option) {
                return rest.next().map(script);
            } else if self.values.iter().any(|value| has_attached(option, value)) {
                continue;
            } else if self.code.iter().any(|code| is_option(option, code)) {
                return None;
            } else if self.values.iter().any(|value| is_option(option, value)) {
                rest.next();
            } else if !option.starts_with('-') {
                return Some(script(argument));
            }
        }
        None
    }
}

/// Whether a word is an option of a capital letter, or that by which a library is loaded, with its value.
fn has_attached(word: &str, option: &str) -> bool {
    let may_be = option == "-r" || option.len() == 2 && option.ends_with(|letter: char| letter.is_ascii_uppercase());
    may_be && word.len() > 2 && word.starts_with(option)
}

/// Whether a word is an option, or several of one letter of which it is the last.
fn is_option(word: &str, option: &str) -> bool {
    let letters = |word: &str| !word.starts_with("--") && word.bytes().skip(1).all(|byte| byte.is_ascii_alphabetic());
    word == option || option.len() == 2 && word.starts_with('-') && letters(word) && word.ends_with(&option[1..])
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
            ("node -r dotenv/config --max-old-space-size=99 server.js", "server"),
            ("node -pe 1", "node"),
            ("java -Xmx1g -jar /opt/shop.jar", "shop"),
            ("java -cp lib/* -Dname=e com.example.Shop", "com.example.Shop"),
            ("php -S 127.0.0.1:80 -t public", "php"),
            ("php -d memory_limit=1G -r echo(file('http://host/php'));", "php"),
            ("php -d memory_limit=1G artisan serve", "artisan"),
            ("perl -Mstrict -I lib -lne print", "perl"),
            ("perl -Mstrict -I lib shop.pl", "shop"),
            ("ruby -rnet/http -e 1", "ruby"),
            ("ruby -rtime -Ilibrare shop.rb", "shop"),
            ("bash -eo pipefail build.sh", "build"),
            ("bash -ec true", "bash"),
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
