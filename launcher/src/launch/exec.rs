//! Becoming the program.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::execve;

use super::environment::Environment;
use crate::message;

/// A command, ready for `execve`.
pub struct Command {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    /// `path` is what was found for the first word; the words are handed on as they are.
    pub fn new(path: &Path, words: &[OsString], environment: Vec<CString>) -> Command {
        let c_string = |bytes: Vec<u8>| CString::new(bytes).unwrap_or_default();
        Command {
            path: c_string(path.as_os_str().as_bytes().to_vec()),
            arguments: words.iter().map(|word| c_string(word.clone().into_vec())).collect(),
            environment,
        }
    }

    /// Replaces this process. Comes back only with the reason why not.
    ///
    /// Where the tracer's variables find no room beside the arguments, the program gets the environment that the launcher was
    /// given.
    pub fn exec(&self) -> Errno {
        let error = self.exec_with(&self.environment);
        if error != Errno::E2BIG {
            return error;
        }
        message::error(
            &"there is no room for the tracer's variables beside so many arguments; the program runs untraced",
        );
        self.exec_with(&Environment::inherited().to_c())
    }

    fn exec_with(&self, environment: &[CString]) -> Errno {
        let Err(error): Result<Infallible, _> = execve(&self.path, &self.arguments, environment);
        if error != Errno::ENOEXEC {
            return error;
        }
        // As execvp(3) does with what the kernel does not know: a script without a first line.
        let mut arguments = vec![c"/bin/sh".to_owned(), self.path.clone()];
        arguments.extend(self.arguments.iter().skip(1).cloned());
        let Err(error): Result<Infallible, _> = execve(c"/bin/sh", &arguments, environment);
        error
    }
}

impl Command {
    /// What to say of an exec that failed.
    pub fn why_not(&self, error: Errno) -> &'static str {
        let exists = Path::new(std::ffi::OsStr::from_bytes(self.path.to_bytes())).exists();
        match error {
            Errno::ENOENT if exists => "the interpreter or loader that it names is not there",
            _ => error.desc(),
        }
    }
}

/// The exit code of a launcher that could not start its program, by `env(1)`.
pub fn exit_code(error: Errno) -> i32 {
    if error == Errno::ENOENT { 127 } else { 126 }
}
