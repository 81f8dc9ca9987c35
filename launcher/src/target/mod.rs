//! What the program is that shall be started, and whether anything inside it can be traced.
//!
//! Looked at, never run: everything is read from the files, in at most a hundred microseconds for a usual program. What
//! can't be found out is left open; a wrong guess may cost spans, but must not keep a program from running.

mod blind_spot;
mod elf;
mod find;
mod interpreter;
mod libraries;
mod privileges;
mod python;
mod reason;
mod runtime;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ddtrace::elf::{ElfImage, ElfKind, Image, Interpreter};

pub use blind_spot::BlindSpot;
pub use find::find;
pub use privileges::Privilege;
pub use python::{Obstacle, PythonCommand, PythonEntry};
pub use reason::{Reason, untraceable};
pub use runtime::Runtime;

use elf::ProgramFile;

/// How many `#!` lines are followed; the kernel gives up behind the fifth.
const SCRIPTS_MAX: usize = 4;

/// What is known of a program before it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is handed to `execve(2)`.
    pub path: PathBuf,
    /// The scripts on the way to the program: the first is `path` if that is a script, each is run by the next.
    pub scripts: Vec<PathBuf>,
    /// The program that runs in the end: `path`, or the last interpreter.
    pub program: PathBuf,
    /// What the last script's first line says to its interpreter, before the script's path.
    pub arguments: Vec<OsString>,
    /// What the program's file is.
    pub image: ProgramImage,
    /// The C library that loads the program's libraries.
    pub libc: Libc,
    /// What the program gets that we have not; its loader then ignores preloaded libraries.
    pub privilege: Option<Privilege>,
    /// The language runtime.
    pub runtime: Runtime,
    /// The shared AddressSanitizer runtime that the program is linked with.
    pub asan: Option<String>,
    /// What of it cannot be seen, although it can be traced.
    pub blind_spot: Option<BlindSpot>,
    /// Whether a script's first line has the environment emptied (`env -i`).
    pub clears_environment: bool,
}

/// What the program's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramImage {
    /// An ELF program.
    Elf(ElfImage),
    /// Neither an ELF program nor a script with a `#!` line: a text for the shell, or something for `binfmt_misc`.
    Other,
    /// It may not be read, though perhaps run, or is not there.
    Unreadable,
}

/// The C library of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// GNU's.
    Glibc,
    /// musl.
    Musl,
    /// Linked in, or none at all; nothing is loaded at the start.
    Static,
    /// One for which the tracer was not made.
    Other,
    /// Could not be told.
    Unknown,
}

/// Looks at the program at `path`, which [`find()`] gave. `search_path` is the value of PATH in the environment that the
/// program will have.
pub fn inspect(path: &Path, search_path: Option<&OsStr>) -> Target {
    let mut target = Target {
        path: path.to_owned(),
        scripts: Vec::new(),
        program: path.to_owned(),
        arguments: Vec::new(),
        image: ProgramImage::Unreadable,
        libc: Libc::Unknown,
        privilege: None,
        runtime: Runtime::None,
        asan: None,
        blind_spot: None,
        clears_environment: false,
    };
    loop {
        let Ok((file, metadata)) = ProgramFile::open(&target.program) else {
            if let Ok(metadata) = target.program.metadata() {
                target.privilege = privileges::gained(&target.program, &metadata);
            }
            target.runtime = runtime_by_path(&target.program);
            return target;
        };
        match file.image() {
            Image::Script(script) if target.scripts.len() < SCRIPTS_MAX => {
                let next = interpreter::follow(&script, search_path);
                target.clears_environment |= next.clears_environment;
                target.arguments = next.arguments;
                target.scripts.push(std::mem::replace(&mut target.program, next.program));
            }
            Image::Script(_) | Image::Other => {
                target.image = ProgramImage::Other;
                return target;
            }
            Image::Elf(image) => {
                let libraries = file.libraries();
                target.image = ProgramImage::Elf(image);
                target.libc = libc_of(&image, &target.program);
                target.privilege = privileges::gained(&target.program, &metadata);
                target.asan = libraries::asan_runtime(&libraries);
                target.runtime = if file.is_go() { Runtime::Go } else { runtime_of(&target.program, &libraries) };
                target.blind_spot = blind_spot::of(target.runtime, &libraries);
                return target;
            }
        }
    }
}

impl Target {
    /// The words as they reach the interpreter where the program is a script of Python's that is started by itself; else
    /// those of the command.
    pub fn words<'a>(&self, command: &'a [OsString]) -> Cow<'a, [OsString]> {
        let (Runtime::CPython(_), [script]) = (self.runtime, &self.scripts[..]) else { return Cow::Borrowed(command) };
        // A script that stands for the interpreter, as those of pyenv do, is not what is run.
        if matches!(runtime_by_path(script), Runtime::CPython(_)) {
            return Cow::Borrowed(command);
        }
        let interpreter = [self.program.clone().into_os_string()];
        Cow::Owned(interpreter.iter().chain(&self.arguments).chain(command).cloned().collect())
    }

    /// The Python that the program is, or that runs it; `None` for other programs.
    pub fn python(&self) -> Option<&Path> {
        // Also where it is a script that finds the right version, as those of pyenv do.
        let named = [self.path.as_path()].into_iter().find(|path| matches!(runtime_by_path(path), Runtime::CPython(_)));
        named.or_else(|| matches!(self.runtime, Runtime::CPython(_)).then_some(self.program.as_path()))
    }

    /// What keeps a Python from loading the tracer; `None` for other programs. `command` is the whole command.
    pub fn python_obstacle(&self, command: &[OsString]) -> Option<Obstacle> {
        let is_python = |runtime: Runtime| matches!(runtime, Runtime::CPython(_));
        // Also where it is a script that finds the right version, as those of pyenv do, and hands the words on.
        let words = if self.path.file_name().is_some_and(|name| is_python(runtime::by_name(name))) {
            command.get(1..)?
        } else if is_python(self.runtime) {
            if self.scripts.is_empty() { command.get(1..)? } else { &self.arguments }
        } else {
            return None;
        };
        PythonCommand::parse(words).obstacle
    }
}

fn libc_of(image: &ElfImage, program: &Path) -> Libc {
    let by_loader = |loader: Interpreter| match loader {
        Interpreter::Glibc => Libc::Glibc,
        Interpreter::Musl => Libc::Musl,
        Interpreter::None => Libc::Static,
        Interpreter::Other => Libc::Other,
        Interpreter::Unknown => Libc::Unknown,
    };
    if image.interpreter != Interpreter::None || image.kind != ElfKind::Dyn {
        return by_loader(image.interpreter);
    }
    // The loader may be run as a program itself (`ld.so PROGRAM`), and then it preloads.
    let names = [Some(program.to_owned()), program.canonicalize().ok()];
    let own = names.iter().flatten().map(|name| Interpreter::of_loader(name.as_os_str().as_bytes()));
    by_loader(own.into_iter().find(|loader| *loader != Interpreter::Other).unwrap_or(Interpreter::None))
}

fn runtime_of(program: &Path, libraries: &[String]) -> Runtime {
    match (runtime_by_path(program), libraries::runtime(libraries)) {
        (Runtime::None, by_library) => by_library,
        (Runtime::CPython(None), Runtime::CPython(version)) => Runtime::CPython(version),
        (by_name, _) => by_name,
    }
}

/// By the file's name, or by that of what a link leads to: `python3` says less than the `python3.11` behind it.
fn runtime_by_path(program: &Path) -> Runtime {
    let by_name = |path: &Path| path.file_name().map_or(Runtime::None, runtime::by_name);
    match by_name(program) {
        Runtime::CPython(None) => {
            let real = program.canonicalize().map_or(Runtime::None, |real| by_name(&real));
            if let Runtime::CPython(_) = real { real } else { Runtime::CPython(None) }
        }
        by_name => by_name,
    }
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
