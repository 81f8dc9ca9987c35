//! Where values begin and end: quotes, words of a shell, parameters of an address.

use super::scan::{Scan, ends_command, is_blank, is_quote};

/// Where the value behind a name ends.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// At the end of the argument.
    End,
    /// At one of these, or at a blank or a quote.
    Any(&'static [u8]),
    /// At a semicolon or a quote; blanks belong to it.
    Semicolon,
    /// At this quote, with a backslash before it if the opening one had that.
    Quote { quote: u8, escaped: bool },
    /// Where a shell's word ends.
    Word,
    /// At a quote or the end of the line.
    Line,
}

impl<'a> Scan<'_, 'a> {
    /// Hides the value that begins at `value` and says where to go on. Quotes around it stay, but for those of a shell's
    /// word: more of the word may follow behind them.
    pub(super) fn hide_value(&mut self, value: usize, until: Until) -> usize {
        let start = self.inside_quote(value);
        let is_escaped = start > value + 1;
        if start == value || matches!(until, Until::End) || (matches!(until, Until::Word) && !is_escaped) {
            let end = self.value_end(value, until);
            self.scrubbed.hide(value, end);
            return end;
        }
        let end = self.value_end(start, self.until_quote(start));
        self.scrubbed.hide(start, end);
        // Behind the closing quote, as the opening one was not marked either.
        (self.find(end, is_quote) + 1).min(self.arg.len())
    }

    /// The value that begins at `value`, without quotes around it.
    pub(super) fn value(&self, value: usize, until: Until) -> &'a [u8] {
        let text = self.arg.get(value..self.value_end(value, until)).unwrap_or_default();
        match text {
            [first, inside @ .., last] if is_quote(*first) && first == last => inside,
            text => text,
        }
    }

    /// The end of what begins at `start`, behind a quote.
    pub(super) fn until_quote(&self, start: usize) -> Until {
        let escaped = self.before(start.wrapping_sub(1)) == Some(b'\\');
        Until::Quote { quote: self.before(start).unwrap_or(b'"'), escaped }
    }

    /// Behind the quote that begins a value, escaped or not.
    fn inside_quote(&self, value: usize) -> usize {
        let at = self.find(value, |byte| byte != b'\\');
        if self.byte(at).is_some_and(is_quote) { at + 1 } else { value }
    }

    /// Where the value that begins at `start` ends.
    pub(super) fn value_end(&self, start: usize, until: Until) -> usize {
        if let Until::End = until {
            return self.arg.len();
        }
        let mut open = None;
        let mut after_backslash = false;
        let stops = |byte: u8| {
            let escaped = after_backslash;
            after_backslash = byte == b'\\' && !escaped;
            match until {
                Until::Quote { quote, escaped: wanted } => byte == quote && escaped == wanted,
                _ if escaped => false,
                Until::End => false,
                Until::Line => is_quote(byte) || byte == b'\n',
                Until::Semicolon => is_quote(byte) || byte == b';',
                Until::Any(ends) => is_blank(byte) || is_quote(byte) || ends.contains(&byte),
                Until::Word if open.is_some() => {
                    open = open.filter(|&quote| quote != byte);
                    false
                }
                Until::Word if Some(byte) == self.quote => true,
                Until::Word if is_quote(byte) => {
                    open = Some(byte);
                    false
                }
                Until::Word => is_blank(byte) || ends_command(byte),
            }
        };
        let rest = self.from(start);
        let length = rest.iter().copied().position(stops).unwrap_or(rest.len());
        // The backslash belongs to the quote.
        let escaped = matches!(until, Until::Quote { escaped: true, .. }) && length < rest.len();
        start + length.saturating_sub(usize::from(escaped))
    }

    /// Whether a name stands where its value is the rest of the argument, whatever is in there: the shell has taken the
    /// quotes away.
    pub(super) fn is_own_argument(&self, start: usize) -> bool {
        let before = self.arg.get(..start).unwrap_or_default();
        !self.is_commands
            && before.last().is_none_or(|&byte| byte == b'=')
            && !before.iter().any(|&byte| is_blank(byte) || is_quote(byte) || matches!(byte, b'?' | b'&'))
    }
}
