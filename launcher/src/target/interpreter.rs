//! Which program a `#!` line leads to, through `env(1)` where it is used.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use ddtrace::elf::Script;

use super::find::find;

/// What a script's first line leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// The program.
    pub(super) program: PathBuf,
    /// Whether `env -i` empties its environment.
    pub(super) clears_environment: bool,
    /// The words before the script's own path.
    pub(super) arguments: Vec<OsString>,
}

/// Follows a `#!` line. `search_path` is the value of PATH, in which `env` looks for the program it is given.
///
/// Where `env`'s words are beyond what is understood here, or name nothing that is there, the answer is `env` itself,
/// which will say so.
pub(super) fn follow(script: &Script<'_>, search_path: Option<&OsStr>) -> Interpreter {
    let interpreter = PathBuf::from(OsStr::from_bytes(script.interpreter));
    let through_env = interpreter
        .file_name()
        .filter(|name| *name == "env")
        .and(script.argument)
        .and_then(|argument| EnvCommand::parse(vec![argument.to_vec()], search_path))
        .and_then(|command| {
            let program = find(&command.word, command.search_path.as_deref()).ok()?;
            Some(Interpreter { program, clears_environment: command.clears_environment, arguments: command.arguments })
        });
    through_env.unwrap_or_else(|| Interpreter {
        program: interpreter,
        clears_environment: false,
        arguments: script.argument.map(|argument| OsStr::from_bytes(argument).to_owned()).into_iter().collect(),
    })
}

/// What `env` does with its words.
struct EnvCommand {
    word: OsString,
    arguments: Vec<OsString>,
    search_path: Option<OsString>,
    clears_environment: bool,
}

/// Splitting strings may nest; nobody does it twice.
const SPLITS_MAX: usize = 4;

impl EnvCommand {
    /// Reads `env`'s arguments as coreutils does, up to the program's name.
    fn parse(words: Vec<Vec<u8>>, search_path: Option<&OsStr>) -> Option<Self> {
        let mut words = words;
        let mut splits = 0;
        let mut command = EnvCommand {
            word: OsString::new(),
            arguments: Vec::new(),
            search_path: search_path.map(OsStr::to_owned),
            clears_environment: false,
        };
        let mut options = true;
        let mut at = 0;
        while let Some(word) = words.get(at).cloned() {
            at += 1;
            if options && let Some(string) = to_split(&word, words.get(at)) {
                splits += 1;
                if splits > SPLITS_MAX {
                    return None;
                }
                command.clear_if(string.clears);
                let split = split_string(&string.text)?;
                words =
                    split.into_iter().chain(words.into_iter().skip(at + usize::from(string.is_next_word))).collect();
                at = 0;
                continue;
            }
            match word.as_slice() {
                b"--" if options => options = false,
                b"-" | b"-i" | b"--ignore-environment" | b"-iv" | b"-vi" if options => command.clear_if(true),
                b"-v" | b"--debug" if options => {}
                b"-u" | b"--unset" if options => {
                    command.unset(words.get(at)?);
                    at += 1;
                }
                _ if options && word.starts_with(b"-u") => command.unset(word.get(2..)?),
                _ if options && word.starts_with(b"--unset=") => command.unset(word.get(8..)?),
                _ if options && (word.ends_with(b"-signal") || word.windows(8).any(|part| part == b"-signal=")) => {}
                // Another working directory, other letters: not worth a guess.
                _ if options && word.starts_with(b"-") => return None,
                _ => {
                    options = false;
                    match word.iter().position(|&byte| byte == b'=') {
                        Some(sign) => command.set(word.get(..sign)?, word.get(sign + 1..)?),
                        None => {
                            command.word = OsString::from_vec(word);
                            command.arguments = words.drain(at..).map(OsString::from_vec).collect();
                            return Some(command);
                        }
                    }
                }
            }
        }
        None
    }

    fn clear_if(&mut self, clears: bool) {
        if clears {
            self.clears_environment = true;
            self.search_path = None;
        }
    }

    fn unset(&mut self, name: &[u8]) {
        if name == b"PATH" {
            self.search_path = None;
        }
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        if name == b"PATH" {
            self.search_path = Some(OsStr::from_bytes(value).to_owned());
        }
    }
}

/// The string of a `-S`.
struct ToSplit {
    text: Vec<u8>,
    is_next_word: bool,
    /// `-iS`: the letters may be bundled.
    clears: bool,
}

fn to_split(word: &[u8], next: Option<&Vec<u8>>) -> Option<ToSplit> {
    if let Some(text) = word.strip_prefix(b"--split-string=") {
        return Some(ToSplit { text: text.to_vec(), is_next_word: false, clears: false });
    }
    let letters = word.strip_prefix(b"-").filter(|letters| !letters.starts_with(b"-"))?;
    let before = letters.iter().take_while(|letter| b"iv".contains(letter)).count();
    let (before, rest) = letters.split_at(before);
    let text = rest.strip_prefix(b"S")?;
    let is_next_word = text.is_empty();
    let text = if is_next_word { next?.clone() } else { text.to_vec() };
    Some(ToSplit { text, is_next_word, clears: before.contains(&b'i') })
}

/// Splits a string as `env -S` does: at blanks, with quotes. `None` for escapes and variables, which scripts' first
/// lines hardly ever have.
fn split_string(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    for &byte in text {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => words.extend(word.take()),
            (None, b'#') if word.is_none() => break,
            (_, b'\\') | (None | Some(b'"'), b'$') => return None,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::elf::{Image, identify};

    fn lead(line: &str, search_path: Option<&str>) -> (String, bool) {
        let Image::Script(script) = identify(line.as_bytes()) else { panic!("{line} is no script") };
        let interpreter = follow(&script, search_path.map(OsStr::new));
        (interpreter.program.display().to_string(), interpreter.clears_environment)
    }

    #[test]
    fn env_is_followed() {
        for (line, program, clears) in [
            ("#!/bin/sh -e\n", "/bin/sh", false),
            ("#!/usr/bin/env sh\n", "/bin/sh", false),
            ("#! /usr/bin/env   sh\n", "/bin/sh", false),
            ("#!/usr/bin/env -S sh -e -u\n", "/bin/sh", false),
            ("#!/usr/bin/env -Ssh -e\n", "/bin/sh", false),
            ("#!/usr/bin/env --split-string=sh -e\n", "/bin/sh", false),
            ("#!/usr/bin/env -S -i sh\n", "/bin/sh", true),
            ("#!/usr/bin/env -iS sh\n", "/bin/sh", true),
            ("#!/usr/bin/env -S - A=b C=d sh x\n", "/bin/sh", true),
            ("#!/usr/bin/env -vS -u HOME --unset=X -- A=b 'sh' x\n", "/bin/sh", false),
            ("#!/usr/bin/env -S --ignore-signal=INT sh\n", "/bin/sh", false),
            ("#!/usr/bin/env -S PATH=/nowhere sh\n", "/usr/bin/env", false),
            ("#!/usr/bin/env -S /bin/../bin/sh\n", "/bin/../bin/sh", false),
        ] {
            assert_eq!(lead(line, Some("/nowhere:/bin")), (program.to_owned(), clears), "{line}");
        }
    }

    #[test]
    fn the_words_before_the_script_are_kept() {
        for (line, arguments) in [
            ("#!/bin/sh\n", &[][..]),
            ("#!/bin/sh -e -u\n", &["-e -u"]),
            ("#!/usr/bin/env sh\n", &[]),
            ("#!/usr/bin/env -S A=b sh -e -u\n", &["-e", "-u"]),
        ] {
            let Image::Script(script) = identify(line.as_bytes()) else { panic!("{line} is no script") };
            assert_eq!(follow(&script, Some(OsStr::new("/bin"))).arguments, arguments, "{line}");
        }
    }

    #[test]
    fn what_env_can_not_do_stays_with_env() {
        for line in [
            "#!/usr/bin/env\n",
            "#!/usr/bin/env sh -e\n",
            "#!/usr/bin/env no-such-program\n",
            "#!/usr/bin/env -i\n",
            "#!/usr/bin/env A=b\n",
            "#!/usr/bin/env -S ${HOME}/bin/sh\n",
            "#!/usr/bin/env -S -C /tmp sh\n",
            "#!/usr/bin/env -S 'sh\n",
            "#!/usr/bin/env -S-S-S-S-S-S sh\n",
        ] {
            assert_eq!(lead(line, Some("/bin")), ("/usr/bin/env".to_owned(), false), "{line}");
        }
    }

    #[test]
    fn env_searches_the_path_that_is_left() {
        assert_eq!(lead("#!/usr/bin/env -iS sh\n", Some("/nowhere")).0, "/bin/sh", "execvp's default");
        assert_eq!(lead("#!/usr/bin/env -S -uPATH sh\n", Some("/nowhere")).0, "/bin/sh");
        assert_eq!(lead("#!/usr/bin/env -S PATH=/bin sh\n", Some("/nowhere")).0, "/bin/sh");
        assert_eq!(lead("#!/opt/env sh\n", Some("/nowhere")).0, "/opt/env");
    }
}
