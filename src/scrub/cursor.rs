//! Small steps through bytes: each takes a place and gives the place behind what it found.

/// The byte at a place.
pub(super) fn byte(text: &[u8], at: usize) -> Option<u8> {
    text.get(at).copied()
}

/// What lies behind a place.
pub(super) fn from(text: &[u8], at: usize) -> &[u8] {
    text.get(at..).unwrap_or_default()
}

/// Behind `word`, if it stands here, in any letter case.
pub(super) fn word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at.saturating_add(word.len());
    text.get(at..end)?.eq_ignore_ascii_case(word).then_some(end)
}

/// Behind the first of `words` that stands here, in any letter case.
pub(super) fn any_word(text: &[u8], at: usize, words: &[&[u8]]) -> Option<usize> {
    words.iter().find_map(|candidate| word(text, at, candidate))
}

/// Behind all that `step` finds one after the other, and how often it did; no more often than `most`.
pub(super) fn repeat(
    text: &[u8],
    mut at: usize,
    most: usize,
    step: impl Fn(&[u8], usize) -> Option<usize>,
) -> (usize, usize) {
    let mut count = 0;
    while count < most
        && let Some(next) = step(text, at)
    {
        at = next;
        count = count.saturating_add(1);
    }
    (at, count)
}

/// Behind a run of bytes that `is` accepts; the place itself where there are none.
pub(super) fn run(text: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    at.saturating_add(from(text, at).iter().take_while(|byte| is(**byte)).count())
}

/// Behind one byte that `is` accepts.
pub(super) fn one(text: &[u8], at: usize, is: impl Fn(u8) -> bool) -> Option<usize> {
    is(byte(text, at)?).then_some(at.saturating_add(1))
}
