//! The objects that the dynamic loader has mapped, in its own order.

use super::symbols::{Name, lookup};
use super::{Auxv, c_bytes};

pub(super) const PT_DYNAMIC: u32 = 2;
const PT_PHDR: u32 = 6;
pub(super) const DT_NULL: usize = 0;
const DT_DEBUG: usize = 21;

/// More objects than any process has; a damaged list must not hold us up.
const MOST_OBJECTS: usize = 4096;

#[repr(C)]
pub(super) struct ProgramHeader {
    pub(super) kind: u32,
    flags: u32,
    offset: usize,
    pub(super) address: usize,
    physical: usize,
    file_size: usize,
    pub(super) memory_size: usize,
    align: usize,
}

/// An entry of a dynamic section.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Dynamic {
    pub(crate) tag: usize,
    pub(crate) value: usize,
}

/// The public head of `struct link_map`, the same in glibc and musl.
#[repr(C)]
pub(crate) struct LinkMap {
    pub(crate) base: usize,
    name: *const u8,
    pub(crate) dynamic: *const Dynamic,
    next: *const LinkMap,
}

#[repr(C)]
struct Debug {
    version: i32,
    first: *const LinkMap,
}

/// Iterates over the mapped objects, the executable first.
pub(crate) struct Objects {
    next: *const LinkMap,
    left: usize,
}

/// What glibc's loader calls the head of its list.
const LIST: &[Name] = &[Name::new("_r_debug")];

impl Objects {
    /// The list of the loader; none where there is no dynamic loader, or it keeps its list to itself.
    ///
    /// # Safety
    ///
    /// `auxv` is this process's, and no library is unloaded meanwhile.
    pub(crate) unsafe fn of(auxv: &Auxv) -> Option<Objects> {
        // SAFETY: the caller's promise.
        let debug = unsafe { debug_of_executable(auxv).or_else(|| debug_of_loader(auxv)) }?;
        // SAFETY: the loader's own struct, which it filled in before any constructor ran.
        let first = unsafe { debug.as_ref() }?.first;
        (!first.is_null()).then_some(Objects { next: first, left: MOST_OBJECTS })
    }
}

/// What `DT_DEBUG` of the executable leads to. Linkers can be told to leave it out.
///
/// # Safety
///
/// As for [`Objects::of`].
unsafe fn debug_of_executable(auxv: &Auxv) -> Option<*const Debug> {
    if auxv.program_headers == 0 {
        return None;
    }
    let first = auxv.program_headers as *const ProgramHeader;
    // SAFETY: the kernel says that so many headers are mapped there.
    let headers = (0..auxv.program_header_count.min(128)).map(|index| unsafe { &*first.add(index) });
    let mut base = 0usize;
    let mut dynamic = None;
    for header in headers {
        match header.kind {
            PT_PHDR => base = auxv.program_headers.wrapping_sub(header.address),
            PT_DYNAMIC => dynamic = Some(header.address),
            _ => {}
        }
    }
    let mut entry = base.wrapping_add(dynamic?) as *const Dynamic;
    // SAFETY: the executable's dynamic section is mapped and ends with DT_NULL.
    unsafe {
        while (*entry).tag != DT_NULL {
            if (*entry).tag == DT_DEBUG {
                let debug = (*entry).value as *const Debug;
                return (!debug.is_null()).then_some(debug);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// By the name that the loader itself exports.
///
/// # Safety
///
/// As for [`Objects::of`].
unsafe fn debug_of_loader(auxv: &Auxv) -> Option<*const Debug> {
    let mut debug = None;
    // SAFETY: the caller's promise.
    unsafe { lookup(&loader(auxv)?, LIST, |_, address| debug = Some(address as *const Debug)) };
    debug
}

/// The dynamic loader, as if it stood in its own list. musl's is the C library, too.
///
/// # Safety
///
/// As for [`Objects::of`].
pub(crate) unsafe fn loader(auxv: &Auxv) -> Option<LinkMap> {
    const MAGIC: [u8; 4] = *b"\x7fELF";
    /// `Elf64_Ehdr`.
    #[repr(C)]
    struct FileHeader {
        magic: [u8; 4],
        others: [u8; 28],
        program_headers: usize,
        more: [u8; 16],
        program_header_count: u16,
        rest: [u8; 6],
    }
    let base = match auxv.loader {
        // The loader itself was started, with the program as its argument, and has put the program's headers into the
        // vector that it handed on. The kernel still knows its own, which lie right behind the head of the file.
        0 => Auxv::from_kernel()?.program_headers.checked_sub(size_of::<FileHeader>())?,
        base => base,
    };
    // SAFETY: the kernel has mapped the loader there, its file from the first byte on.
    let header = unsafe { &*(base as *const FileHeader) };
    if header.magic != MAGIC {
        return None;
    }
    let first = base.wrapping_add(header.program_headers) as *const ProgramHeader;
    for index in 0..usize::from(header.program_header_count).min(128) {
        // SAFETY: the headers lie in the loader's first page, as all linkers lay them down.
        let header = unsafe { &*first.add(index) };
        if header.kind == PT_DYNAMIC {
            let dynamic = base.wrapping_add(header.address) as *const Dynamic;
            return Some(LinkMap::alone(base, dynamic));
        }
    }
    None
}

impl Iterator for Objects {
    type Item = &'static LinkMap;

    fn next(&mut self) -> Option<&'static LinkMap> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: null or an entry of the loader's list, which outlives our use (contract of `of`).
        let object = unsafe { self.next.as_ref() }?;
        self.next = object.next;
        Some(object)
    }
}

impl LinkMap {
    /// A mapped object, as if it stood in a list of its own.
    pub(super) fn alone(base: usize, dynamic: *const Dynamic) -> LinkMap {
        LinkMap { base, name: core::ptr::null(), dynamic, next: core::ptr::null() }
    }

    /// Whether this is the library that this code is part of.
    pub(crate) fn is_ours(&self) -> bool {
        core::ptr::eq(self.dynamic, own_dynamic())
    }
}

/// The path under which the loader opened this library.
///
/// # Safety
///
/// As for [`Objects::of`].
pub(crate) unsafe fn own_library_path(auxv: &Auxv) -> &'static [u8] {
    // SAFETY: the caller's promise; the loader keeps the name as long as the library, which is never unloaded.
    unsafe { Objects::of(auxv) }
        .and_then(|mut objects| objects.find(|object| object.is_ours()))
        .map_or(&[], |object| unsafe { c_bytes(object.name) })
}

#[cfg(preload_so)]
fn own_dynamic() -> *const Dynamic {
    let address: *const Dynamic;
    // SAFETY: computes the address of a symbol that the linker defines in every shared library.
    unsafe {
        core::arch::asm!(
            ".hidden _DYNAMIC",
            "lea {}, [rip + _DYNAMIC]",
            out(reg) address,
            options(nomem, nostack, preserves_flags)
        );
    }
    address
}

#[cfg(not(preload_so))]
fn own_dynamic() -> *const Dynamic {
    core::ptr::null()
}
