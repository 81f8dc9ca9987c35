//! One payload that waits in its place in a segment, and is settled there by a word in front of it.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::account::{Account, Counter};
use super::segment::Segment;

/// No payload is longer than this, whatever the spool says: it is what receivers take at most.
const LONGEST: usize = 64 << 20;

/// Of a payload's first word: it is settled. The lower half says how many of its spans were dropped. What is between says
/// how many spans at its beginning are settled, where it had to be split and not all of it is.
pub(super) const SETTLED: u64 = 1 << 63;
pub(super) const DROPPED: u64 = u32::MAX as u64;
const PART: u32 = 32;
const MOST_IN_PART: u64 = (1 << 31) - 1;
/// Bytes of that word.
pub(super) const WORD: usize = 8;
/// Bytes behind it that tell whether the rest is as it was written (CRC-32).
const CHECK: usize = 4;

/// The spans of one group, which are delivered when every destination has them.
pub(super) struct Group {
    pub(super) spans: u64,
    /// How many of its payloads are not settled.
    pub(super) open: Cell<usize>,
    pub(super) dropped: Cell<u64>,
    account: Arc<Account>,
}

impl Group {
    pub(super) fn new(spans: usize, open: usize, account: &Arc<Account>) -> Rc<Group> {
        let account = Arc::clone(account);
        Rc::new(Group { spans: spans as u64, open: Cell::new(open), dropped: Cell::new(0), account })
    }

    pub(super) fn settle(&self, dropped: u64) {
        self.dropped.set(self.dropped.get().max(dropped.min(self.spans)));
        self.open.set(self.open.get().saturating_sub(1));
        if self.open.get() == 0 {
            self.account.add(Counter::Delivered, self.spans - self.dropped.get());
            self.account.add(Counter::Dropped, self.dropped.get());
        }
    }
}

/// One request that waits to be sent.
pub struct Parcel {
    pub(super) segment: Arc<Segment>,
    /// Where its word is.
    pub(super) word: usize,
    /// What follows that.
    pub(super) kept: Range<usize>,
    /// The number of its destination.
    pub destination: usize,
    pub(super) group: Rc<Group>,
}

impl Parcel {
    /// What is to be sent; `None` where it is not what was written, as a disk or a crash of the machine has damaged it.
    pub fn body(&self) -> Option<Vec<u8>> {
        unpack(self.segment.bytes_from(self.kept.start).get(..self.kept.len())?)
    }

    /// How many spans are in it at most.
    pub fn spans(&self) -> u64 {
        self.group.spans
    }

    /// The account that it is in.
    pub fn account(&self) -> &Account {
        &self.group.account
    }

    /// Whether nothing is left to be done.
    pub fn is_settled(&self) -> bool {
        self.segment.word(self.word).is_none_or(|word| word.load(Ordering::Relaxed) & SETTLED != 0)
    }

    /// How many spans at its beginning are settled, and how many of these were dropped.
    pub fn progress(&self) -> (u64, u64) {
        let word = self.segment.word(self.word).map_or(0, |word| word.load(Ordering::Relaxed));
        part(word)
    }

    /// The receiver has answered about so many more spans at the beginning.
    pub fn settle_part(&self, spans: u64, dropped: u64) {
        let Some(word) = self.segment.word(self.word) else { return };
        let _ = word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            let (settled, before) = part(word);
            let settled = (settled + spans).min(MOST_IN_PART);
            (word & SETTLED == 0).then(|| settled << PART | (before + dropped).min(DROPPED))
        });
    }

    /// The receiver has answered: it has all of it but for those that were dropped. What is settled stays as it is.
    pub fn settle(&self, dropped: u64) {
        let Some(word) = self.segment.word(self.word) else { return };
        let settled = |word| (word & SETTLED == 0).then_some(SETTLED | dropped.min(DROPPED));
        if word.fetch_update(Ordering::Release, Ordering::Relaxed, settled).is_ok() {
            self.group.settle(dropped);
        }
    }

    /// It will not be sent any more: what the receiver has not answered about is dropped. Gives how many spans that were.
    pub fn give_up(&self) -> u64 {
        let (settled, dropped) = self.progress();
        let left = self.spans().saturating_sub(settled);
        self.settle(left + dropped);
        left
    }
}

/// What a payload's first word says of the spans at its beginning: how many are settled, and how many of these dropped.
pub(super) fn part(word: u64) -> (u64, u64) {
    (word >> PART & MOST_IN_PART, word & DROPPED)
}

/// Payloads are kept compressed, by a method that costs less than the pages that it saves.
pub(super) fn pack(body: &[u8]) -> Vec<u8> {
    let compressed = lz4_flex::compress_prepend_size(body);
    let mut kept = crc32fast::hash(&compressed).to_le_bytes().to_vec();
    kept.extend(compressed);
    kept
}

fn unpack(kept: &[u8]) -> Option<Vec<u8>> {
    let (check, compressed) = kept.split_first_chunk::<CHECK>()?;
    let (length, _) = lz4_flex::block::uncompressed_size(compressed).ok()?;
    let is_sound = length <= LONGEST && crc32fast::hash(compressed) == u32::from_le_bytes(*check);
    is_sound.then(|| lz4_flex::decompress_size_prepended(compressed).ok())?
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Bytes that cannot be compressed.
    pub(in crate::spool) fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn what_is_kept_is_read_back_and_damage_is_noticed() {
        for body in [Vec::new(), vec![7; 100_000], noise(100_000)] {
            let kept = pack(&body);
            assert_eq!(unpack(&kept), Some(body));
            for place in [0, 5, kept.len() / 2, kept.len() - 1] {
                let mut damaged = kept.clone();
                damaged[place] ^= 0x10;
                assert_eq!(unpack(&damaged), None, "at {place} of {}", kept.len());
                assert_eq!(unpack(&kept[..place]), None);
            }
        }
    }
}
