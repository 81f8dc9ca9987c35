//! What a mapped object imports: the words by which its code calls functions of others, so that they can be changed.
//!
//! A function that is changed there is changed for that object alone, which keeps its own real one, whatever scope it was
//! looked up in. Nothing is seen by who looks for the name, as nothing is exported.

use super::c_bytes;
use super::objects::{DT_NULL, Dynamic, LinkMap, PT_DYNAMIC, ProgramHeader};
use super::symbols::{DT_STRTAB, DT_SYMTAB, Symbol};
use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use ddtrace::sys::{self, Advice};

const PT_LOAD: u32 = 1;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const DT_NEEDED: usize = 1;
const DT_PLTRELSZ: usize = 2;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_SONAME: usize = 14;
const DT_JMPREL: usize = 23;
const DT_RELACOUNT: usize = 0x6fff_fff9;

/// Kinds of relocations that write the address of a function.
const R_64: u32 = 1;
const R_GLOB_DAT: u32 = 6;
const R_JUMP_SLOT: u32 = 7;

const PAGE: usize = 4096;

/// `struct dl_phdr_info`, as far as all libcs have it since they have it.
#[repr(C)]
pub(crate) struct Info {
    base: usize,
    name: *const u8,
    headers: *const ProgramHeader,
    header_count: u16,
    /// How many objects have been loaded so far.
    adds: u64,
}

/// `dl_iterate_phdr`.
pub(crate) type Iterate =
    unsafe extern "C" fn(unsafe extern "C" fn(*const Info, usize, *mut c_void) -> i32, *mut c_void) -> i32;

/// An object that the loader has mapped. No longer than it is shown.
pub(crate) struct Mapped {
    pub(crate) map: LinkMap,
    /// Where it lies.
    low: usize,
    high: usize,
    /// What the loader protects when all is filled in.
    protected: (usize, usize),
    /// How many objects had been loaded when it was shown.
    pub(crate) adds: u64,
}

/// A word that holds the address of a function of another object.
pub(crate) struct Import<'a> {
    pub(crate) name: &'a [u8],
    word: &'a AtomicUsize,
    object: &'a Mapped,
    /// It may still lead into the object itself, from where the loader is asked at the first call.
    is_lazy: bool,
}

#[repr(C)]
struct Relocation {
    place: usize,
    kind: u32,
    symbol: u32,
    addend: usize,
}

/// Shows every mapped object, the executable first, until `show` has seen enough. Nothing is unloaded meanwhile.
pub(crate) fn each_mapped(iterate: Iterate, show: &mut dyn FnMut(&Mapped) -> bool) {
    unsafe extern "C" fn shown(info: *const Info, size: usize, data: *mut c_void) -> i32 {
        // SAFETY: what `each_mapped` has handed over below, and the loader's own struct.
        let (show, info) = unsafe { (&mut *data.cast::<&mut dyn FnMut(&Mapped) -> bool>(), &*info) };
        if size < size_of::<Info>() {
            return 1;
        }
        // SAFETY: the object is mapped while it is shown.
        match unsafe { Mapped::of(info) } {
            Some(mapped) => i32::from(!show(&mapped)),
            None => 0,
        }
    }
    let mut show = show;
    // SAFETY: the function calls back with what it was given, and only until it returns.
    unsafe { iterate(shown, (&raw mut show).cast()) };
}

impl Mapped {
    /// # Safety
    ///
    /// The object is mapped.
    unsafe fn of(info: &Info) -> Option<Mapped> {
        let mut mapped = Mapped {
            map: LinkMap::alone(info.base, core::ptr::null()),
            low: usize::MAX,
            high: 0,
            protected: (0, 0),
            adds: info.adds,
        };
        for index in 0..usize::from(info.header_count) {
            // SAFETY: the loader says that so many headers are there.
            let header = unsafe { &*info.headers.add(index) };
            let start = info.base.wrapping_add(header.address);
            let end = start.wrapping_add(header.memory_size);
            match header.kind {
                PT_LOAD => (mapped.low, mapped.high) = (mapped.low.min(start), mapped.high.max(end)),
                PT_DYNAMIC => mapped.map = LinkMap::alone(info.base, start as *const Dynamic),
                // The loader protects whole pages.
                PT_GNU_RELRO => mapped.protected = (start, end & !PAGE.wrapping_sub(1)),
                _ => {}
            }
        }
        (!mapped.map.dynamic.is_null()).then_some(mapped)
    }

    /// The entries of the dynamic section.
    fn entries(&self) -> impl Iterator<Item = Dynamic> {
        let mut entry = self.map.dynamic;
        core::iter::from_fn(move || {
            // SAFETY: the section of a mapped object, which ends with DT_NULL.
            unsafe {
                let found = *entry;
                entry = entry.add(1);
                (found.tag != DT_NULL).then_some(found)
            }
        })
    }

    /// glibc stores absolute addresses in the dynamic section, musl relative ones.
    fn address(&self, value: usize) -> usize {
        if value < self.map.base { value.wrapping_add(self.map.base) } else { value }
    }

    fn entry(&self, tag: usize) -> usize {
        self.entries().find(|entry| entry.tag == tag).map_or(0, |entry| entry.value)
    }

    /// Whether the address lies in the object.
    pub(crate) fn holds(&self, address: usize) -> bool {
        self.low <= address && address < self.high
    }

    /// A text that an entry names.
    ///
    /// # Safety
    ///
    /// The offset is the object's own.
    unsafe fn text(&self, strings: usize, offset: usize) -> &[u8] {
        // SAFETY: the string table of a mapped object; its texts end with NUL.
        unsafe { c_bytes(strings.wrapping_add(offset) as *const u8) }
    }

    /// By what name others need the object.
    pub(crate) fn own_name(&self) -> &[u8] {
        let strings = self.address(self.entry(DT_STRTAB));
        match self.entry(DT_SONAME) {
            0 => &[],
            // SAFETY: the object's own offset.
            offset => unsafe { self.text(strings, offset) },
        }
    }

    /// Whether one of the objects that it needs by name is one that `matches`.
    pub(crate) fn needs(&self, mut matches: impl FnMut(&[u8]) -> bool) -> bool {
        let strings = self.address(self.entry(DT_STRTAB));
        // SAFETY: the object's own offsets.
        self.entries().any(|entry| entry.tag == DT_NEEDED && matches(unsafe { self.text(strings, entry.value) }))
    }

    /// Shows every word that holds the address of something imported whose name begins with one of the letters.
    pub(crate) fn each_import(&self, letters: &[u8], show: &mut dyn FnMut(&Import<'_>)) {
        let (mut strings, mut symbols, mut tables) = (0, 0, [(0, 0), (0, 0)]);
        let mut relative = 0usize;
        for entry in self.entries() {
            let [(all, all_size), (calls, calls_size)] = &mut tables;
            match entry.tag {
                DT_STRTAB => strings = self.address(entry.value),
                DT_SYMTAB => symbols = self.address(entry.value),
                DT_RELA => *all = self.address(entry.value),
                DT_RELASZ => *all_size = entry.value,
                DT_RELACOUNT => relative = entry.value,
                DT_JMPREL => *calls = self.address(entry.value),
                DT_PLTRELSZ => *calls_size = entry.value,
                _ => {}
            }
        }
        if strings == 0 || symbols == 0 {
            return;
        }
        for (number, (table, size)) in tables.into_iter().enumerate() {
            let count = size.checked_div(size_of::<Relocation>()).unwrap_or(0);
            // Those that need no symbol come first.
            let first = if number == 0 { relative } else { 0 };
            if table == 0 {
                continue;
            }
            for index in first..count {
                // SAFETY: the table of a mapped object, with so many entries.
                let relocation = unsafe { &*(table as *const Relocation).add(index) };
                if !matches!(relocation.kind, R_64 | R_GLOB_DAT | R_JUMP_SLOT) || relocation.symbol == 0 {
                    continue;
                }
                // SAFETY: the relocation names a symbol of the object's own table.
                let symbol = unsafe { &*(symbols as *const Symbol).add(relocation.symbol as usize) };
                let name = strings.wrapping_add(symbol.name as usize) as *const u8;
                // SAFETY: a name has at least its NUL.
                if symbol.section != 0 || !letters.contains(unsafe { &*name }) {
                    continue;
                }
                let place = self.map.base.wrapping_add(relocation.place);
                if place % align_of::<AtomicUsize>() != 0 || !self.holds(place) {
                    continue;
                }
                show(&Import {
                    // SAFETY: as above.
                    name: unsafe { self.text(strings, symbol.name as usize) },
                    // SAFETY: an aligned word of the object, which the loader writes at once, too.
                    word: unsafe { &*(place as *const AtomicUsize) },
                    object: self,
                    is_lazy: relocation.kind == R_JUMP_SLOT,
                });
            }
        }
    }
}

impl Import<'_> {
    /// The address that the word holds. `None` where the loader will look for it at the first call.
    pub(crate) fn address(&self) -> Option<usize> {
        let address = self.word.load(Ordering::Relaxed);
        (!self.is_lazy || !self.object.holds(address)).then_some(address)
    }

    /// Puts another address there. `is_alone`: no other thread can be loading the object.
    pub(crate) fn set(&self, address: usize, is_alone: bool) -> Set {
        let place = self.word.as_ptr() as usize;
        let (start, end) = self.object.protected;
        if !(start..end).contains(&place) {
            self.word.store(address, Ordering::Release);
            return Set::Done;
        }
        let Some(page) = NonNull::new((place & !PAGE.wrapping_sub(1)) as *mut u8) else { return Set::Never };
        // The loader fills in the words, and then protects the page. If it has still to do that, on another thread, it must
        // not come between our two steps.
        match is_writable(page) {
            _ if is_alone => {}
            Some(false) => {}
            Some(true) => return Set::Later,
            None => return Set::Never,
        }
        // SAFETY: a page of the object that only the loader ever wrote to, and does no more.
        unsafe {
            if sys::protect(page, PAGE, true).is_err() {
                return Set::Never;
            }
            self.word.store(address, Ordering::Release);
            let _ = sys::protect(page, PAGE, false);
        }
        Set::Done
    }
}

/// What has become of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Done,
    /// The object is still being loaded.
    Later,
    Never,
}

/// Whether a page can be written; `None` before Linux 5.14, which does not tell.
fn is_writable(page: NonNull<u8>) -> Option<bool> {
    let mut own = 0usize;
    let here = NonNull::new((&raw mut own as usize & !PAGE.wrapping_sub(1)) as *mut u8)?;
    // SAFETY: mapped pages, one of them of the stack; the advice changes nothing but when memory is allocated.
    let can_write = |page| unsafe { sys::advise(page, PAGE, Advice::PopulateWrite) }.is_ok();
    if can_write(page) { Some(true) } else { can_write(here).then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    unsafe extern "C" {
        #[link_name = "dl_iterate_phdr"]
        fn iterate(back: unsafe extern "C" fn(*const Info, usize, *mut c_void) -> i32, data: *mut c_void) -> i32;
        safe fn getppid() -> i32;
    }

    extern "C" fn nobody() -> i32 {
        -17
    }

    fn change(to: impl Fn(usize) -> usize) {
        each_mapped(iterate, &mut |program| {
            program.each_import(b"g", &mut |import| {
                if import.name == b"getppid" {
                    let now = import.address().unwrap_or_default();
                    assert!(import.set(to(now), true) == Set::Done);
                }
            });
            false
        });
    }

    #[test]
    fn what_the_program_imports_can_be_changed_for_it() {
        let before = getppid();
        let mut real = Vec::new();
        each_mapped(iterate, &mut |program| {
            program.each_import(b"g", &mut |import| {
                if import.name == b"getppid" {
                    real.push(import.address().unwrap());
                }
            });
            assert!(program.needs(|name| name.starts_with(b"libc.")) && program.own_name().is_empty());
            assert!(program.holds(nobody as *const () as usize) && !program.holds(real[0]));
            false
        });
        change(|_| nobody as *const () as usize);
        let changed = getppid();
        change(|_| real[0]);
        assert_eq!((changed, getppid()), (-17, before));
        let mut count = 0;
        each_mapped(iterate, &mut |_| {
            count += 1;
            true
        });
        assert!(count > 2, "the program, its libraries and the kernel's");
    }

    #[test]
    fn whether_a_page_can_be_written() {
        let mapping = sys::map_private(2 * PAGE).unwrap();
        assert_ne!(is_writable(mapping), Some(false));
        // SAFETY: memory of our own, which nobody else uses.
        unsafe {
            sys::protect(mapping, PAGE, false).unwrap();
            assert_ne!(is_writable(mapping), Some(true));
            sys::unmap(mapping, 2 * PAGE);
        }
    }
}
