//! The baggage that came with a trace, kept to be handed on.

use ddtrace::propagation::{BaggageSink, BaggageSource, EachMember};

/// Room for the longest header that is read and the lengths of its 64 members.
const CAPACITY: usize = 8192 + 64 * 6;

/// Members one after the other: three lengths (u16) and three texts. All zero is none.
pub(crate) struct Baggage {
    used: usize,
    bytes: [u8; CAPACITY],
}

impl Baggage {
    /// Takes all members away.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// Becomes what the other one is.
    pub(crate) fn copy_of(&mut self, other: &Baggage) {
        self.used = 0;
        self.put(other.bytes.get(..other.used).unwrap_or_default());
    }

    /// All members as they came: key, value and properties.
    fn all(&self) -> impl Iterator<Item = [&[u8]; 3]> {
        let mut rest = self.bytes.get(..self.used).unwrap_or_default();
        core::iter::from_fn(move || {
            let (member, after) = split(rest)?;
            rest = after;
            Some(member)
        })
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.used.wrapping_add(bytes.len());
        if let Some(place) = self.bytes.get_mut(self.used..).and_then(|free| free.get_mut(..bytes.len())) {
            for (to, from) in place.iter_mut().zip(bytes) {
                *to = *from;
            }
            self.used = end;
        }
    }

    /// Calls `each` with the key and the decoded value of every member.
    pub(crate) fn each(&self, mut each: impl FnMut(&[u8], &[u8])) {
        self.members(&mut |key, value, _| each(key, value));
    }
}

impl BaggageSink for Baggage {
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]) {
        let texts = [key, value, properties];
        let needed = texts.iter().fold(6usize, |sum, text| sum.saturating_add(text.len()));
        if needed > CAPACITY.saturating_sub(self.used) {
            return;
        }
        for text in texts {
            self.put(&(text.len() as u16).to_le_bytes());
        }
        for text in texts {
            self.put(text);
        }
    }
}

impl BaggageSource for Baggage {
    /// Of several with one key the last one counts, in the place of the first, as in the core's `Baggage`.
    fn members(&self, each: &mut EachMember<'_>) {
        for (position, [key, value, properties]) in self.all().enumerate() {
            let has_key = |other: &[&[u8]; 3]| other.first().is_some_and(|other| *other == key);
            if self.all().take(position).any(|other| has_key(&other)) {
                continue;
            }
            let [_, value, properties] = self.all().filter(has_key).last().unwrap_or([key, value, properties]);
            each(key, value, properties);
        }
    }
}

fn split(bytes: &[u8]) -> Option<([&[u8]; 3], &[u8])> {
    let (lengths, texts) = bytes.split_first_chunk::<6>()?;
    let [a, b, c, d, e, f] = *lengths;
    let (key, texts) = texts.split_at_checked(u16::from_le_bytes([a, b]).into())?;
    let (value, texts) = texts.split_at_checked(u16::from_le_bytes([c, d]).into())?;
    let (properties, rest) = texts.split_at_checked(u16::from_le_bytes([e, f]).into())?;
    Some(([key, value, properties], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(baggage: &Baggage) -> Vec<[String; 3]> {
        let mut members = Vec::new();
        baggage.members(&mut |key, value, properties| {
            members.push([key, value, properties].map(|text| String::from_utf8(text.to_vec()).unwrap()));
        });
        members
    }

    #[test]
    fn members_are_kept_in_order() {
        let mut baggage = Baggage { used: 0, bytes: [0; CAPACITY] };
        assert!(all(&baggage).is_empty());
        baggage.member(b"user.id", b"a b", b"");
        baggage.member(b"k", b"", b"p=1;q");
        let expected = [["user.id", "a b", ""], ["k", "", "p=1;q"]].map(|member| member.map(str::to_owned));
        assert_eq!(all(&baggage), expected);
        let mut copy = Baggage { used: 7, bytes: [0xff; CAPACITY] };
        copy.copy_of(&baggage);
        assert_eq!(all(&copy), expected);
        baggage.clear();
        assert!(all(&baggage).is_empty());
    }

    #[test]
    fn the_last_of_one_key_counts() {
        let mut baggage = Baggage { used: 0, bytes: [0; CAPACITY] };
        for (key, value, properties) in [("a", "1", "p"), ("b", "2", ""), ("a", "3", ""), ("a", "4", "q")] {
            baggage.member(key.as_bytes(), value.as_bytes(), properties.as_bytes());
        }
        let expected = [["a", "4", "q"], ["b", "2", ""]].map(|member| member.map(str::to_owned));
        assert_eq!(all(&baggage), expected);
    }

    #[test]
    fn what_finds_no_room_is_left_out_whole() {
        let mut baggage = Baggage { used: 0, bytes: [0; CAPACITY] };
        for key in [b"k", b"l", b"m"] {
            baggage.member(key, &[b'x'; 4000], b"");
        }
        baggage.member(b"short", b"1", b"");
        let keys: Vec<_> = all(&baggage).into_iter().map(|[key, ..]| key).collect();
        assert_eq!(keys, ["k", "l", "short"]);
    }
}
