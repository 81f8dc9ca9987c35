//! What libraries are mapped, and who calls them.

use super::{COPIES, DLOPEN, DLOPEN_NAME, LETTERS, LIBRARIES, NAMES, REAL, REAL_DLOPEN, TEXTS, dlopen, hook_of, word};
use crate::hash::hash;
use crate::host::{Import, Mapped, Set, lookup};
use crate::table;
use core::ffi::c_void;
use core::sync::atomic::Ordering;

/// What is mapped.
#[derive(Default)]
pub(super) struct Found {
    pub(super) adds: u64,
    /// The copies of each library that are there, a bit for each.
    copies: [u8; LIBRARIES.len()],
    /// There is one more than can be told apart.
    is_crowded: [bool; LIBRARIES.len()],
    /// A copy is found by whoever looks for the name anywhere.
    is_global: [bool; LIBRARIES.len()],
    /// What each copy is called, as a hash.
    names: [[u64; COPIES]; LIBRARIES.len()],
    /// How many objects define `dlopen`, and where the last one does.
    dlopens: (usize, usize),
}

/// Which copy an object calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Called {
    Copy(usize),
    /// None, of this function.
    Nothing,
    Uncertain,
}

impl Found {
    /// Takes in the libraries that an object is.
    pub(super) fn note(&mut self, object: &Mapped, is_program: bool) {
        self.adds = object.adds;
        if object.map.is_ours() {
            return;
        }
        // SAFETY: the object is mapped while it is shown.
        unsafe {
            lookup(&object.map, DLOPEN_NAME, |_, address| {
                self.dlopens = (self.dlopens.0.wrapping_add(1), address);
            });
        }
        if is_program {
            return;
        }
        for (number, library) in LIBRARIES.iter().enumerate() {
            let key = library.key as usize;
            let Some(name) = NAMES.get(key..key.wrapping_add(1)) else { continue };
            let mut address = 0;
            // SAFETY: as above.
            unsafe { lookup(&object.map, name, |_, found| address = found) };
            if address == 0 {
                continue;
            }
            let place = |wanted| (0..COPIES).find(|copy| word(*copy, key) == wanted);
            let copy = place(address).or_else(|| {
                let copy = place(0)?;
                let row = REAL.get(copy)?;
                // SAFETY: as above.
                unsafe {
                    lookup(&object.map, NAMES, |function, address| {
                        let is_its = TEXTS.get(function).is_none_or(|text| text.starts_with(library.prefix));
                        if let (true, Some(word)) = (is_its && function != key, row.get(function)) {
                            word.store(address, Ordering::Release);
                        }
                    });
                }
                row.get(key)?.store(address, Ordering::Release);
                Some(copy)
            });
            match (copy, self.copies.get_mut(number), self.names.get_mut(number)) {
                (Some(copy), Some(copies), Some(names)) => {
                    *copies |= 1 << copy;
                    if let Some(name) = names.get_mut(copy) {
                        *name = hash(object.own_name());
                    }
                }
                _ => self.is_crowded.iter_mut().skip(number).take(1).for_each(|crowded| *crowded = true),
            }
        }
    }

    /// Whether what an object with several copies to choose from would call can be known from what it needs. Outside of
    /// the loader's list, as the loader has another lock for names.
    pub(super) fn ask_for_names(&mut self) {
        type Dlsym = unsafe extern "C" fn(*const c_void, *const u8) -> *const c_void;
        for (library, (copies, is_global)) in LIBRARIES.iter().zip(self.copies.iter().zip(&mut self.is_global)) {
            if copies.count_ones() > 1 {
                // SAFETY: the type of dlsym.
                let dlsym = unsafe { table::real::<Dlsym>(table::Function::Dlsym) };
                // SAFETY: RTLD_DEFAULT, and a text that ends with NUL.
                *is_global =
                    dlsym.is_none_or(|dlsym| !unsafe { dlsym(core::ptr::null(), library.key_name.as_ptr()) }.is_null());
            }
        }
    }

    /// Changes what an object imports. Whether there is nothing left to do later.
    pub(super) fn change(&self, object: &Mapped, is_alone: bool) -> bool {
        if object.map.is_ours() {
            return true;
        }
        let mut called = [Called::Nothing; LIBRARIES.len()];
        object.each_import(LETTERS, &mut |import| {
            if import.name == DLOPEN {
                self.change_dlopen(import, is_alone);
            }
            if let Some((function, library)) = hooked(import.name)
                && let Some(so_far) = called.get_mut(library)
            {
                *so_far = match (*so_far, self.called(import, object, function, library)) {
                    (Called::Nothing, this) => this,
                    (so_far, this) if so_far == this || this == Called::Nothing => so_far,
                    _ => Called::Uncertain,
                };
            }
        });
        let mut is_complete = true;
        for (number, called) in called.into_iter().enumerate() {
            let Called::Copy(copy) = called else { continue };
            let set = |to: &dyn Fn(usize) -> usize| {
                let mut result = Set::Done;
                object.each_import(LETTERS, &mut |import| {
                    if let Some((function, library)) = hooked(import.name)
                        && library == number
                        && word(copy, function) != 0
                        && import.address() != Some(to(function))
                        && result == Set::Done
                    {
                        result = import.set(to(function), is_alone);
                    }
                });
                result
            };
            // All of them or none: half of a conversation is not understood.
            let result = set(&|function| hook_of(copy, function));
            if result != Set::Done {
                let _ = set(&|function| word(copy, function));
                is_complete &= result == Set::Never;
            }
        }
        is_complete
    }

    fn change_dlopen(&self, import: &Import<'_>, is_alone: bool) {
        let (1, real) = self.dlopens else { return };
        if import.address().is_none_or(|address| address == real) {
            REAL_DLOPEN.store(real, Ordering::Release);
            import.set(dlopen as *const () as usize, is_alone);
        }
    }

    fn called(&self, import: &Import<'_>, object: &Mapped, function: usize, library: usize) -> Called {
        let copies = self.copies.get(library).copied().unwrap_or(0);
        let there = |copy: &usize| copies & 1 << copy != 0;
        let key = LIBRARIES.get(library).map_or(0, |library| library.key as usize);
        // What a library calls of itself is its own affair.
        if (0..COPIES).filter(there).any(|copy| object.holds(word(copy, key))) {
            return Called::Uncertain;
        }
        if let Some(address) = import.address() {
            let is_it = |copy: &usize| address == hook_of(*copy, function) || address == word(*copy, function);
            return match (0..COPIES).filter(there).find(is_it) {
                Some(copy) if address != 0 => Called::Copy(copy),
                _ if address == 0 && (0..COPIES).filter(there).all(|copy| word(copy, function) == 0) => Called::Nothing,
                _ => Called::Uncertain,
            };
        }
        let [crowded, is_global] =
            [&self.is_crowded, &self.is_global].map(|flags| flags.get(library).copied().unwrap_or(true));
        if crowded {
            return Called::Uncertain;
        }
        let is_needed = |copy: &usize| {
            let name = self.names.get(library).and_then(|names| names.get(*copy));
            copies.count_ones() == 1 || object.needs(|needed| Some(&hash(needed)) == name)
        };
        let mut needed = (0..COPIES).filter(there).filter(is_needed);
        match (needed.next(), needed.next()) {
            (Some(copy), None) if !is_global && word(copy, function) != 0 => Called::Copy(copy),
            (Some(copy), None) if word(copy, function) == 0 => Called::Nothing,
            (None, _) if copies == 0 => Called::Nothing,
            _ => Called::Uncertain,
        }
    }
}

/// The function of this name, if it is hooked, and its library.
fn hooked(name: &[u8]) -> Option<(usize, usize)> {
    let library = LIBRARIES.iter().position(|library| name.starts_with(library.prefix))?;
    Some((TEXTS.iter().position(|text| *text == name)?, library))
}
