//! The `_dd.p.*` tags of a trace.

use super::{Bounded, DoesNotFit, MAX_TAGS};

/// What every propagated tag's name begins with.
pub const PREFIX: &[u8] = b"_dd.p.";

/// The `_dd.p.*` tags of a trace, as they stand in `x-datadog-tags`: `name=value` with commas between, names whole.
///
/// `_dd.p.tid` is never among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceTags {
    text: Bounded<MAX_TAGS>,
}

impl TraceTags {
    /// What stands for a comma in a name or a value, which would be the end of the tag there, and what follows another one.
    /// As the comma it has no place in a header either, so that whoever writes one says so.
    pub const COMMA: u8 = 0x1f;

    /// No tags.
    #[must_use]
    pub const fn new() -> Self {
        TraceTags { text: Bounded::new() }
    }

    /// The tags as text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.as_bytes().split(|byte| *byte == b',').filter_map(split)
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(present, _)| *present == name).map(|(_, value)| value)
    }

    /// Sets a tag, in the place of an earlier value or at the end.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`]; the tag is then not there.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), DoesNotFit> {
        if self.get(name).is_none() {
            return push(&mut self.text, name, value);
        }
        let mut text = Bounded::new();
        let mut fits = Ok(());
        for (present, old) in self.iter() {
            if present == name {
                fits = fits.and(push(&mut text, name, value));
            } else {
                // It was there before, so only a longer value in front of it can leave no room.
                fits = fits.and(push(&mut text, present, old));
            }
        }
        match fits {
            Ok(()) => self.text = text,
            Err(DoesNotFit) => self.remove(name),
        }
        fits
    }

    /// Takes a tag away.
    pub fn remove(&mut self, name: &[u8]) {
        if self.get(name).is_none() {
            return;
        }
        let mut text = Bounded::new();
        for (present, value) in self.iter().filter(|(present, _)| *present != name) {
            let _ = push(&mut text, present, value);
        }
        self.text = text;
    }

    /// Takes all tags away.
    pub fn clear(&mut self) {
        self.text.clear();
    }
}

fn split(tag: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = tag.iter().position(|byte| *byte == b'=')?;
    let (name, value) = tag.split_at_checked(equals)?;
    Some((name, value.get(1..)?))
}

fn push(text: &mut Bounded<MAX_TAGS>, name: &[u8], value: &[u8]) -> Result<(), DoesNotFit> {
    let before = text.len();
    let between: &[u8] = if text.is_empty() { b"" } else { b"," };
    let written = text.push(between).and_then(|()| push_part(text, name));
    let written = written.and_then(|()| text.push(b"=")).and_then(|()| push_part(text, value));
    if written.is_err() {
        text.truncate(before);
    }
    written
}

fn push_part(text: &mut Bounded<MAX_TAGS>, part: &[u8]) -> Result<(), DoesNotFit> {
    let mut pieces = part.split(|byte| *byte == b',');
    text.push(pieces.next().unwrap_or_default())?;
    pieces.try_for_each(|piece| text.push(&[TraceTags::COMMA]).and_then(|()| text.push(piece)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_set_in_place_and_taken_away() {
        let mut tags = TraceTags::new();
        tags.set(b"_dd.p.dm", b"-4").unwrap();
        tags.set(b"_dd.p.usr.id", b"a=b;c~d").unwrap();
        tags.set(b"_dd.p.dm", b"-3").unwrap();
        assert_eq!(tags.as_bytes(), b"_dd.p.dm=-3,_dd.p.usr.id=a=b;c~d");
        assert_eq!(tags.get(b"_dd.p.usr.id"), Some(&b"a=b;c~d"[..]));
        tags.remove(b"_dd.p.dm");
        assert_eq!(tags.iter().count(), 1);
    }

    #[test]
    fn a_tag_that_does_not_fit_is_not_there() {
        let mut tags = TraceTags::new();
        tags.set(b"_dd.p.a", &[b'x'; 400]).unwrap();
        tags.set(b"_dd.p.b", b"1").unwrap();
        assert_eq!(tags.set(b"_dd.p.b", &[b'y'; 200]), Err(DoesNotFit));
        assert_eq!(tags.get(b"_dd.p.b"), None);
        assert_eq!(tags.get(b"_dd.p.a").map(<[u8]>::len), Some(400));
    }

    #[test]
    fn no_value_becomes_another_tag() {
        let mut tags = TraceTags::new();
        tags.set(b"_dd.p.x", b"a,_dd.p.dm=-9").unwrap();
        tags.set(b"_dd.p.a,_dd.p.b", b"-9").unwrap();
        assert_eq!((tags.iter().count(), tags.get(b"_dd.p.dm"), tags.get(b"_dd.p.b")), (2, None, None));
    }
}
