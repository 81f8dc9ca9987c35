//! The auxiliary vector: what the kernel told the process at its start.

use ddtrace::sys;

const AT_PHDR: usize = 3;
const AT_PHNUM: usize = 5;
const AT_BASE: usize = 7;
const AT_SECURE: usize = 23;
const AT_EXECFN: usize = 31;

/// The entries that are of use.
#[derive(Clone, Copy, Default)]
pub(crate) struct Auxv {
    /// Address of the program headers of the executable.
    pub(crate) program_headers: usize,
    /// How many there are.
    pub(crate) program_header_count: usize,
    /// Where the program's dynamic loader is; zero where the loader itself was started.
    pub(crate) loader: usize,
    /// The program runs with rights that its starter did not have.
    pub(crate) secure: bool,
    /// Address of the name by which the program was started, a C string above the stack; zero where it is not told.
    pub(crate) program_name: usize,
}

impl Auxv {
    fn note(&mut self, kind: usize, value: usize) {
        match kind {
            AT_PHDR => self.program_headers = value,
            AT_PHNUM => self.program_header_count = value,
            AT_BASE => self.loader = value,
            AT_SECURE => self.secure = value != 0,
            AT_EXECFN => self.program_name = value,
            _ => {}
        }
    }

    /// From the stack: it lies behind the environment.
    ///
    /// # Safety
    ///
    /// `envp` is the environment array as the kernel laid it onto the stack.
    pub(crate) unsafe fn behind(envp: *const *const u8) -> Auxv {
        let mut auxv = Auxv::default();
        let mut word = envp.cast::<usize>();
        // SAFETY: the array ends with a null, the vector behind it with AT_NULL; both are the kernel's.
        unsafe {
            while *word != 0 {
                word = word.add(1);
            }
            word = word.add(1);
            while *word != 0 {
                auxv.note(*word, *word.add(1));
                word = word.add(2);
            }
        }
        auxv
    }

    /// From wherever it can be had, where the environment is not known. Without it no real function is found, and
    /// /proc need not be mounted.
    pub(crate) fn find() -> Option<Auxv> {
        Auxv::from_kernel().or_else(|| {
            let here = 0usize;
            // SAFETY: nothing is read that the kernel does not say is readable.
            unsafe { Auxv::above(core::ptr::from_ref(&here)) }
        })
    }

    /// From the first thread's stack, whose upper end it is near: the entries that the kernel has always laid down in
    /// this order are looked for, from `here` upwards.
    ///
    /// # Safety
    ///
    /// `here` lies on the stack; words above it may be read as far as they are mapped.
    unsafe fn above(here: *const usize) -> Option<Auxv> {
        const AT_NULL: usize = 0;
        const AT_PHENT: usize = 4;
        const AT_PAGESZ: usize = 6;
        const AT_CLKTCK: usize = 17;
        // As much as arguments and environment take by default, and what functions before this one have used.
        const MOST_BYTES: usize = 4 << 20;
        const PAGE: usize = 4096;
        const PROGRAM_HEADER: usize = 56;
        // Kinds and, where it is known, the value behind them: without values this table itself could be taken for it.
        const PATTERN: [(usize, usize); 7] = [
            (0, AT_PAGESZ),
            (1, PAGE),
            (2, AT_CLKTCK),
            (4, AT_PHDR),
            (6, AT_PHENT),
            (7, PROGRAM_HEADER),
            (8, AT_PHNUM),
        ];
        let (first, mut known_page) = (here as usize, 0);
        let mut word = |at: usize| {
            if at / PAGE != known_page {
                known_page = sys::is_readable(at).then_some(at / PAGE)?;
            }
            // SAFETY: aligned, as `here` is, and on a page that can be read.
            Some(unsafe { *(at as *const usize) })
        };
        let entry = |start: usize, index: usize| start.wrapping_add(index.wrapping_mul(size_of::<usize>()));
        let mut start = first;
        while start < first.wrapping_add(MOST_BYTES) {
            let mut matches = true;
            for (index, kind) in PATTERN {
                if word(entry(start, index))? != kind {
                    matches = false;
                    break;
                }
            }
            if matches {
                break;
            }
            start = entry(start, 1);
        }
        let mut auxv = Auxv::default();
        for pair in 0..32 {
            match word(entry(start, pair * 2))? {
                AT_NULL => return Some(auxv),
                kind => auxv.note(kind, word(entry(start, pair * 2 + 1))?),
            }
        }
        None
    }

    /// As the kernel made it.
    pub(super) fn from_kernel() -> Option<Auxv> {
        let mut words = [0usize; 64];
        let bytes = size_of_val(&words);
        // SAFETY: the array's own bytes; every bit pattern is a valid usize.
        let buffer = unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), bytes) };
        if sys::auxiliary_vector(buffer).is_err() {
            let fd = sys::open_read(c"/proc/self/auxv").ok()?;
            let read = sys::read_full(fd, buffer);
            sys::close(fd);
            read.ok()?;
        }
        let mut auxv = Auxv::default();
        let (pairs, _) = words.as_chunks::<2>();
        for &[kind, value] in pairs {
            auxv.note(kind, value);
        }
        Some(auxv)
    }
}
