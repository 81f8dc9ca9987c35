//! Headers put into a request that the program hands to a TLS library, which takes one piece of memory a call.
//!
//! A library that could not write all at once wants the *same* memory again, as it has encrypted some of it already. So the
//! head with what is put in, and as much behind it as there is room for, is copied, and the copy stays where it is until
//! all of it is written, over as many calls of the program as that takes. The program is told of nothing before that, as
//! its own library would not.

use super::memory::RoomRef;
use super::rewrite::{Rewrite, Segment};
use crate::hash::hash;

/// What is to be handed to the library next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// These bytes of the copy.
    Copy { start: usize, end: usize },
    /// The program's bytes, from this one on.
    Host { start: usize },
    /// Nothing: so many of the program's bytes are written.
    Done { written: usize },
}

/// How far a copy is written.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The bytes of the copy, and how many of them are written.
    length: usize,
    written: usize,
    /// How many of the program's bytes the copy stands for.
    covers: usize,
    /// How many of those behind them are written.
    behind: usize,
}

impl Progress {
    pub(crate) fn new(length: usize, covers: usize) -> Progress {
        Progress { length, written: 0, covers, behind: 0 }
    }

    /// What is next in a call with `length` bytes. `in_part`: of a program that knows that less may be written.
    pub(crate) fn next(&self, length: usize, in_part: bool) -> Step {
        if self.written < self.length {
            Step::Copy { start: self.written, end: self.length }
        } else if in_part || self.behind > 0 || length <= self.covers {
            Step::Done { written: self.covers.saturating_add(self.behind) }
        } else {
            Step::Host { start: self.covers }
        }
    }

    /// The library has written so many of the bytes that it was handed last.
    pub(crate) fn advance(&mut self, written: usize) {
        if self.written < self.length {
            self.written = self.written.saturating_add(written).min(self.length);
        } else {
            self.behind = written;
        }
    }
}

/// A copy that is being written.
pub(crate) struct Copied {
    pub(super) progress: Progress,
    pub(super) room: RoomRef,
    /// By which the program's bytes are known again.
    pub(super) head: u64,
}

impl Copied {
    /// Copies the program's bytes with what is put in. `None` where there is no room.
    pub(super) fn new(rewrite: &Rewrite, text: &[u8], host: &[u8], mut room: RoomRef) -> Option<Copied> {
        let space = room.bytes();
        let covers = match host.len().saturating_add(text.len()) {
            all if all <= space.len() => host.len(),
            _ => rewrite.end(),
        };
        let (mut used, mut is_whole) = (0usize, true);
        rewrite.segments(covers, |segment| {
            let piece = match segment {
                Segment::Host { start, end } => host.get(start..end),
                Segment::Own { start, end } => text.get(start..end),
                Segment::Skipped { .. } => return true,
            };
            let place = piece.and_then(|piece| space.get_mut(used..used.checked_add(piece.len())?));
            let (Some(piece), Some(place)) = (piece, place) else {
                is_whole = false;
                return false;
            };
            for (to, from) in place.iter_mut().zip(piece) {
                *to = *from;
            }
            used = used.wrapping_add(piece.len());
            true
        });
        let head = hash(host.get(..covers)?);
        is_whole.then_some(Copied { progress: Progress::new(used, covers), room, head })
    }

    /// The bytes that are written in place of the program's.
    pub(super) fn written(&self) -> &[u8] {
        self.room.as_bytes().get(..self.progress.length).unwrap_or_default()
    }

    /// How many of the program's bytes these stand for.
    pub(super) fn covers(&self) -> usize {
        self.progress.covers
    }

    /// Whether these are the program's bytes once more; none at all stand for those of the call before.
    pub(super) fn is_of(&self, host: &[u8]) -> bool {
        host.is_empty() || host.get(..self.progress.covers).is_some_and(|host| hash(host) == self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// What `SSL_write` does: it encrypts a record of at most `record` bytes, and if that does not go out whole, wants the
    /// same memory and no fewer bytes at the next call. With `in_part` it tells of each record, else of all or nothing.
    struct Library {
        record: usize,
        in_part: bool,
        moving: bool,
        pending: Option<(usize, usize)>,
        told: usize,
        out: Vec<u8>,
    }

    impl Library {
        /// `address` tells memory from other memory. `None`: once more, please.
        fn write(&mut self, address: usize, bytes: &[u8], would_block: &mut impl FnMut() -> bool) -> Option<usize> {
            if let Some((place, length)) = self.pending {
                assert!(bytes.len() >= length && (self.moving || address == place), "bad write retry");
            }
            loop {
                let left = &bytes[self.told..];
                let record = &left[..left.len().min(self.record)];
                if self.pending.is_none() {
                    self.out.extend(record);
                }
                if would_block() {
                    self.pending = Some((address, bytes.len()));
                    return None;
                }
                self.pending = None;
                self.told += record.len();
                if self.in_part || self.told == bytes.len() {
                    return Some(std::mem::take(&mut self.told));
                }
            }
        }
    }

    proptest! {
        /// The program repeats its call as the library demands; what arrives is what was meant, once.
        #[test]
        fn a_call_that_must_be_repeated_has_the_same_memory(
            host in vec(any::<u8>(), 20..60),
            insert_at in 1..10usize,
            own in vec(any::<u8>(), 1..30),
            covered in any::<bool>(),
            record in 1..40usize,
            in_part in any::<bool>(),
            moving in any::<bool>(),
            blocks in vec(any::<bool>(), 1..9),
        ) {
            prop_assume!(blocks.iter().any(|blocks| !blocks));
            let covers = if covered { host.len() } else { 12 };
            let copy = [&host[..insert_at], &own, &host[insert_at..covers]].concat();
            let mut library = Library { record, in_part, moving, pending: None, told: 0, out: Vec::new() };
            let (mut blocks, mut taken, mut progress) =
                (blocks.into_iter().cycle(), 0, Some(Progress::new(copy.len(), covers)));
            let mut would_block = || blocks.next().unwrap_or(false);
            let mut calls = 0;
            while taken < host.len() {
                calls += 1;
                prop_assert!(calls < 10_000, "it makes no progress");
                // A program that may move its buffer does.
                let address = 1_000_000 * if moving { calls } else { 1 } + taken;
                let mut told = None;
                if let Some(state) = &mut progress {
                    loop {
                        let result = match state.next(host.len(), in_part) {
                            Step::Copy { start, end } => library.write(start, &copy[start..end], &mut would_block),
                            Step::Host { start } => library.write(address + start, &host[start..], &mut would_block),
                            Step::Done { written } => { told = Some(written); break }
                        };
                        match result { Some(written) => state.advance(written), None => break }
                    }
                } else {
                    told = library.write(address, &host[taken..], &mut would_block);
                }
                if let Some(told) = told {
                    prop_assert!(told > 0 && (in_part || taken + told == host.len()), "{told} of {}", host.len());
                    taken += told;
                    progress = None;
                }
            }
            let expected = [&host[..insert_at], &own, &host[insert_at..]].concat();
            prop_assert_eq!(library.out, expected);
        }
    }
}
