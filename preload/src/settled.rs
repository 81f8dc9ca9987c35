//! Static memory that is written while the process has one thread and only read afterwards.

use core::cell::UnsafeCell;

/// A value that settles early: in the constructor, before the host's `main`, or in a forked child that has one thread.
pub(crate) struct Settled<T>(UnsafeCell<T>);

// SAFETY: `set` is called only where the process has a single thread (its contract), all else only reads.
unsafe impl<T: Sync> Sync for Settled<T> {}

impl<T> Settled<T> {
    pub(crate) const fn new(value: T) -> Self {
        Settled(UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> &T {
        // SAFETY: nobody writes while other threads exist; the single thread that writes holds no reference meanwhile.
        unsafe { &*self.0.get() }
    }

    /// Changes the value in its place.
    ///
    /// # Safety
    ///
    /// No other thread of the process may exist that uses the value, and no reference from `get` may be alive.
    pub(crate) unsafe fn change(&self, change: impl FnOnce(&mut T)) {
        // SAFETY: the caller's promise.
        change(unsafe { &mut *self.0.get() });
    }

    /// # Safety
    ///
    /// As for [`Settled::change`].
    pub(crate) unsafe fn set(&self, value: T) {
        // SAFETY: the caller's promise.
        unsafe { self.change(|place| *place = value) };
    }
}

/// A text in static memory, kept because the host may overwrite its environment later (`setproctitle`).
#[repr(C)]
pub(crate) struct StaticText<const N: usize> {
    /// Without the NUL; zero where the text was too long, or is not set. First, so that a short text touches one page.
    length: usize,
    /// Ends with NUL.
    bytes: [u8; N],
}

impl<const N: usize> StaticText<N> {
    pub(crate) const EMPTY: Self = StaticText { bytes: [0; N], length: 0 };

    /// Becomes the pieces one after the other; stays empty where they do not fit. Called once.
    pub(crate) fn fill(&mut self, pieces: &[&[u8]]) {
        let total = pieces.iter().fold(0usize, |sum, piece| sum.wrapping_add(piece.len()));
        // Nothing is written where there is nothing to write: it would make a page of memory the process's own.
        if total != 0 && total < N {
            let all = pieces.iter().flat_map(|piece| piece.iter());
            for (to, from) in self.bytes.iter_mut().zip(all) {
                *to = *from;
            }
            self.length = total;
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// With the NUL.
    pub(crate) fn as_bytes_with_nul(&self) -> &[u8] {
        self.bytes.get(..self.length.wrapping_add(1)).unwrap_or_default()
    }

    /// For C: null where there is none.
    pub(crate) fn as_ptr(&self) -> *const u8 {
        if self.length == 0 { core::ptr::null() } else { self.bytes.as_ptr() }
    }
}
