//! Text of bounded length, in place.

use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

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

    /// From `start` on, has U+FFFD in place of what is no UTF-8. It needs no room but its own.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`]; what is in it from `start` on is of no use then.
    pub fn replace_invalid(&mut self, start: usize) -> Result<(), DoesNotFit> {
        const REPLACEMENT: [u8; 3] = *b"\xef\xbf\xbd";
        // The text moves to the end of the room, and comes back from there: what is written never gets ahead of what is
        // read, unless it is too long in the end.
        let moved = self.room();
        for index in (start..self.len()).rev() {
            self.copy(index, index.wrapping_add(moved));
        }
        let (mut read, mut written) = (start.wrapping_add(moved), start);
        while read < N {
            let (valid, invalid) = match core::str::from_utf8(self.initialised(read..N)) {
                Ok(rest) => (rest.len(), 0),
                Err(error) => {
                    let valid = error.valid_up_to();
                    let rest = N.saturating_sub(read).saturating_sub(valid);
                    (valid, error.error_len().unwrap_or(rest))
                }
            };
            for _ in 0..valid {
                self.copy(read, written);
                (read, written) = (read.wrapping_add(1), written.wrapping_add(1));
            }
            read = read.saturating_add(invalid);
            if invalid > 0 {
                let place = self.bytes.get_mut(written..).and_then(|free| free.first_chunk_mut::<3>());
                if written.wrapping_add(3) > read {
                    return Err(DoesNotFit);
                }
                *place.ok_or(DoesNotFit)? = REPLACEMENT.map(MaybeUninit::new);
                written = written.wrapping_add(3);
            }
        }
        self.length = written as u16;
        Ok(())
    }

    fn copy(&mut self, from: usize, to: usize) {
        if let Some(byte) = self.bytes.get(from).copied()
            && let Some(place) = self.bytes.get_mut(to)
        {
            *place = byte;
        }
    }

    /// These bytes, all of which were written.
    fn initialised(&self, range: Range<usize>) -> &[u8] {
        let bytes = self.bytes.get(range).unwrap_or_default();
        // SAFETY: `replace_invalid`, the only caller, has moved the text there, and u8 and MaybeUninit<u8> have the same layout.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), bytes.len()) }
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
    use proptest::prelude::*;
    use std::string::String;

    proptest! {
        #[test]
        fn what_is_no_utf_8_is_replaced(
            before in "[a-z]{0,9}",
            text in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..60),
                proptest::collection::vec(prop_oneof![Just(0xe2u8), Just(0x82), Just(0xac), Just(0xff), Just(b'a'), Just(0xf0)], 0..60),
            ],
        ) {
            let mut bounded = Bounded::<64>::new();
            prop_assume!(bounded.push(before.as_bytes()).and_then(|()| bounded.push(&text)).is_ok());
            let expected = before.clone() + &String::from_utf8_lossy(&text);
            match bounded.replace_invalid(before.len()) {
                Ok(()) => prop_assert_eq!(bounded.as_bytes(), expected.as_bytes()),
                Err(DoesNotFit) => prop_assert!(expected.len() > 64, "{}", expected.len()),
            }
        }
    }

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
