//! Globs of sampling rules: `*` is any run of characters, `?` is one; letter case does not count; the whole text must
//! match. There is no escape and no class.

/// A part of a rule set's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    start: u16,
    length: u16,
}

impl Piece {
    /// Nothing.
    pub(super) const EMPTY: Piece = Piece { start: 0, length: 0 };

    /// The piece with this place in the text. Both are below 65,536: no rule set's text is longer.
    pub(super) fn new(start: usize, length: usize) -> Piece {
        Piece { start: start as u16, length: length as u16 }
    }

    pub(super) fn is_empty(self) -> bool {
        self.length == 0
    }

    fn len(self) -> usize {
        self.length.into()
    }

    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        let start = usize::from(self.start);
        text.get(start..start.wrapping_add(usize::from(self.length))).unwrap_or_default()
    }
}

/// What a glob comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// `*`
    Any,
    /// `abc`
    Literal,
    /// `abc*`
    Prefix,
    /// `*abc`
    Suffix,
    /// Everything else.
    General,
}

/// A glob, looked at once: most of those in use are a literal text with a star at one end, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    kind: Kind,
    /// The literal part, or the whole of a general glob.
    piece: Piece,
}

impl Pattern {
    /// Matches everything.
    pub(super) const ANY: Pattern = Pattern { kind: Kind::Any, piece: Piece::EMPTY };

    /// Looks at the glob that stands at `start`.
    pub(super) fn new(glob: &[u8], start: usize) -> Pattern {
        let leading = glob.iter().take_while(|byte| **byte == b'*').count();
        let rest = glob.get(leading..).unwrap_or_default();
        let trailing = rest.iter().rev().take_while(|byte| **byte == b'*').count();
        let literal = rest.get(..rest.len().saturating_sub(trailing)).unwrap_or_default();
        let inside = Piece::new(start.wrapping_add(leading), literal.len());
        // The quick ways compare bytes; the two cases of other letters may differ in length.
        let is_literal = literal.iter().all(|byte| byte.is_ascii() && !matches!(byte, b'*' | b'?'));
        let (kind, piece) = match (leading > 0, trailing > 0) {
            (true, _) if rest.is_empty() => (Kind::Any, Piece::EMPTY),
            (false, false) if is_literal => (Kind::Literal, inside),
            (false, true) if is_literal => (Kind::Prefix, inside),
            (true, false) if is_literal => (Kind::Suffix, inside),
            _ => (Kind::General, Piece::new(start, glob.len())),
        };
        Pattern { kind, piece }
    }

    /// Whether a value matches; `text` is what the glob stands in.
    #[inline]
    pub(super) fn matches(self, text: &[u8], value: &[u8]) -> bool {
        let length = self.piece.len();
        let candidate = match self.kind {
            Kind::Any => return true,
            Kind::General => return matches(self.piece.of(text), value),
            Kind::Literal => Some(value),
            Kind::Prefix => value.get(..length),
            Kind::Suffix => value.len().checked_sub(length).and_then(|start| value.get(start..)),
        };
        candidate.is_some_and(|candidate| candidate.len() == length && same(candidate, self.piece.of(text)))
    }
}

/// Whether texts of one length are the same but for letter case. Ends are looked at first: names and resources of one
/// application begin alike.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    match (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(one_end), Some(other_end)) => {
            same_eight(one_end, other_end) && {
                let ((one, _), (other, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_eight(one, other))
            }
        }
        _ => one.eq_ignore_ascii_case(other),
    }
}

#[inline]
fn same_eight(one: &[u8; 8], other: &[u8; 8]) -> bool {
    const CASE: u64 = 0x2020_2020_2020_2020;
    let (one, other) = (u64::from_ne_bytes(*one), u64::from_ne_bytes(*other));
    let difference = one ^ other;
    // What differs in one bit only may be the two cases of a letter.
    difference & !CASE == 0 && (difference == 0 || difference & !letters(one) == 0)
}

/// The bit of letter case in each byte that is an ASCII letter.
#[inline]
fn letters(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let lower = bytes | (EACH * 0x20);
    let seven_bits = lower & (EACH * 0x7f);
    // The top bit of a byte says: at least `a`; above `z`; ASCII.
    let at_least_a = seven_bits.wrapping_add(EACH * (0x80 - b'a' as u64));
    let above_z = seven_bits.wrapping_add(EACH * (0x7f - b'z' as u64));
    (at_least_a & !above_z & !bytes & (EACH * 0x80)) >> 2
}

/// Whether a value matches a glob. Takes at most the product of their lengths.
pub(super) fn matches(glob: &[u8], value: &[u8]) -> bool {
    let (mut glob, mut value) = (glob, value);
    // Only the last star need ever take more: what matched before it matches with the shortest runs.
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        let matched = match glob.split_first() {
            Some((b'*', [])) => return true,
            Some((b'*', rest)) => {
                last_star = Some((rest, value));
                Some((rest, value))
            }
            Some((b'?', rest)) => without_first_character(value).map(|value| (rest, value)),
            Some((wanted, rest)) if wanted.is_ascii() => {
                value.split_first().filter(|(byte, _)| byte.eq_ignore_ascii_case(wanted)).map(|(_, value)| (rest, value))
            }
            Some(_) => without_same_character(glob, value),
            None if value.is_empty() => return true,
            None => None,
        };
        (glob, value) = match (matched, last_star) {
            (Some(further), _) => further,
            (None, Some((rest, [_, longer @ ..]))) => {
                last_star = Some((rest, longer));
                (rest, longer)
            }
            _ => return false,
        };
    }
}

/// What follows the first characters, if these are the same but for letter case. What is no UTF-8 is compared as bytes.
#[cold]
fn without_same_character<'g, 'v>(glob: &'g [u8], value: &'v [u8]) -> Option<(&'g [u8], &'v [u8])> {
    let (after_glob, after_value) = (without_first_character(glob)?, without_first_character(value)?);
    let wanted = glob.get(..glob.len().saturating_sub(after_glob.len()))?;
    let present = value.get(..value.len().saturating_sub(after_value.len()))?;
    let is_same = wanted == present
        || match (core::str::from_utf8(wanted), core::str::from_utf8(present)) {
            (Ok(wanted), Ok(present)) => {
                wanted.chars().flat_map(char::to_lowercase).eq(present.chars().flat_map(char::to_lowercase))
            }
            _ => false,
        };
    is_same.then_some((after_glob, after_value))
}

/// A character is a byte and the UTF-8 continuation bytes after it.
fn without_first_character(text: &[u8]) -> Option<&[u8]> {
    let (_, mut rest) = text.split_first()?;
    while let [0x80..=0xbf, after @ ..] = rest {
        rest = after;
    }
    Some(rest)
}

/// Whether a glob consists of wildcards alone.
pub(super) fn is_all_wildcards(glob: &[u8]) -> bool {
    !glob.is_empty() && glob.iter().all(|byte| matches!(byte, b'*' | b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};
    use std::vec::Vec;

    fn both_ways(glob: &str, value: &str) -> bool {
        let text = std::format!("in front{glob}behind");
        let by_pattern = Pattern::new(glob.as_bytes(), 8).matches(text.as_bytes(), value.as_bytes());
        assert_eq!(by_pattern, matches(glob.as_bytes(), value.as_bytes()), "{glob:?} {value:?}");
        by_pattern
    }

    #[test]
    fn globs() {
        for (glob, yes, no) in [
            ("*", &["", "a", "shop", "ü"][..], &[][..]),
            ("***", &["", "a"], &[]),
            ("", &[""], &["a"]),
            ("shop", &["shop", "SHOP", "Shop"], &["", "shops", "sho", "shpo", " shop"]),
            ("SHOP", &["shop"], &["shoq"]),
            ("shop*", &["shop", "shopping", "SHOP-1"], &["sho", "ashop", ""]),
            ("*shop", &["shop", "workshop", "WORKSHOP"], &["shops", "hop", ""]),
            ("*shop*", &["shop", "workshops"], &["shp", ""]),
            ("s*p", &["sp", "shop", "s/o/p"], &["s", "p", "shops", "ship?"]),
            ("s?op", &["shop", "stop", "süop", "s?op"], &["sop", "shhop"]),
            ("?", &["a", "ü", "語"], &["", "ab"]),
            ("??", &["ab", "üb"], &["a", "ü", "abc"]),
            ("*?", &["a", "ab", "ü"], &[""]),
            ("?*", &["a", "ab", "ü"], &[""]),
            ("GET /users/*/orders", &["get /users/17/orders", "GET /users//orders"], &["GET /users/orders"]),
            ("a*b*c", &["abc", "a-b-c", "abbcc", "abcbc"], &["ab", "acb", "abcb"]),
            ("[ab]", &["[ab]"], &["a"]),
            (r"a\*", &[r"a\", r"a\b"], &["a*"]),
            ("GET /[api]/*", &["get /[API]/x", "GET /[api]/"], &["GET /{api}/x", "get /[api"]),
            ("*@example.com", &["me@EXAMPLE.com", "@example.com"], &["me`example.com", "me@example.org", "example.com"]),
            ("ÄÖÜäöüß", &["ÄÖÜäöüß", "äöüÄÖÜß"], &["aouaouß", "ÄÖÜäöüss"]),
            ("*café*", &["CAFÉ", "le Café noir"], &["cafe"]),
            ("naïve ?é", &["NAÏVE ÉÉ"], &["naïve é"]),
            ("straße", &["straße", "STRAße"], &["STRASSE", "strase"]),
        ] {
            for value in yes {
                assert!(both_ways(glob, value), "{glob:?} is to match {value:?}");
            }
            for value in no {
                assert!(!both_ways(glob, value), "{glob:?} is not to match {value:?}");
            }
        }
    }

    #[test]
    fn many_stars_take_no_more_than_their_product() {
        let glob = "*a".repeat(1000) + "b";
        let value = "a".repeat(10_000);
        let start = Instant::now();
        assert!(!both_ways(&glob, &value));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    /// What globs mean, said as simply as possible.
    fn naive(glob: &[char], value: &[char]) -> bool {
        match (glob, value) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=value.len()).any(|skipped| naive(rest, &value[skipped..])),
            (['?', rest @ ..], [_, after @ ..]) => naive(rest, after),
            ([wanted, rest @ ..], [present, after @ ..]) => wanted.to_lowercase().eq(present.to_lowercase()) && naive(rest, after),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_naive_matcher_says_the_same(glob in "[abAüé*?*]{0,7}", value in "[abABüé?]{0,9}") {
            let characters = |text: &str| text.chars().collect::<Vec<char>>();
            prop_assert_eq!(both_ways(&glob, &value), naive(&characters(&glob), &characters(&value)));
        }

        #[test]
        fn eight_bytes_at_a_time_are_as_one(
            (one, other) in prop::collection::vec((any::<u8>(), any::<bool>()), 0..20).prop_map(|bytes| {
                let flipped = |(byte, flip): &(u8, bool)| byte ^ (u8::from(*flip) << 5);
                (bytes.iter().map(|(byte, _)| *byte).collect::<Vec<u8>>(), bytes.iter().map(flipped).collect::<Vec<u8>>())
            }),
        ) {
            prop_assert_eq!(same(&one, &other), one.eq_ignore_ascii_case(&other));
        }

        #[test]
        fn arbitrary_bytes_are_no_harm(glob: Vec<u8>, value: Vec<u8>, start in 0..70_000usize) {
            let _ = Pattern::new(&glob, start).matches(&glob, &value);
            prop_assert!(matches(b"*", &value));
        }
    }
}
