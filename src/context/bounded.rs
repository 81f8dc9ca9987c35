//! Text of bounded length, in place.

use core::fmt;
use core::mem::MaybeUninit;

/// The text does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DoesNotFit;

/// At most `N` bytes of text, where `N` is below 65,536. Copies only what is used.
pub struct Bounded<const N: usize> {
    length: u16,
    bytes: [MaybeUninit<u8>; N],
}

impl<const N: usize> Bounded<N> {
    /// No text.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N <= u16::MAX as usize) };
        Bounded { length: 0, bytes: [const { MaybeUninit::uninit() }; N] }
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let used = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // SAFETY: `push` wrote every byte below `length`, and u8 and MaybeUninit<u8> have the same layout.
        unsafe { core::slice::from_raw_parts(used.as_ptr().cast::<u8>(), used.len()) }
    }

    /// The text as UTF-8, empty where it is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes more would fit.
    #[must_use]
    pub fn room(&self) -> usize {
        N.saturating_sub(self.len())
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Cuts it to `length` bytes, if it is longer.
    pub fn truncate(&mut self, length: usize) {
        if length < self.len() {
            self.length = length as u16;
        }
    }

    /// Adds text at the end.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`]; nothing is added then.
    pub fn push(&mut self, text: &[u8]) -> Result<(), DoesNotFit> {
        let start = self.len();
        let place = self.bytes.get_mut(start..).and_then(|free| free.get_mut(..text.len())).ok_or(DoesNotFit)?;
        // SAFETY: the place has the text's length, and as it is borrowed for writing, the text lies elsewhere.
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), place.as_mut_ptr().cast::<u8>(), text.len()) };
        self.length = start.wrapping_add(text.len()) as u16;
        Ok(())
    }

    /// Replaces the text.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`]; it is empty then.
    pub fn set(&mut self, text: &[u8]) -> Result<(), DoesNotFit> {
        self.clear();
        self.push(text)
    }
}

impl<const N: usize> Clone for Bounded<N> {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        let _ = copy.push(self.as_bytes());
        copy
    }
}

impl<const N: usize> Default for Bounded<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> PartialEq for Bounded<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Bounded<N> {}

impl<const N: usize> fmt::Debug for Bounded<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut text = Bounded::<4>::new();
        assert_eq!(text.push(b"abc"), Ok(()));
        assert_eq!(text.push(b"de"), Err(DoesNotFit));
        assert_eq!((text.as_str(), text.room()), ("abc", 1));
        assert_eq!(text.clone(), text);
        assert_eq!(text.set(b"12345"), Err(DoesNotFit));
        assert!(text.is_empty());
    }
}
