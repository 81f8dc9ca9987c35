//! A look at a program that is about to be started: is it there, and can it be traced from inside?

use core::ffi::CStr;
use ddtrace::denylist::is_denied;
use ddtrace::elf::{HEAD_LEN, Image, Interpreter, identify_with, needs_asan};
use ddtrace::sys::{self, Fd};

use crate::environment;
use crate::host::c_bytes;

/// What the look found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It can be traced, or nothing speaks against it.
    Traceable,
    /// It will run, but this library will not be in it.
    Untraceable(&'static str),
    /// It is not there, or cannot be read: the real function will say what there is to say.
    Unknown,
}

impl Verdict {
    /// Whether the program is to have this library in its environment: a static one does not load it, but hands it on.
    pub(crate) fn hands_on(self) -> bool {
        matches!(self, Verdict::Traceable | Verdict::Untraceable(STATIC))
    }
}

const STATIC: &str = "static";

/// Why a program is described from outside although it could load the library: it gets an environment without it.
pub(crate) const NO_ENVIRONMENT: &str = "environment";

/// The longest path that is put together from PATH.
const PATH_BYTES: usize = 1024;

/// A program as an exec function names it.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// A path.
    Path(*const u8),
    /// A name to be searched for in PATH, unless it has a slash.
    Search(*const u8),
    /// An open file (`fexecve`, `AT_EMPTY_PATH`).
    Open(Fd),
    /// A path relative to an open directory.
    At(Fd, *const u8),
}

impl Program {
    /// Whether its path can be read at all.
    pub(crate) fn is_readable(self) -> bool {
        match self {
            Program::Path(path) | Program::Search(path) | Program::At(_, path) => sys::is_readable(path as usize),
            Program::Open(_) => true,
        }
    }
}

/// The path of a program, in memory of the caller's.
pub(crate) struct Found {
    bytes: [u8; PATH_BYTES],
    length: usize,
    pub(crate) verdict: Verdict,
}

impl Found {
    /// The path as a C string.
    pub(crate) fn path(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(self.bytes.get(..self.length.wrapping_add(1))?).ok().filter(|path| !path.is_empty())
    }

    /// The path that the kernel knows the open file by: the one behind all links.
    fn set_to_file(&mut self, fd: Fd) {
        let mut path = [0u8; PATH_BYTES];
        let link = link_to(fd);
        let link = CStr::from_bytes_until_nul(&link).unwrap_or_default();
        if let Ok(path) = sys::readlink(link, &mut path) {
            self.set([path, b"", b""]);
        }
    }

    fn set(&mut self, pieces: [&[u8]; 3]) -> bool {
        let total = pieces.iter().fold(0usize, |sum, piece| sum.wrapping_add(piece.len()));
        if total >= PATH_BYTES {
            return false;
        }
        let all = pieces.iter().flat_map(|piece| piece.iter()).copied().chain([0]);
        for (to, from) in self.bytes.iter_mut().zip(all) {
            *to = from;
        }
        self.length = total;
        true
    }
}

/// Looks at a program.
///
/// # Safety
///
/// Pointers in `program` are null or C strings, and the environment is not being changed by another thread, as for the
/// exec function that is about to be called.
#[inline(never)]
pub(crate) unsafe fn look(program: Program) -> Found {
    let mut found = Found { bytes: [0; PATH_BYTES], length: 0, verdict: Verdict::Unknown };
    // SAFETY: the caller's promise for the pointers.
    unsafe {
        match program {
            Program::Path(path) => by_path(&mut found, c_bytes(path)),
            Program::Search(name) => {
                let name = c_bytes(name);
                search_into(&mut found, name, open_found);
            }
            Program::Open(fd) => {
                let link = link_to(fd);
                by_path(&mut found, CStr::from_bytes_until_nul(&link).unwrap_or_default().to_bytes());
            }
            Program::At(directory, path) => {
                let path = c_bytes(path);
                const O_CLOEXEC: usize = 0o2_000_000;
                const O_NONBLOCK: usize = 0o4000;
                if found.set([path, b"", b""])
                    && let Some(path) = found.path()
                    && let Ok(fd) = sys::open_at(directory, path, O_CLOEXEC | O_NONBLOCK)
                {
                    found.verdict = examine(fd, path.to_bytes());
                    found.set_to_file(fd);
                    sys::close(fd);
                }
            }
        }
    }
    found
}

fn by_path(found: &mut Found, path: &[u8]) {
    if found.set([path, b"", b""]) {
        open_found(found);
    }
}

/// As `execvp(3)` searches, until one of the paths is what was looked for.
///
/// # Safety
///
/// The host's environment is not being changed by another thread, as for that function.
pub(crate) unsafe fn search(name: &[u8], mut is_it: impl FnMut(&CStr) -> bool) {
    let mut found = Found { bytes: [0; PATH_BYTES], length: 0, verdict: Verdict::Unknown };
    // SAFETY: the caller's promise.
    unsafe { search_into(&mut found, name, |found| found.path().is_some_and(&mut is_it)) };
}

/// The real function searches again; this only foresees what it will find.
///
/// # Safety
///
/// As for [`search`].
unsafe fn search_into(found: &mut Found, name: &[u8], mut is_it: impl FnMut(&mut Found) -> bool) {
    if name.contains(&b'/') {
        if found.set([name, b"", b""]) {
            is_it(found);
        }
        return;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { environment::path_variable() }.unwrap_or(b"/bin:/usr/bin");
    for directory in path.split(|&byte| byte == b':') {
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        if found.set([directory, slash, name]) && is_it(found) {
            return;
        }
    }
    found.length = 0;
}

fn open_found(found: &mut Found) -> bool {
    let Some(path) = found.path() else { return false };
    let Ok(fd) = sys::open_read(path) else { return false };
    found.verdict = examine(fd, path.to_bytes());
    if found.verdict != Verdict::Traceable {
        found.set_to_file(fd);
    }
    sys::close(fd);
    true
}

fn examine(fd: Fd, path: &[u8]) -> Verdict {
    // In another root the loader would complain of it on the program's stderr.
    if !environment::library_path().is_some_and(sys::can_read) {
        return Verdict::Untraceable("chroot");
    }
    if is_denied(path, environment::denylist()) {
        return Verdict::Untraceable("denylist");
    }
    if gains_privileges(fd) {
        return Verdict::Untraceable("setuid");
    }
    let mut head = [0u8; 1024];
    const { assert!(HEAD_LEN >= 1024) };
    let length = sys::read_at(fd, 0, &mut head);
    let head = head.get(..length).unwrap_or_default();
    let mut read_at = |at, buffer: &mut [u8]| sys::read_at(fd, at, buffer);
    match identify_with(head, &mut read_at) {
        Image::Elf(elf) if !elf.is_native() => Verdict::Untraceable("architecture"),
        Image::Elf(elf) if elf.interpreter == Interpreter::None => Verdict::Untraceable(STATIC),
        // Its runtime ends the program if any library is loaded before it.
        Image::Elf(_) if needs_asan(head, &mut read_at) => Verdict::Untraceable("asan"),
        // What is neither is run by /bin/sh in execvp(3) and posix_spawnp(3).
        Image::Elf(_) | Image::Script(_) | Image::Other => Verdict::Traceable,
    }
}

/// Whether the program gets what this process has not, by its owner, its group or capabilities of its own: then the
/// loader forgets the preloaded libraries (`AT_SECURE`).
fn gains_privileges(fd: Fd) -> bool {
    const SETUID: u32 = 0o4000;
    // Without the group's right to execute, the setgid bit meant mandatory locking.
    const SETGID: u32 = 0o2010;
    let Ok(status) = sys::file_status(fd) else { return false };
    let user = sys::getuid();
    let gains = status.mode & SETUID != 0 && status.uid != user
        || status.mode & SETGID == SETGID && status.gid != sys::getgid()
        || user != 0 && sys::has_attribute(fd, c"security.capability");
    gains && !sys::has_no_new_privileges()
}

/// `/proc/self/fd/<fd>`, ended by NUL.
fn link_to(fd: Fd) -> [u8; 26] {
    let mut link = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    put_decimal(&mut link, 14, fd);
    link
}

fn put_decimal(text: &mut [u8], at: usize, number: i32) {
    let mut digits = [0u8; 10];
    let mut rest = number.unsigned_abs();
    let mut count = 0usize;
    for digit in &mut digits {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        count = count.wrapping_add(1);
        if rest == 0 {
            break;
        }
    }
    let written = digits.iter().take(count).rev();
    for (to, from) in text.iter_mut().skip(at).zip(written) {
        *to = *from;
    }
}
