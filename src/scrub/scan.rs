//! One pass over one argument: finds what has to be hidden, and what the argument says about the next one.

use super::clients::Client;
use super::pieces::Scrubbed;
use super::value::Until;
use super::{ArgScrubber, Next, names, tokens};

const PEM_BEGIN: &[u8] = b"-----BEGIN";
const PEM_END: &[u8] = b"-----END";

/// Addresses of these schemes name a user without a password: `ssh://git@host`.
const SCHEMES_WITH_USERS: [&[u8]; 4] = [b"ssh", b"sftp", b"rsync", b"svn"];

/// The state of the pass.
pub(super) struct Scan<'s, 'a> {
    scrubber: &'s mut ArgScrubber,
    pub(super) scrubbed: &'s mut Scrubbed<'a>,
    pub(super) arg: &'a [u8],
    /// `NAME: VALUE` for `-H`.
    is_header: bool,
    /// The argument is a text of commands.
    pub(super) is_commands: bool,
    /// The quote that is open at the current place of a text.
    pub(super) quote: Option<u8>,
}

/// How far an address is searched for the end of a password that has a slash in it, in bytes.
const USER_INFO_MAX: usize = 512;

/// Whether a word can be the value of the option before it: one that looks like an option is taken for one.
pub(super) fn is_value(word: &[u8]) -> bool {
    !word.starts_with(b"-") || word.len() == 1
}

/// Where the PEM block that is open at the beginning ends; `None` if not in this argument.
pub(super) fn end_of_pem(arg: &[u8]) -> Option<usize> {
    let label = position_of(arg, PEM_END)? + PEM_END.len();
    let rest = arg.get(label..)?;
    Some(label + position_of(rest, b"-----").map_or(rest.len(), |dashes| dashes + 5))
}

fn position_of(text: &[u8], needle: &[u8]) -> Option<usize> {
    (0..text.len()).find(|&at| text.get(at..).is_some_and(|rest| rest.starts_with(needle)))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

pub(super) fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

pub(super) fn ends_command(byte: u8) -> bool {
    matches!(byte, b';' | b'|' | b'&' | b'(' | b')' | b'\n' | b'`')
}

impl<'s, 'a> Scan<'s, 'a> {
    pub(super) fn new(
        scrubber: &'s mut ArgScrubber,
        arg: &'a [u8],
        announced: Next,
        scrubbed: &'s mut Scrubbed<'a>,
    ) -> Self {
        let is_commands = announced == Next::Commands;
        if is_commands {
            scrubber.on_command_end();
        }
        Scan { scrubber, scrubbed, arg, is_header: announced == Next::Header, is_commands, quote: None }
    }

    /// Goes through the argument from `at` to its end.
    pub(super) fn run(mut self, mut at: usize) {
        while let Some(byte) = self.byte(at) {
            if self.starts_word(at)
                && let Some(after) = self.word(at)
            {
                at = after;
            } else if is_name_byte(byte) {
                at = self.name(at);
            } else {
                self.mark(at, byte);
                at += 1;
            }
        }
        if self.is_commands {
            // `sh -c TEXT NAME ARG...`: the words behind the text are no commands.
            self.scrubber.on_command_end();
            self.scrubber.expects_command = false;
        }
    }

    /// Keeps track of open quotes, and of where a command ends in a text of them.
    fn mark(&mut self, at: usize, byte: u8) {
        let before = self.before(at);
        let substitutes = byte == b'`' || (byte == b'(' && before == Some(b'$'));
        if self.is_commands && ends_command(byte) && (self.quote.is_none() || substitutes) {
            self.scrubber.on_command_end();
        }
        if matches!(byte, b'"' | b'\'') && before != Some(b'\\') {
            self.quote = match self.quote {
                None => Some(byte),
                Some(open) if open == byte => None,
                other => other,
            };
        }
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.arg.get(at).copied()
    }

    pub(super) fn before(&self, at: usize) -> Option<u8> {
        self.byte(at.wrapping_sub(1))
    }

    pub(super) fn from(&self, at: usize) -> &'a [u8] {
        self.arg.get(at..).unwrap_or_default()
    }

    /// The place of the first byte from `at` on that `stops`, or the end.
    pub(super) fn find(&self, at: usize, stops: impl Fn(u8) -> bool) -> usize {
        let rest = self.from(at);
        at + rest.iter().position(|&byte| stops(byte)).unwrap_or(rest.len())
    }

    fn skip_blanks(&self, at: usize) -> usize {
        self.find(at, |byte| !is_blank(byte))
    }

    fn starts_word(&self, at: usize) -> bool {
        self.before(at).is_none_or(|byte| is_blank(byte) || is_quote(byte) || ends_command(byte))
    }

    /// Handles what only a whole word tells: the program that is run, and its short options. Says where to go on if
    /// the word is done with.
    fn word(&mut self, at: usize) -> Option<usize> {
        let end = self.find(at, |byte| is_blank(byte) || is_quote(byte) || ends_command(byte));
        let word = self.arg.get(at..end)?;
        if word.is_empty() {
            return None;
        }
        if !word.starts_with(b"-") {
            self.scrubber.on_word(word);
            return None;
        }
        if self.scrubber.client == Client::NONE {
            return None;
        }
        let whole_end = self.value_end(at, if at == 0 && !self.is_commands { Until::End } else { Until::Word });
        if let Some(letters) = self.scrubber.client.glued(self.arg.get(at..whole_end)?) {
            self.scrubbed.hide(at + letters, whole_end);
            return Some(whole_end);
        }
        if self.scrubber.client.separate(word) {
            return Some(self.value_behind(end));
        }
        None
    }

    /// Handles the run of letters, digits, `-`, `_` and `.` that begins at `start`, and says where to go on.
    fn name(&mut self, start: usize) -> usize {
        let end = self.find(start, |byte| !is_name_byte(byte));
        let name = self.arg.get(start..end).unwrap_or_default();
        if name.ends_with(PEM_BEGIN) {
            return self.pem(end - PEM_BEGIN.len());
        }
        if let Some(token) = tokens::find(name) {
            self.scrubbed.hide(start + token, end);
            return end;
        }
        let rest = self.from(end);
        if let Some(authority) = rest.strip_prefix(b"://") {
            return self.address(name, self.arg.len() - authority.len());
        }
        if rest.starts_with(b"=") {
            return self.assignment(start, name, end + 1);
        }
        if rest.starts_with(b"%3D") || rest.starts_with(b"%3d") {
            return self.assignment(start, name, end + 3);
        }
        if rest.starts_with(b":") {
            return self.header(start, name, end + 1);
        }
        if let Some(value) = self.json_value(end)
            && names::is_secret(name)
        {
            // The quote that was open around the name is behind us.
            self.quote = self.quote.filter(|&open| Some(open) != self.before(start));
            return self.hide_value(value, Until::Any(b",}"));
        }
        if name.eq_ignore_ascii_case(b"bearer") {
            return self.bearer(end);
        }
        let is_whole_word = rest.first().is_none_or(|&byte| is_blank(byte));
        if is_whole_word && name.starts_with(b"-") && self.starts_word(start) && names::is_secret_option(name) {
            return self.value_behind(end);
        }
        end
    }

    fn pem(&mut self, start: usize) -> usize {
        match end_of_pem(self.from(start)) {
            Some(length) => {
                self.scrubbed.hide(start, start + length);
                start + length
            }
            None => {
                self.scrubber.inside_pem = true;
                self.scrubbed.hide_rest(start);
                self.arg.len()
            }
        }
    }

    /// `scheme://NAME:PASSWORD@host`; `start` is behind the slashes.
    fn address(&mut self, scheme: &[u8], start: usize) -> usize {
        let ends_word = |byte| is_blank(byte) || is_quote(byte) || matches!(byte, b'<' | b'>');
        let authority_end = self.find(start, |byte| ends_word(byte) || matches!(byte, b'/' | b'?' | b'#'));
        let authority = self.arg.get(start..authority_end).unwrap_or_default();
        let last_at = |end: usize| self.arg.get(start..end)?.iter().rposition(|&byte| byte == b'@');
        let user_info = last_at(authority_end).or_else(|| {
            // A password with an unencoded slash: what stands behind the colon is no port.
            let port = authority.iter().rposition(|&byte| byte == b':').and_then(|colon| authority.get(colon + 1..))?;
            let near = self.arg.get(start..).map(|rest| rest.get(..USER_INFO_MAX).unwrap_or(rest))?;
            let word = near.iter().position(|&byte| ends_word(byte)).unwrap_or(near.len());
            if port.iter().all(u8::is_ascii_digit) { None } else { last_at(start + word) }
        });
        let Some(length) = user_info else { return start };
        let user = self.arg.get(start..start + length).unwrap_or_default();
        let user_only = !user.contains(&b':') && (user == b"git" || SCHEMES_WITH_USERS.contains(&scheme));
        if !user_only {
            self.scrubbed.hide(start, start + length);
        }
        start + length
    }

    /// `NAME=VALUE`; `value` is behind the sign.
    fn assignment(&mut self, start: usize, name: &[u8], value: usize) -> usize {
        let before = self.before(start);
        let in_query = matches!(before, Some(b'?' | b'&'));
        let secret = if in_query { names::is_secret_parameter(name) } else { names::is_secret(name) };
        if !secret {
            return value;
        }
        let until = match before {
            _ if self.is_own_argument(start) => Until::End,
            Some(quote) if is_quote(quote) => self.until_quote(start),
            Some(b'?' | b'&') => Until::Any(b"&#;<>"),
            Some(b',') => Until::Any(b","),
            // The encoded sign: an address within a parameter of another one.
            _ if value > start + name.len() + 1 => Until::Any(b"&#"),
            Some(b';') if !self.is_commands => Until::Semicolon,
            _ => Until::Word,
        };
        let text = self.value(value, until);
        // A macro that is a number, and the library of that name that rustc is told of.
        let is_number = name.starts_with(b"-D") && text.iter().all(u8::is_ascii_digit);
        let is_library =
            !text.contains(&b'=') && (text.ends_with(b".rlib") || text.ends_with(b".rmeta") || text.ends_with(b".so"));
        if is_number || is_library || names::is_plain_value(text) {
            return value;
        }
        self.hide_value(value, until)
    }

    /// `NAME: VALUE`; `value` is behind the colon.
    fn header(&mut self, start: usize, name: &[u8], value: usize) -> usize {
        let has_blank = self.byte(value).is_some_and(is_blank);
        let whole = names::is_secret_header(name);
        if !(whole || names::is_secret(name) && (has_blank || self.is_header)) {
            return value;
        }
        let until = match self.before(start) {
            _ if self.is_own_argument(start) && (whole || self.is_header) => Until::End,
            Some(quote) if is_quote(quote) => self.until_quote(start),
            _ if whole => Until::Line,
            _ => Until::Word,
        };
        self.hide_value(self.skip_blanks(value), until)
    }

    /// Behind a name: closing quote, colon, and where the value begins, if that is what stands there.
    fn json_value(&self, at: usize) -> Option<usize> {
        let at = self.find(at, |byte| byte != b'\\');
        if !is_quote(self.byte(at)?) {
            return None;
        }
        let colon = self.skip_blanks(at + 1);
        (self.byte(colon)? == b':').then(|| self.skip_blanks(colon + 1))
    }

    fn bearer(&mut self, at: usize) -> usize {
        let start = if self.from(at).starts_with(b"%20") { at + 3 } else { self.skip_blanks(at) };
        let fits = |byte: u8| is_name_byte(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=');
        let end = self.find(start, |byte| !fits(byte));
        let text = self.arg.get(start..end).unwrap_or_default();
        // A sentence has the word, too.
        if start > at && (text.len() >= 20 || (text.len() >= 8 && text.iter().any(u8::is_ascii_digit))) {
            self.scrubbed.hide(start, end);
            return end;
        }
        at
    }

    /// Hides the word behind an option that ends at `at`; if there is none here, the next argument is it.
    fn value_behind(&mut self, at: usize) -> usize {
        let value = self.skip_blanks(at);
        if value >= self.arg.len() {
            self.scrubber.next = Next::Secret;
            return value;
        }
        let text = self.value(value, Until::Word);
        if value == at || !is_value(text) || names::is_plain_value(text) {
            return at;
        }
        self.hide_value(value, Until::Word)
    }
}
