//! What is known of a local root while its trace is undecided: for sampling rules, which look at its service, name,
//! resource and tags.
//!
//! Entries are only ever added at the end, the last one of a name counts. Any thread may add one while others read: an
//! entry's place is taken by one compare-and-swap on its first word, which says how long it is, and it is read only after
//! that word says that it is complete.

use super::write::{MAX_LABEL, cut};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};
use ddtrace::sampling::TagValue;
use ddtrace::semconv::RESOURCE_NAME;

/// Bytes of a log. What finds no room is recorded, but no rule sees it.
const CAPACITY: usize = 12 * 1024;
/// The longest text that rules see, that of a label; they are matched against its beginning.
const MAX_TEXT: usize = MAX_LABEL;

/// Bit of an entry's first word: it is complete.
const COMPLETE: u32 = 1;

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum About {
    Name = 1,
    /// It is the span's name in OTLP as well.
    Resource = 2,
    Service = 3,
    /// The span's name in OTLP, where it is not the resource.
    Title = 4,
    Text = 5,
    Integer = 6,
    Float = 7,
    Bool = 8,
    Removed = 9,
    /// The span has failed; the value is its status's message.
    Failed = 10,
    /// An attribute of an exception's event; without a name, the event begins.
    Exception = 11,
}

/// All zero is an empty log.
#[repr(C, align(4))]
pub(crate) struct RootLog {
    bytes: UnsafeCell<[u8; CAPACITY]>,
}

// SAFETY: the first word of each entry is only used atomically; the bytes behind it are written by the one who took
// them, before the word says so, and only read afterwards.
unsafe impl Sync for RootLog {}

/// Bytes before an entry's content: the word (length of the whole entry, above the flag), [`About`], the name's length.
const HEAD: usize = 8;

impl RootLog {
    /// Empties the log, in a slot that nobody else uses.
    pub(crate) fn clear(&mut self) {
        let used = self.walk(0, |_, _| true);
        if let Some(used) = self.bytes.get_mut().get_mut(..used) {
            used.fill(0);
        }
    }

    /// The atomic first word of an entry.
    fn word(&self, at: usize) -> Option<&AtomicU32> {
        if at > CAPACITY - HEAD || !at.is_multiple_of(4) {
            return None;
        }
        // SAFETY: inside of the array (just checked), which is aligned as the word is; the word is only used atomically,
        // but in `clear`, which has the log alone.
        Some(unsafe { AtomicU32::from_ptr(self.bytes.get().cast::<u8>().add(at).cast()) })
    }

    /// Goes from entry to entry, as long as `each` likes it. Gives where it ended.
    fn walk(&self, from: usize, mut each: impl FnMut(usize, u32) -> bool) -> usize {
        let mut at = from;
        while let Some(word) = self.word(at) {
            // Acquire pairs with the release of who completes the entry.
            let word = word.load(Ordering::Acquire);
            let length = (word >> 1) as usize;
            if length < HEAD || !each(at, word) {
                break;
            }
            at = at.wrapping_add(length);
        }
        at
    }

    /// Adds an entry; `name` is empty for what is no tag. Nothing where there is no room.
    pub(crate) fn add(&self, about: About, name: &[u8], value: &[u8]) {
        self.add_pieces(about, name, &[cut(value, MAX_TEXT)]);
    }

    /// As [`RootLog::add`], of a value in pieces, which are shorter than a text may be.
    pub(crate) fn add_pieces(&self, about: About, name: &[u8], value: &[&[u8]]) {
        let length = value.iter().fold(0usize, |length, piece| length.saturating_add(piece.len()));
        if length > CAPACITY {
            return;
        }
        let needed = HEAD.wrapping_add(name.len()).wrapping_add(length).wrapping_add(3) & !3;
        let mut at = 0;
        let place = loop {
            at = self.walk(at, |_, _| true);
            let Some(word) = self.word(at) else { return };
            if name.len() > CAPACITY || needed > CAPACITY.saturating_sub(at) {
                return;
            }
            // Whoever comes second finds the length of the first one, and goes on behind it.
            let taken = (needed as u32) << 1;
            if word.compare_exchange(0, taken, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                break word;
            }
        };
        let name_length = (name.len() as u16).to_le_bytes();
        // The unused bytes at the end are known, as the value's length is not kept but follows.
        let padding = (needed.wrapping_sub(HEAD).wrapping_sub(name.len()).wrapping_sub(length)) as u8;
        let head = [about as u8, padding, name_length[0], name_length[1]];
        let mut to = at.wrapping_add(4);
        for part in [&head[..], name].into_iter().chain(value.iter().copied()) {
            // SAFETY: the entry's bytes end at `at + needed`, inside of the log, and are ours alone: nobody else takes
            // them, and nobody reads them before the word is complete.
            unsafe {
                let target = self.bytes.get().cast::<u8>().add(to);
                core::ptr::copy_nonoverlapping(part.as_ptr(), target, part.len());
            }
            to = to.wrapping_add(part.len());
        }
        // Pairs with the acquire in `walk`.
        place.store((needed as u32) << 1 | COMPLETE, Ordering::Release);
    }

    /// The complete entry at a place: what it is about, its name, its value.
    fn entry(&self, at: usize, word: u32) -> Option<(u8, &[u8], &[u8])> {
        let length = (word >> 1) as usize;
        if word & COMPLETE == 0 || length < HEAD || at.checked_add(length)? > CAPACITY {
            return None;
        }
        // SAFETY: the entry lies inside of the log (just checked) and is complete, so nobody writes it any more; the
        // acquire in `walk` has made its bytes visible.
        let bytes = unsafe { core::slice::from_raw_parts(self.bytes.get().cast::<u8>().add(at), length) };
        let (head, content) = bytes.split_at_checked(HEAD)?;
        let [.., about, padding, low, high] = head else { return None };
        let (name, value) = content.split_at_checked(u16::from_le_bytes([*low, *high]).into())?;
        Some((*about, name, value.get(..value.len().checked_sub((*padding).into())?)?))
    }

    /// Shows `look` every complete entry: what it is about, its name, its value.
    fn each<'a>(&'a self, mut look: impl FnMut(u8, &'a [u8], &'a [u8])) {
        self.walk(0, |at, word| {
            if let Some((about, name, value)) = self.entry(at, word) {
                look(about, name, value);
            }
            true
        });
    }

    fn last(&self, matches: impl Fn(u8, &[u8]) -> bool) -> Option<(u8, &[u8])> {
        let mut found = None;
        self.each(|about, name, value| {
            if matches(about, name) {
                found = Some((about, value));
            }
        });
        found
    }

    /// The resource that was said last, as such or by the attribute that means it; `None` where that was taken away.
    pub(crate) fn resource(&self) -> Option<&[u8]> {
        const RESOURCE: u8 = About::Resource as u8;
        const TEXT: u8 = About::Text as u8;
        let said = |about: u8, name: &[u8]| about == RESOURCE || name == RESOURCE_NAME.as_bytes();
        let (about, value) = self.last(said)?;
        matches!(about, RESOURCE | TEXT).then_some(value)
    }

    /// The last name in OTLP.
    pub(crate) fn title(&self) -> Option<&[u8]> {
        let said = |about: u8, _: &[u8]| about == About::Title as u8 || about == About::Resource as u8;
        self.last(said).map(|(_, value)| value).filter(|title| !title.is_empty())
    }

    /// The last service or name.
    pub(crate) fn part(&self, about: About) -> Option<&[u8]> {
        self.last(|kind, _| kind == about as u8).map(|(_, value)| value)
    }

    /// What the last exception says under this name.
    pub(crate) fn exception(&self, wanted: &[u8]) -> Option<&[u8]> {
        let mut found = None;
        self.each(|about, name, value| {
            if about == About::Exception as u8 && (name.is_empty() || name == wanted) {
                found = Some(value).filter(|_| !name.is_empty());
            }
        });
        found
    }

    /// The last value of a tag.
    pub(crate) fn tag(&self, wanted: &[u8]) -> Option<TagValue<'_>> {
        let is_tag = |kind| kind >= About::Text as u8 && kind <= About::Removed as u8;
        let (about, value) = self.last(|kind, name| is_tag(kind) && name == wanted)?;
        let number = || Some(u64::from_le_bytes(*value.first_chunk()?));
        const TEXT: u8 = About::Text as u8;
        const INTEGER: u8 = About::Integer as u8;
        const FLOAT: u8 = About::Float as u8;
        const BOOL: u8 = About::Bool as u8;
        match about {
            TEXT => Some(TagValue::Text(value)),
            INTEGER => Some(TagValue::Integer(number()? as i64)),
            FLOAT => Some(TagValue::Float(f64::from_bits(number()?))),
            BOOL => Some(TagValue::Bool(value.first() != Some(&0))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn log() -> RootLog {
        RootLog { bytes: UnsafeCell::new([0; CAPACITY]) }
    }

    #[test]
    fn the_last_value_of_each_type_counts() {
        let mut log = log();
        assert!(log.part(About::Name).is_none() && log.tag(b"a").is_none());
        log.add(About::Name, b"", b"http.request");
        log.add(About::Resource, b"", b"GET /");
        log.add(About::Text, b"a", b"1");
        log.add(About::Integer, b"b", &(-7i64).to_le_bytes());
        log.add(About::Float, b"c", &0.5f64.to_bits().to_le_bytes());
        log.add(About::Bool, b"d", &[1]);
        log.add(About::Resource, b"", b"GET /users");
        log.add(About::Text, b"a", b"");
        assert_eq!(log.part(About::Name), Some(&b"http.request"[..]));
        assert_eq!((log.resource(), log.title()), (Some(&b"GET /users"[..]), Some(&b"GET /users"[..])));
        assert_eq!(log.part(About::Service), None);
        assert_eq!(log.tag(b"a"), Some(TagValue::Text(b"")));
        assert_eq!(log.tag(b"b"), Some(TagValue::Integer(-7)));
        assert_eq!(log.tag(b"c"), Some(TagValue::Float(0.5)));
        assert_eq!(log.tag(b"d"), Some(TagValue::Bool(true)));
        log.add(About::Removed, b"b", b"");
        assert_eq!(log.tag(b"b"), None);
        log.add_pieces(About::Text, b"resource.name", &[b"GET", b" ", b"/tag"]);
        assert_eq!((log.resource(), log.title()), (Some(&b"GET /tag"[..]), Some(&b"GET /users"[..])));
        log.add(About::Removed, b"resource.name", b"");
        assert_eq!(log.resource(), None);
        log.add(About::Resource, b"", b"GET /again");
        assert_eq!(log.resource(), Some(&b"GET /again"[..]));
        assert_eq!((log.part(About::Failed), log.exception(b"exception.type")), (None, None));
        log.add(About::Failed, b"", b"boom");
        for (name, value) in
            [("", ""), ("exception.type", "a"), ("exception.message", "b"), ("", ""), ("exception.type", "c")]
        {
            log.add(About::Exception, name.as_bytes(), value.as_bytes());
        }
        assert_eq!(log.part(About::Failed), Some(&b"boom"[..]));
        assert_eq!(log.exception(b"exception.type"), Some(&b"c"[..]));
        assert_eq!(log.exception(b"exception.message"), None, "that was of another one");
        assert_eq!(log.tag(b"exception.type"), None);
        log.clear();
        assert!(log.part(About::Name).is_none() && log.tag(b"a").is_none());
        assert!(log.bytes.get_mut().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_finds_no_room_is_left_out() {
        let log = log();
        log.add(About::Text, b"long", &[b'x'; 5001]);
        assert_eq!(log.tag(b"long"), Some(TagValue::Text(&[b'x'; MAX_TEXT])));
        for number in 0..2000u32 {
            log.add(About::Text, &number.to_le_bytes(), b"value");
        }
        assert!(log.tag(&0u32.to_le_bytes()).is_some());
        assert_eq!(log.tag(&1999u32.to_le_bytes()), None);
        log.add(About::Text, &[b'n'; 70_000], b"");
        log.add(About::Bool, b"z", &[1]);
    }

    #[test]
    fn threads_add_side_by_side() {
        for _ in 0..200 {
            let log = log();
            let barrier = Barrier::new(4);
            std::thread::scope(|scope| {
                for thread in 0..4u8 {
                    let (log, barrier) = (&log, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        for round in 0..20u8 {
                            log.add(About::Text, &[thread], &[round; 5]);
                            assert_eq!(
                                log.tag(&[thread]),
                                Some(TagValue::Text(&[round; 5])),
                                "one's own is seen at once"
                            );
                            if let Some(TagValue::Text(other)) = log.tag(&[(thread + 1) % 4]) {
                                assert_eq!(other, [other[0]; 5]);
                            }
                        }
                    });
                }
            });
            for thread in 0..4u8 {
                assert_eq!(log.tag(&[thread]), Some(TagValue::Text(&[19; 5])));
            }
        }
    }
}
