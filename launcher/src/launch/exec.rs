//! Becoming the program.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsString, c_char};
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
    is_of_outer_run: bool,
}

impl Command {
    /// `path` is what was found for the first word; the words are handed on as they are.
    pub fn new(path: &Path, words: &[OsString], environment: Vec<CString>) -> Command {
        let c_string = |bytes: Vec<u8>| CString::new(bytes).unwrap_or_default();
        Command {
            path: c_string(path.as_os_str().as_bytes().to_vec()),
            arguments: words.iter().map(|word| c_string(word.clone().into_vec())).collect(),
            environment,
            is_of_outer_run: false,
        }
    }

    /// It goes on in the run of an outer launcher, whose library is in this process and hands the run on.
    pub fn of_outer_run(self) -> Command {
        Command { is_of_outer_run: true, ..self }
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
        let error = self.become_program(&self.path, &self.arguments, environment);
        if error != Errno::ENOEXEC {
            return error;
        }
        // As execvp(3) does with what the kernel does not know: a script without a first line.
        let mut arguments = vec![c"/bin/sh".to_owned(), self.path.clone()];
        arguments.extend(self.arguments.iter().skip(1).cloned());
        self.become_program(c"/bin/sh", &arguments, environment)
    }

    fn become_program(&self, path: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
        if self.is_of_outer_run {
            let Err(error): Result<Infallible, _> = execve(path, arguments, environment);
            return error;
        }
        // Not by the C library's function: the library of an outer run that is over, or out of reach, would hand that on.
        let array = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (arguments, environment) = (array(arguments), array(environment));
        // SAFETY: a path and two arrays of C strings that end with null, which all live until the call comes back.
        unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        Errno::last()
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
