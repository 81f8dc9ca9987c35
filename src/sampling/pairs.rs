//! Names and what belongs to each, as one text: what a sampler knows besides the span that it looks at.

use super::rule_set::TAG_END;

/// Names and values with 0x1d between all of them. Cheap to copy; the owner keeps the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    /// None.
    pub const NONE: Pairs<'static> = Pairs(&[]);

    /// Reads the text. A last name without a value has an empty one.
    #[must_use]
    pub const fn of_text(text: &'a [u8]) -> Pairs<'a> {
        Pairs(text)
    }

    /// The text.
    #[must_use]
    pub const fn as_text(self) -> &'a [u8] {
        self.0
    }

    /// Whether there are none.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// What belongs to a name: the first, if it is there several times.
    #[must_use]
    pub fn get(self, name: &[u8]) -> Option<&'a [u8]> {
        if self.is_empty() {
            return None;
        }
        let mut parts = self.0.split(|byte| *byte == TAG_END);
        while let Some(present) = parts.next() {
            let value = parts.next().unwrap_or_default();
            if present == name {
                return Some(value);
            }
        }
        None
    }

    /// The text that [`Pairs::of_text`] reads, without control characters but the separator.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn to_text(pairs: &[(std::string::String, std::string::String)]) -> std::string::String {
        let mut text = std::string::String::new();
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            if !text.is_empty() {
                text.push(TAG_END.into());
            }
            text.extend(part.chars().map(|c| if c.is_control() { '_' } else { c }));
        }
        text
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn each_name_has_its_value() {
        let pairs = |list: &[(&str, &str)]| -> String {
            let list: Vec<_> = list.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect();
            Pairs::to_text(&list)
        };
        let text = pairs(&[("shop", "store"), ("empty", ""), ("st\u{1d}ore", "x\n")]);
        let read = Pairs::of_text(text.as_bytes());
        for (name, value) in [
            ("shop", Some("store")),
            ("store", None),
            ("empty", Some("")),
            ("st_ore", Some("x_")),
            ("", None),
        ] {
            assert_eq!(read.get(name.as_bytes()), value.map(str::as_bytes), "{name}");
        }
        assert!(Pairs::NONE.is_empty() && Pairs::NONE.get(b"").is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_found(list in proptest::collection::vec(("[a-z.]{1,9}", ".{0,9}"), 0..9)) {
            let text = Pairs::to_text(&list);
            for (name, _) in &list {
                let first = list.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str());
                let shown = first.map(|value| value.replace(char::is_control, "_"));
                prop_assert_eq!(Pairs::of_text(text.as_bytes()).get(name.as_bytes()), shown.as_deref().map(str::as_bytes));
            }
        }
    }
}
