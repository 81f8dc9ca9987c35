//! Sets of descriptors.

use super::MOST_DESCRIPTORS;
use core::sync::atomic::{AtomicU64, Ordering};

const BITS: usize = u64::BITS as usize;

/// A bit for each descriptor. Those above [`MOST_DESCRIPTORS`] are in none.
pub(super) struct DescriptorSet([AtomicU64; MOST_DESCRIPTORS / BITS]);

impl DescriptorSet {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; MOST_DESCRIPTORS / BITS])
    }

    fn word(&self, fd: i32) -> Option<(&AtomicU64, u64)> {
        // A negative number is a large one.
        let fd = fd as u32 as usize;
        Some((self.0.get(fd / BITS)?, 1 << (fd % BITS)))
    }

    #[inline]
    pub(super) fn contains(&self, fd: i32) -> bool {
        self.word(fd).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    pub(super) fn insert(&self, fd: i32) {
        if let Some((word, bit)) = self.word(fd)
            && word.load(Ordering::Relaxed) & bit == 0
        {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&self, fd: i32) {
        if let Some((word, bit)) = self.word(fd)
            && word.load(Ordering::Relaxed) & bit != 0
        {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}
