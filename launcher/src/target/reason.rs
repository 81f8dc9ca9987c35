//! Why a program can't be traced from inside, in one line for people.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ddtrace::denylist::is_denied;
use ddtrace::elf::{ElfImage, NATIVE_MACHINE, is_asan_runtime};

use super::{Libc, Privilege, ProgramImage, Target};

/// Why nothing inside a program can be seen. The program's own span is recorded from outside in every case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is on the built-in list or on the user's.
    Denied(PathBuf),
    /// It is for another machine than the tracer.
    OtherMachine(PathBuf, ElfImage),
    /// Its loader ignores preloaded libraries because the program has more rights than its caller.
    Privileged(PathBuf, Privilege),
    /// Nothing is loaded at its start.
    Static(PathBuf),
    /// Its loader is one for which the tracer was not made.
    OtherLoader(PathBuf),
    /// It ends at its start when a library is preloaded.
    AddressSanitizer(PathBuf, String),
}

impl Reason {
    /// Whether the program is still to be given the preload in its environment, so that what *it* starts is traced. It
    /// does no harm in a statically linked program; anywhere else it would be ignored, complained of, or fatal.
    pub fn keeps_preload(&self) -> bool {
        matches!(self, Reason::Static(_))
    }
}

impl Reason {
    /// One word for it, as the preload says it of what it starts.
    pub fn label(&self) -> &'static str {
        match self {
            Reason::Denied(_) => "denylist",
            Reason::OtherMachine(..) => "architecture",
            Reason::Privileged(..) => "setuid",
            Reason::Static(_) => "static",
            Reason::OtherLoader(_) => "libc",
            Reason::AddressSanitizer(..) => "asan",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEFT_ALONE: &str = "it is started without the tracer, so only its own span is recorded, from outside";
        match self {
            Reason::Denied(path) => {
                write!(f, "{} is on the list of programs that are never instrumented; {LEFT_ALONE}", path.display())
            }
            Reason::OtherMachine(path, image) => write!(
                f,
                "{} is a {}-bit program for {}, the tracer a {}-bit library for {}; {LEFT_ALONE}",
                path.display(),
                if image.class64 { 64 } else { 32 },
                Machine(image.machine),
                usize::BITS,
                Machine(NATIVE_MACHINE),
            ),
            Reason::Privileged(path, privilege) => write!(
                f,
                "{} {privilege}, and its loader ignores preloaded libraries for that; {LEFT_ALONE}",
                path.display()
            ),
            Reason::Static(path) => write!(
                f,
                "{} is statically linked: nothing inside it can be seen; its own span is recorded from outside, \
                 and what it starts is traced",
                path.display()
            ),
            Reason::OtherLoader(path) => {
                write!(f, "{} is made for a C library that is neither glibc nor musl; {LEFT_ALONE}", path.display())
            }
            Reason::AddressSanitizer(path, library) => write!(
                f,
                "{} is linked with AddressSanitizer's {library}, which ends it when anything is loaded before; {LEFT_ALONE}",
                path.display()
            ),
        }
    }
}

/// Why the target can't be traced from inside; `None` if nothing speaks against it.
///
/// `denylist` is the user's addition to the built-in list; `ld_preload` the value of LD_PRELOAD that the tracer would
/// be appended to.
pub fn untraceable(target: &Target, denylist: &[String], ld_preload: Option<&OsStr>) -> Option<Reason> {
    let denylist = denylist.join(",");
    let denied = |path: &Path| is_denied(path.as_os_str().as_bytes(), denylist.as_bytes());
    let names = target.scripts.iter().chain([&target.path, &target.program]);
    if let Some(path) = names.into_iter().find(|path| denied(path)) {
        return Some(Reason::Denied(path.clone()));
    }
    let program = target.program.clone();
    if let ProgramImage::Elf(image) = target.image
        && !image.is_native()
    {
        return Some(Reason::OtherMachine(program, image));
    }
    if let Some(privilege) = target.privilege {
        return Some(Reason::Privileged(program, privilege));
    }
    match target.libc {
        Libc::Static => return Some(Reason::Static(program)),
        Libc::Other => return Some(Reason::OtherLoader(program)),
        Libc::Glibc | Libc::Musl | Libc::Unknown => {}
    }
    // Where the user has put the runtime into LD_PRELOAD, as its own message advises, it comes first all the same.
    let asan = target.asan.as_ref().filter(|_| !ld_preload.is_some_and(begins_with_asan))?;
    Some(Reason::AddressSanitizer(program, asan.clone()))
}

/// Whether the first library of an LD_PRELOAD, whose separators are blanks and colons, is AddressSanitizer's runtime.
fn begins_with_asan(ld_preload: &OsStr) -> bool {
    let mut entries = ld_preload.as_bytes().split(|byte| b": ".contains(byte)).filter(|entry| !entry.is_empty());
    let name = entries.next().and_then(|first| first.rsplit(|&byte| byte == b'/').next());
    name.is_some_and(is_asan_runtime)
}

/// The name of an `e_machine`.
struct Machine(u16);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            3 => "x86",
            8 => "MIPS",
            20 => "PowerPC",
            21 => "64-bit PowerPC",
            22 => "S/390",
            40 => "ARM",
            62 => "x86-64",
            183 => "AArch64",
            243 => "RISC-V",
            258 => "LoongArch",
            other => return write!(f, "machine {other}"),
        })
    }
}
