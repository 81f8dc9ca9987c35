//! The objects that the dynamic loader has mapped, in its own order.

use super::{Auxv, c_bytes};

const PT_DYNAMIC: u32 = 2;
const PT_PHDR: u32 = 6;
const DT_NULL: usize = 0;
const DT_DEBUG: usize = 21;

/// More objects than any process has; a damaged list must not hold us up.
const MOST_OBJECTS: usize = 4096;

#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    memory_size: usize,
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

impl Objects {
    /// The list of the loader that `DT_DEBUG` of the executable leads to; none where there is no dynamic loader.
    ///
    /// # Safety
    ///
    /// `auxv` is this process's, and no library is unloaded meanwhile.
    pub(crate) unsafe fn of(auxv: &Auxv) -> Option<Objects> {
        if auxv.program_headers == 0 {
            return None;
        }
        let first = auxv.program_headers as *const ProgramHeader;
        let mut base = 0usize;
        let mut dynamic = None;
        for index in 0..auxv.program_header_count.min(128) {
            // SAFETY: the kernel says that so many headers are mapped there.
            let header = unsafe { &*first.add(index) };
            match header.kind {
                PT_PHDR => base = auxv.program_headers.wrapping_sub(header.address),
                PT_DYNAMIC => dynamic = Some(header.address),
                _ => {}
            }
        }
        let mut entry = base.wrapping_add(dynamic?) as *const Dynamic;
        // SAFETY: the executable's dynamic section is mapped and ends with DT_NULL; DT_DEBUG was filled in by the
        // loader before any constructor ran.
        unsafe {
            while (*entry).tag != DT_NULL {
                if (*entry).tag == DT_DEBUG {
                    let debug = (*entry).value as *const Debug;
                    if debug.is_null() {
                        return None;
                    }
                    return Some(Objects { next: (*debug).first, left: MOST_OBJECTS });
                }
                entry = entry.add(1);
            }
        }
        None
    }
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
