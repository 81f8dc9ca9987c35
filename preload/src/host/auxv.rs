//! The auxiliary vector: what the kernel told the process at its start.

use ddtrace::sys;

const AT_PHDR: usize = 3;
const AT_PHNUM: usize = 5;
const AT_SECURE: usize = 23;

/// The entries that are of use.
#[derive(Clone, Copy, Default)]
pub(crate) struct Auxv {
    /// Address of the program headers of the executable.
    pub(crate) program_headers: usize,
    /// How many there are.
    pub(crate) program_header_count: usize,
    /// The program runs with rights that its starter did not have.
    pub(crate) secure: bool,
}

impl Auxv {
    fn note(&mut self, kind: usize, value: usize) {
        match kind {
            AT_PHDR => self.program_headers = value,
            AT_PHNUM => self.program_header_count = value,
            AT_SECURE => self.secure = value != 0,
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

    /// From the kernel, where the stack is not known.
    pub(crate) fn from_kernel() -> Option<Auxv> {
        let mut words = [0usize; 64];
        let bytes = size_of_val(&words);
        // SAFETY: the array's own bytes; every bit pattern is a valid usize.
        let buffer = unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), bytes) };
        // Without it no real function is found, so it is asked for in both ways: /proc may not be mounted.
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
