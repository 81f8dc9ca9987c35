//! Threads that Python ends because it is ending itself.
//!
//! Up to 3.13 an interpreter that is ending lets no daemon thread have its lock again, but ends the thread wherever it asks
//! for it, by `pthread_exit`. glibc carries that out as an exception through all frames of the thread. Frames of Rust are
//! not made for it: glibc aborts the process, or values are dropped without the lock. From 3.14 on (gh-87135) CPython keeps
//! such a thread where it is until the process ends. The same is done here in older releases, for threads that are in our
//! code, and for no others: of CPython's own pointers, the one to `pthread_exit` is replaced.

use crate::ffi::symbol;
use pyo3::Python;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

unsafe extern "C-unwind" {
    fn pthread_exit(value: *mut c_void) -> !;
}

type Trace = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;

unsafe extern "C" {
    fn _Unwind_Backtrace(trace: Trace, argument: *mut c_void) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

const URC_NO_REASON: c_int = 0;
const URC_NORMAL_STOP: c_int = 4;

/// Where our code begins and ends in memory.
static BEGIN: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// Has threads that are in our code stay there when the interpreter ends. Where that cannot be had, nothing changes.
pub(crate) fn keep_threads_in_our_code(py: Python<'_>) {
    if py.version_info() >= (3, 14) {
        return;
    }
    let Some(python) = symbol(c"PyThread_exit_thread") else { return };
    let ours: unsafe extern "C-unwind" fn(*mut c_void) -> ! = exit_thread;
    let mut found = Found { python: python as usize, ours: ours as usize, slot: None };
    // SAFETY: the callback keeps to what `dl_iterate_phdr` promises, and the argument lives as long as the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut found).cast()) };
    let Some(slot) = found.slot.filter(|_| END.load(Ordering::Relaxed) != 0) else { return };
    slot.replace(ours as *mut c_void);
}

/// What CPython calls in place of `pthread_exit`.
///
/// # Safety
///
/// As for `pthread_exit`; no value is to be dropped in this frame, which may be unwound.
unsafe extern "C-unwind" fn exit_thread(value: *mut c_void) -> ! {
    if is_in_our_code() {
        loop {
            // SAFETY: waits for a signal, and for the next one, until the process ends.
            unsafe { libc::pause() };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { pthread_exit(value) }
}

/// What the frames of this thread have shown so far.
#[derive(Default)]
struct Seen {
    someone_elses: bool,
    ours_below: bool,
}

fn is_in_our_code() -> bool {
    let mut seen = Seen::default();
    // SAFETY: the callback takes what it is given here, which lives as long as the call.
    unsafe { _Unwind_Backtrace(look, (&raw mut seen).cast()) };
    seen.ours_below
}

/// # Safety
///
/// To be called by `_Unwind_Backtrace` with a [`Seen`].
unsafe extern "C" fn look(context: *mut c_void, seen: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (seen, address) = unsafe { (&mut *seen.cast::<Seen>(), _Unwind_GetIP(context)) };
    // A call may be the last that a function does: the address is the one behind it.
    let is_ours = (BEGIN.load(Ordering::Relaxed)..END.load(Ordering::Relaxed)).contains(&address.wrapping_sub(1));
    // The first frames are those of this file.
    seen.someone_elses |= !is_ours;
    seen.ours_below = is_ours && seen.someone_elses;
    if seen.ours_below { URC_NORMAL_STOP } else { URC_NO_REASON }
}

/// A pointer of CPython's to `pthread_exit`.
struct Slot {
    place: *const AtomicPtr<c_void>,
    /// The loader has made its page read-only.
    is_sealed: bool,
}

impl Slot {
    fn replace(&self, by: *mut c_void) {
        let page_size = page_size();
        let page = (self.place as usize & !(page_size - 1)) as *mut c_void;
        // SAFETY: the page is one of the object's own data; other threads read in it, which they can all the time.
        let protect = |how| unsafe { libc::mprotect(page, page_size, how) } == 0;
        if self.is_sealed && !protect(libc::PROT_READ | libc::PROT_WRITE) {
            return;
        }
        // SAFETY: the place of a pointer, aligned as the ABI demands, which can be written now; the loader itself writes it
        // in the same way while other threads call through it.
        unsafe { &*self.place }.store(by, Ordering::Release);
        if self.is_sealed {
            protect(libc::PROT_READ);
        }
    }
}

/// What is looked for among the objects in memory.
struct Found {
    python: usize,
    ours: usize,
    slot: Option<Slot>,
}

/// # Safety
///
/// To be called by `dl_iterate_phdr` with a [`Found`].
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Found>()) };
    // SAFETY: the loader says that so many headers are there.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let object = Object { base: info.dlpi_addr as usize, headers };
    if let Some((begin, end)) = object.code_with(found.ours) {
        BEGIN.store(begin, Ordering::Relaxed);
        END.store(end, Ordering::Relaxed);
    }
    if object.code_with(found.python).is_some() {
        // SAFETY: the object is mapped while the loader shows it, and CPython's is never unloaded.
        found.slot = unsafe { object.slot_of(c"pthread_exit") };
    }
    0
}

/// An object that the loader has mapped.
struct Object<'a> {
    base: usize,
    headers: &'a [libc::Elf64_Phdr],
}

/// Entries of a dynamic section (ELF, `elf.h`).
const DT_PLTRELSZ: usize = 2;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_JMPREL: usize = 23;

#[repr(C)]
struct Relocation {
    offset: usize,
    info: u64,
    addend: i64,
}

impl Object<'_> {
    /// Where the segment begins and ends that has this address in it, if it is one of code.
    fn code_with(&self, address: usize) -> Option<(usize, usize)> {
        let code = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0;
        let bounds = |header: &libc::Elf64_Phdr| self.bounds(header);
        self.headers.iter().filter(code).map(bounds).find(|(begin, end)| (*begin..*end).contains(&address))
    }

    fn bounds(&self, header: &libc::Elf64_Phdr) -> (usize, usize) {
        let begin = self.base.wrapping_add(header.p_vaddr as usize);
        (begin, begin.wrapping_add(header.p_memsz as usize))
    }

    fn header(&self, kind: u32) -> Option<&libc::Elf64_Phdr> {
        self.headers.iter().find(|header| header.p_type == kind)
    }

    /// The pointer through which a function is called.
    ///
    /// # Safety
    ///
    /// The object is mapped, and stays so.
    unsafe fn slot_of(&self, function: &CStr) -> Option<Slot> {
        let mut entry = self.bounds(self.header(libc::PT_DYNAMIC)?).0 as *const [usize; 2];
        let (mut text, mut symbols) = (0, 0);
        let mut tables = [(0, 0); 2];
        loop {
            // SAFETY: a dynamic section is mapped, and ends with an entry of zeroes.
            let [tag, value] = unsafe { entry.read() };
            match tag {
                0 => break,
                DT_STRTAB => text = value,
                DT_SYMTAB => symbols = value,
                DT_JMPREL => tables[0].0 = value,
                DT_PLTRELSZ => tables[0].1 = value,
                DT_RELA => tables[1].0 = value,
                DT_RELASZ => tables[1].1 = value,
                _ => {}
            }
            entry = entry.wrapping_add(1);
        }
        if text == 0 || symbols == 0 {
            return None;
        }
        // glibc has made addresses of these entries, unless the section cannot be written.
        let address = |value: usize| if value < self.base { self.base.wrapping_add(value) } else { value };
        let (text, symbols) = (address(text), address(symbols));
        for (begin, size) in tables.into_iter().filter(|table| table.0 != 0) {
            let begin = address(begin) as *const Relocation;
            // SAFETY: the object's own table of relocations, with its own size.
            let table = unsafe { std::slice::from_raw_parts(begin, size / size_of::<Relocation>()) };
            for relocation in table.iter().filter(|relocation| relocation.info >> 32 != 0) {
                // SAFETY: the loader has resolved this symbol of the object's, so it is in the table, and so is its name.
                let name = unsafe {
                    let symbol = (symbols as *const libc::Elf64_Sym).add((relocation.info >> 32) as usize);
                    CStr::from_ptr((text as *const std::ffi::c_char).add((*symbol).st_name as usize))
                };
                if name == function && relocation.addend == 0 {
                    let place = self.base.wrapping_add(relocation.offset);
                    return Some(Slot { place: place as *const AtomicPtr<c_void>, is_sealed: self.is_sealed(place) });
                }
            }
        }
        None
    }

    /// Whether the loader lets nobody write there when all is relocated: whole pages of it.
    fn is_sealed(&self, place: usize) -> bool {
        self.header(libc::PT_GNU_RELRO).is_some_and(|header| {
            let (begin, end) = self.bounds(header);
            let page = |address: usize| address & !(page_size() - 1);
            (page(begin)..page(end)).contains(&place)
        })
    }
}

fn page_size() -> usize {
    // SAFETY: asks for a constant of the system's.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
