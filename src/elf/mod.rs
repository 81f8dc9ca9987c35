//! What a file is, from its first bytes: an ELF program and its C library, a script and its interpreter, or neither.
//!
//! The launcher asks before it starts a program, the exec hooks ask before they hand the preload on: a 32-bit program
//! prints a line on stderr when it is given a 64-bit library, and a program with the shared AddressSanitizer runtime
//! refuses to start.
//!
//! In-process code: no allocation, no reachable panic. Whatever a header claims is only ever a place to look at.

mod dynamic;
mod notes;
mod script;

pub use dynamic::{each_library, is_asan_runtime, needs_asan};
pub use notes::is_go;
pub use script::Script;

/// How much of a file its callers read for [`identify`]; linkers put the program headers into the first few hundred.
pub const HEAD_LEN: usize = 4096;

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Image<'a> {
    /// An ELF program.
    Elf(ElfImage),
    /// A text that names its interpreter in a `#!` line.
    Script(Script<'a>),
    /// Anything else; `execvp(3)` gives such a file to the shell, the kernel refuses it unless `binfmt_misc` knows it.
    Other,
}

/// What matters of an ELF program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ElfImage {
    /// 64-bit (`ELFCLASS64`) or 32-bit.
    pub class64: bool,
    /// Byte order.
    pub little_endian: bool,
    /// `e_machine`, such as 62 for x86-64 and 183 for AArch64.
    pub machine: u16,
    /// Loaded where it was linked for, or anywhere.
    pub kind: ElfKind,
    /// Who loads its libraries.
    pub interpreter: Interpreter,
}

impl ElfImage {
    /// Whether a library that is built like this code can be loaded into the program: same class, byte order, machine.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.class64 == cfg!(target_pointer_width = "64")
            && self.little_endian == cfg!(target_endian = "little")
            && self.machine == NATIVE_MACHINE
    }
}

/// `e_machine` of what this code is compiled for; zero (`EM_NONE`) where the project has no number for it.
pub const NATIVE_MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
    243
} else if cfg!(target_arch = "s390x") {
    22
} else if cfg!(target_arch = "powerpc64") {
    21
} else if cfg!(target_arch = "arm") {
    40
} else if cfg!(target_arch = "x86") {
    3
} else {
    0
};

/// The kinds of ELF file that the kernel executes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElfKind {
    /// `ET_EXEC`.
    Exec,
    /// `ET_DYN`: position-independent programs, and shared libraries.
    Dyn,
}

/// The dynamic loader that a program asks for (`PT_INTERP`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interpreter {
    /// None: statically linked, position-independent or not (or the dynamic loader itself).
    None,
    /// glibc's.
    Glibc,
    /// musl's.
    Musl,
    /// Another one, such as Android's or uClibc's.
    Other,
    /// The program headers or the name lie beyond what was read, or make no sense.
    Unknown,
}

impl Interpreter {
    /// Tells the C library by its loader's file name, whose forms the ABI of each architecture fixes.
    #[must_use]
    pub fn of_loader(path: &[u8]) -> Self {
        let name = base_name(path);
        if name.starts_with(b"ld-musl-") {
            Interpreter::Musl
        } else if name.starts_with(b"ld-linux") || name.starts_with(b"ld64.so.") || name.starts_with(b"ld.so.") {
            Interpreter::Glibc
        } else {
            Interpreter::Other
        }
    }
}

/// The part of a path behind its last slash.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Says what a file is. `head` is its beginning: at most [`HEAD_LEN`] bytes, fewer only if the file has no more.
#[must_use]
pub fn identify(head: &[u8]) -> Image<'_> {
    identify_with(head, &mut |_, _| 0)
}

/// As [`identify`], but looks further into the file where `head` does not have the program headers (tools that edit
/// programs move them to the end). `read_at` fills a buffer from an offset and returns how many bytes it got.
#[must_use]
pub fn identify_with<'a>(head: &'a [u8], read_at: &mut impl FnMut(u64, &mut [u8]) -> usize) -> Image<'a> {
    if let Some(script) = Script::parse(head) {
        return Image::Script(script);
    }
    match Header::parse(head) {
        Some(header) => Image::Elf(ElfImage {
            class64: header.format.class64,
            little_endian: header.format.little_endian,
            machine: header.machine,
            kind: header.kind,
            interpreter: header.interpreter(head, read_at),
        }),
        None => Image::Other,
    }
}

/// The longest name that the kernel takes for a loader (`PATH_MAX`) is of no use here: real ones are below 128 bytes,
/// store paths of Nix and Guix included.
const LOADER_NAME_MAX: usize = 256;

/// More program headers than any linker writes.
const SEGMENTS_MAX: u64 = 128;

/// The two properties that decide how every number of the file is read.
#[derive(Clone, Copy)]
struct Format {
    class64: bool,
    little_endian: bool,
}

impl Format {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = *bytes.get(at..)?.first_chunk()?;
        Some(if self.little_endian { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = *bytes.get(at..)?.first_chunk()?;
        Some(if self.little_endian { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) })
    }

    /// A number of the class's own width.
    fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        if !self.class64 {
            return self.u32(bytes, at).map(u64::from);
        }
        let raw = *bytes.get(at..)?.first_chunk()?;
        Some(if self.little_endian { u64::from_le_bytes(raw) } else { u64::from_be_bytes(raw) })
    }

    /// The offset that a field has in 64-bit or in 32-bit files.
    fn either(self, in_64: usize, in_32: usize) -> usize {
        if self.class64 { in_64 } else { in_32 }
    }
}

/// The fields of the ELF header that lead to the program headers.
struct Header {
    format: Format,
    kind: ElfKind,
    machine: u16,
    segments_at: u64,
    segments: u64,
}

/// One program header.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    file_size: u64,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;

impl Header {
    fn parse(head: &[u8]) -> Option<Self> {
        let (magic, rest) = head.split_at_checked(4)?;
        if magic != b"\x7fELF" {
            return None;
        }
        let format = Format {
            class64: match rest.first()? {
                1 => false,
                2 => true,
                _ => return None,
            },
            little_endian: match rest.get(1)? {
                1 => true,
                2 => false,
                _ => return None,
            },
        };
        let kind = match format.u16(head, 16)? {
            2 => ElfKind::Exec,
            3 => ElfKind::Dyn,
            _ => return None,
        };
        let machine = format.u16(head, 18)?;
        let segments_at = format.word(head, format.either(32, 28))?;
        let entry_size = format.u16(head, format.either(54, 42))?;
        let segments = u64::from(format.u16(head, format.either(56, 44))?);
        // The kernel refuses any other entry size; no segments at all then means "unknown" to the callers.
        let segments = if usize::from(entry_size) == format.either(56, 32) { segments } else { 0 };
        Some(Header { format, kind, machine, segments_at, segments })
    }

    /// The program header with the number `index`: from `head` if it is in there, else from the file.
    fn segment(&self, index: u64, head: &[u8], read_at: &mut impl FnMut(u64, &mut [u8]) -> usize) -> Option<Segment> {
        let size = self.format.either(56, 32);
        let at = self.segments_at.checked_add(index.wrapping_mul(size as u64))?;
        let mut buffer = [0u8; 56];
        let entry = part(head, at, size, &mut buffer, read_at)?;
        let format = self.format;
        Some(Segment {
            kind: format.u32(entry, 0)?,
            offset: format.word(entry, format.either(8, 4))?,
            address: format.word(entry, format.either(16, 8))?,
            file_size: format.word(entry, format.either(32, 16))?,
        })
    }

    fn interpreter(&self, head: &[u8], read_at: &mut impl FnMut(u64, &mut [u8]) -> usize) -> Interpreter {
        if self.segments == 0 || self.segments > SEGMENTS_MAX {
            return Interpreter::Unknown;
        }
        for index in 0..self.segments {
            let Some(segment) = self.segment(index, head, read_at) else { return Interpreter::Unknown };
            if segment.kind == PT_INTERP {
                return loader_name(&segment, head, read_at).unwrap_or(Interpreter::Unknown);
            }
        }
        Interpreter::None
    }
}

fn loader_name(
    segment: &Segment,
    head: &[u8],
    read_at: &mut impl FnMut(u64, &mut [u8]) -> usize,
) -> Option<Interpreter> {
    let size = usize::try_from(segment.file_size).ok()?;
    let mut buffer = [0u8; LOADER_NAME_MAX];
    let name = part(head, segment.offset, size, &mut buffer, read_at)?;
    Some(Interpreter::of_loader(name.split(|&byte| byte == 0).next()?))
}

/// `size` bytes of the file at `at`: from `head` if they are all there, else read into `buffer`; `None` if they can't
/// be had or do not fit.
fn part<'a>(
    head: &'a [u8],
    at: u64,
    size: usize,
    buffer: &'a mut [u8],
    read_at: &mut impl FnMut(u64, &mut [u8]) -> usize,
) -> Option<&'a [u8]> {
    let in_head = usize::try_from(at).ok().and_then(|start| head.get(start..start.checked_add(size)?));
    if in_head.is_some() {
        return in_head;
    }
    let buffer = buffer.get_mut(..size)?;
    if read_at(at, buffer) != size {
        return None;
    }
    Some(buffer)
}

#[cfg(test)]
mod tests;
