//! Text from outside made safe and measurable: no escapes, no invisible or direction-changing characters.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a terminal gives to `text`.
pub fn width(text: &str) -> usize {
    text.width()
}

/// One line without anything that a terminal would obey.
///
/// Runs of blanks, tabs and line ends become one blank; other control characters are written as `^X`; characters
/// that are invisible or change the direction of text are dropped or replaced; with `unicode` false everything
/// outside of ASCII becomes `?`.
pub fn clean(text: &str, unicode: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {
                while chars.next_if(|next| next.is_whitespace()).is_some() {}
                out.push(' ');
            }
            '\0'..='\x1f' => out.extend(['^', char::from(c as u8 ^ 0x40)]),
            '\x7f' => out.push_str("^?"),
            ' '..='~' => out.push(c),
            _ if !unicode => out.push('?'),
            c if is_joiner(c) => {}
            c if is_deceptive(c) || c.width().is_none() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Glues or restyles its neighbours: terminals disagree about the width of what comes out.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e01ef}' | '\u{ad}')
}

/// Unseen, or able to make text look like another text.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}')
}

/// The longest beginning of `text` that is at most `columns` wide.
pub fn prefix(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > columns {
            return &text[..at];
        }
    }
    text
}

/// `text` in at most `columns`, with the mark in place of what was cut off its end.
pub fn cut(text: &str, columns: usize, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let mark = prefix(mark, columns);
    format!("{}{mark}", prefix(text, room).trim_end())
}

/// `text` cut or filled with blanks to exactly `columns`.
pub fn pad(text: &str, columns: usize, mark: &str) -> String {
    let text = cut(text, columns, mark);
    let missing = columns.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(missing))
}

/// `text` set against the right edge of `columns`; what is wider stays as it is.
pub fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `count` and the noun in the right number: `1 process`, `2 processes`.
pub fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_of_a_terminal_escape_survives() {
        assert_eq!(clean("a\x1b]0;owned\x07b\x7f", true), "a^[]0;owned^Gb^?");
        assert_eq!(clean("\u{9b}31m", true), "\u{fffd}31m");
        assert_eq!(clean("evil\u{202e}gpj.exe", true), "evil\u{fffd}gpj.exe");
        assert_eq!(clean("one\r\n\t two", true), "one two");
        assert_eq!(clean("naïve ✓", false), "na?ve ?");
    }

    #[test]
    fn wide_characters_are_never_cut_in_half() {
        assert_eq!(prefix("日本語", 3), "日");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(pad("日本語", 4, "…"), "日… ");
        assert_eq!(pad("ab", 4, "…"), "ab  ");
    }

    proptest! {
        #[test]
        fn clean_text_prints_as_it_is(text in any::<String>(), unicode: bool) {
            let cleaned = clean(&text, unicode);
            prop_assert!(!cleaned.chars().any(char::is_control));
            prop_assert_eq!(&clean(&cleaned, unicode), &cleaned);
            prop_assert!(unicode || cleaned.is_ascii());
        }

        #[test]
        fn padded_text_has_the_width_asked_for(text in any::<String>(), columns in 0usize..40) {
            prop_assert_eq!(width(&pad(&clean(&text, true), columns, "…")), columns);
        }
    }
}
