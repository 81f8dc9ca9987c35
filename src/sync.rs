//! The only source of the atomics that processes share, so that the code that ships is the code that loom tries.

#[cfg(not(feature = "loom"))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(feature = "loom")]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Tells loom who touches which bytes of a chunk. Costs nothing without it.
#[cfg(not(feature = "loom"))]
pub(crate) struct Watched;

#[cfg(not(feature = "loom"))]
impl Watched {
    /// Bytes are written.
    #[inline]
    pub(crate) fn write(&self, _from: u32, _length: u32) {}

    /// Bytes are read.
    #[inline]
    #[cfg(feature = "std")]
    pub(crate) fn read(&self, _from: u32, _to: u32) {}
}

/// How many bytes loom tells apart: all records are a multiple of it.
#[cfg(feature = "loom")]
const GRAIN: usize = 8;

/// A cell for each few bytes of a chunk: two threads that touch one without an order between them fail the test.
#[cfg(feature = "loom")]
pub(crate) struct Watched([loom::cell::UnsafeCell<()>; crate::ring::layout::CHUNK_CAPACITY / GRAIN]);

#[cfg(feature = "loom")]
impl Watched {
    pub(crate) fn new() -> Self {
        Watched(core::array::from_fn(|_| loom::cell::UnsafeCell::new(())))
    }

    pub(crate) fn write(&self, from: u32, length: u32) {
        for cell in &self.0[from as usize / GRAIN..(from + length) as usize / GRAIN] {
            cell.with_mut(|_| {});
        }
    }

    pub(crate) fn read(&self, from: u32, to: u32) {
        for cell in &self.0[from as usize / GRAIN..to as usize / GRAIN] {
            cell.with(|_| {});
        }
    }
}
