//! Redis: RESP2 and RESP3 (redis.io, "Redis serialization protocol specification").
//!
//! Of a command its name and first argument are seen (a key, or the name of a subcommand); of an answer only whether it is
//! an error. Connections that subscribe, or ask for no answers, are left alone.

use super::{End, Event, Lost, Protocol, Request, Response, Room, Side, Tell};
use ddtrace::context::Bounded;
use ddtrace::scrub::redis::{mark, shows_argument};

/// The most bytes of a command's text: its name, what is seen of its arguments, and a mark for each of the others.
const MAX_COMMAND: usize = 160;
/// More elements in one answer than any server gives.
const MOST_ELEMENTS: u64 = 1 << 40;

/// Commands after which answers do not follow commands any more.
const ENDLESS: [&[u8]; 6] = [b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR", b"SYNC", b"PSYNC"];

/// A command as `redis-cli` would show it, with `?` for its values.
pub struct Command<'a> {
    /// The name, as it was sent.
    pub name: &'a [u8],
    /// Name and arguments.
    pub text: &'a [u8],
}

/// A whole number and the end of its line, in the making.
#[derive(Clone, Copy, Default, Debug)]
struct Number {
    value: i64,
    is_negative: bool,
    has_digits: bool,
}

impl Number {
    /// Takes the next byte; gives the number at the end of its line.
    fn feed(&mut self, byte: u8) -> Result<Option<i64>, Lost> {
        match byte {
            b'-' if !self.has_digits && !self.is_negative => self.is_negative = true,
            b'0'..=b'9' => {
                let digit = i64::from(byte.wrapping_sub(b'0'));
                self.value = self.value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or(Lost)?;
                self.has_digits = true;
            }
            b'\r' => {}
            b'\n' if self.has_digits => {
                return Ok(Some(if self.is_negative { self.value.wrapping_neg() } else { self.value }));
            }
            _ => return Err(Lost),
        }
        Ok(None)
    }
}

/// Where in a command.
#[derive(Clone, Copy, Debug)]
enum At {
    Start,
    Count(Number),
    /// Before the length of an argument.
    Mark,
    Length(Number),
    /// In an argument, with so many bytes to go, its line end included.
    Argument(u64),
}

/// What the client sends.
struct Commands {
    at: At,
    /// How many arguments are to come, the present one included, and which it is.
    left: u64,
    index: u32,
    shows: bool,
    shown: usize,
    name: u8,
    text: Bounded<MAX_COMMAND>,
}

/// What the server sends.
struct Answers {
    /// How many elements of the present answer are to come; 0 is between answers.
    left: u64,
    state: Element,
    /// It belongs to no command.
    is_push: bool,
    is_error: bool,
    code: Bounded<14>,
}

/// Where in an element.
#[derive(Clone, Copy, Debug)]
enum Element {
    Kind,
    /// In a line; `true` where it says what the error is.
    Line(bool),
    /// In the number of what follows the kind.
    Count(u8, Number),
    /// In a text with so many bytes to go.
    Text(u64, bool),
}

/// A connection to Redis.
pub struct Redis {
    commands: Commands,
    answers: Answers,
    /// How many commands wait for their answers.
    pending: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Redis {
            commands: Commands {
                at: At::Start,
                left: 0,
                index: 0,
                shows: false,
                shown: 0,
                name: 0,
                text: Bounded::new(),
            },
            answers: Answers { left: 0, state: Element::Kind, is_push: false, is_error: false, code: Bounded::new() },
            pending: 0,
        }
    }
}

impl Protocol for Redis {
    fn begins_with(first: u8) -> bool {
        first == b'*'
    }

    fn feed(&mut self, side: Side, bytes: &[u8], _: &mut dyn Room, tell: &mut Tell<'_>) -> Result<(), Lost> {
        match side {
            Side::Client => self.client_bytes(bytes, tell),
            Side::Server => self.server_bytes(bytes, tell),
        }
    }

    fn skip(&mut self, _: Side, count: u64, _: &mut Tell<'_>) -> Result<(), Lost> {
        if count == 0 { Ok(()) } else { Err(Lost) }
    }

    fn closed(&mut self, side: Side, tell: &mut Tell<'_>) {
        if side == Side::Server {
            while self.pending > 0 {
                self.pending = self.pending.wrapping_sub(1);
                tell(Event::End(End { is_complete: false, request_bytes: 0, response_bytes: 0 }));
            }
        }
    }
}

impl Commands {
    /// The name of the command.
    fn name(&self) -> &[u8] {
        self.text.as_bytes().get(..usize::from(self.name)).unwrap_or_default()
    }

    fn is_one_of(&self, names: &[&[u8]]) -> bool {
        names.iter().any(|name| self.name().eq_ignore_ascii_case(name))
    }

    /// An argument begins.
    fn begin_argument(&mut self, length: u64) -> Result<(), Lost> {
        self.shown = 0;
        self.shows = match self.index {
            0 => true,
            1 => shows_argument(self.name(), length),
            _ => false,
        };
        if self.index == 0 && (length == 0 || length > 32) {
            return Err(Lost);
        }
        if self.index == 1 && self.shows {
            let _ = self.text.push(b" ");
        } else if self.index > 0 {
            let _ = self.text.push(mark(self.index));
        }
        self.at = At::Argument(length.checked_add(2).ok_or(Lost)?);
        Ok(())
    }
}

impl Redis {
    fn client_bytes(&mut self, bytes: &[u8], tell: &mut Tell<'_>) -> Result<(), Lost> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            let commands = &mut self.commands;
            let mut next = after;
            match &mut commands.at {
                At::Start if *byte == b'*' => commands.at = At::Count(Number::default()),
                At::Count(number) => {
                    if let Some(count) = number.feed(*byte)? {
                        commands.left = u64::try_from(count).map_err(|_| Lost)?;
                        commands.index = 0;
                        commands.name = 0;
                        commands.text.clear();
                        commands.at = if count == 0 { At::Start } else { At::Mark };
                    }
                }
                At::Mark if *byte == b'$' => commands.at = At::Length(Number::default()),
                At::Length(number) => {
                    if let Some(length) = number.feed(*byte)? {
                        commands.begin_argument(u64::try_from(length).map_err(|_| Lost)?)?;
                    }
                }
                At::Argument(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    // The line end is not the argument's.
                    let content = left.saturating_sub(2);
                    *left = left.wrapping_sub(taken as u64);
                    let is_over = *left == 0;
                    if commands.shows {
                        let seen = usize::try_from(content).unwrap_or(usize::MAX).min(taken);
                        let seen = rest.get(..seen).unwrap_or_default();
                        let _ = commands.text.push(seen);
                        commands.shown = commands.shown.wrapping_add(seen.len());
                    }
                    next = rest.get(taken..).unwrap_or_default();
                    if is_over {
                        self.argument_over(tell)?;
                    }
                }
                At::Start | At::Mark => return Err(Lost),
            }
            rest = next;
        }
        Ok(())
    }

    fn argument_over(&mut self, tell: &mut Tell<'_>) -> Result<(), Lost> {
        let commands = &mut self.commands;
        if commands.index == 0 {
            commands.name = commands.shown.min(255) as u8;
            if commands.is_one_of(&ENDLESS) {
                return Err(Lost);
            }
        }
        let is_reply = |text: &[u8]| text.eq_ignore_ascii_case(b"CLIENT REPLY");
        if commands.index == 1 && is_reply(commands.text.as_bytes()) {
            return Err(Lost);
        }
        commands.index = commands.index.saturating_add(1);
        commands.left = commands.left.wrapping_sub(1);
        if commands.left > 0 {
            commands.at = At::Mark;
            return Ok(());
        }
        commands.at = At::Start;
        self.pending = self.pending.wrapping_add(1);
        let command = Command { name: self.commands.name(), text: self.commands.text.as_bytes() };
        tell(Event::Request(Request::Redis(&command)));
        Ok(())
    }

    fn server_bytes(&mut self, bytes: &[u8], tell: &mut Tell<'_>) -> Result<(), Lost> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            let answers = &mut self.answers;
            let mut next = after;
            let mut is_over = false;
            match &mut answers.state {
                Element::Kind => {
                    let is_first = answers.left == 0;
                    if is_first {
                        answers.left = 1;
                        answers.is_push = *byte == b'>';
                        answers.is_error = matches!(byte, b'-' | b'!');
                        answers.code.clear();
                    }
                    let tells = is_first && answers.is_error;
                    answers.state = match byte {
                        b'-' => Element::Line(tells),
                        b'+' | b':' | b'_' | b',' | b'#' | b'(' => Element::Line(false),
                        b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' => {
                            Element::Count(*byte, Number::default())
                        }
                        _ => return Err(Lost),
                    };
                }
                Element::Line(tells) => {
                    if *byte == b'\n' {
                        is_over = true;
                    } else if *tells && !matches!(byte, b' ' | b'\r') {
                        // A code is longer than there is room for only where it is none.
                        *tells = answers.code.push(&[*byte]).is_ok();
                    } else {
                        *tells = false;
                    }
                }
                Element::Count(kind, number) => {
                    let kind = *kind;
                    if let Some(count) = number.feed(*byte)? {
                        let count = u64::try_from(count).unwrap_or(0);
                        let (elements, itself) = match kind {
                            _ if number.is_negative => (0, 1),
                            b'$' | b'=' | b'!' => {
                                let tells = kind == b'!' && answers.is_error && answers.left == 1;
                                answers.state = Element::Text(count.checked_add(2).ok_or(Lost)?, tells);
                                rest = next;
                                continue;
                            }
                            b'%' => (count.checked_mul(2).ok_or(Lost)?, 1),
                            // What an attribute is about follows.
                            b'|' => (count.checked_mul(2).ok_or(Lost)?, 0),
                            _ => (count, 1),
                        };
                        answers.left =
                            answers.left.checked_add(elements).filter(|left| *left < MOST_ELEMENTS).ok_or(Lost)?;
                        is_over = itself == 1;
                        answers.state = Element::Kind;
                    }
                }
                Element::Text(left, tells) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left = left.wrapping_sub(taken as u64);
                    is_over = *left == 0;
                    let piece = rest.get(..taken).unwrap_or_default();
                    for byte in piece.iter().take(if *tells { 16 } else { 0 }) {
                        if *tells && !matches!(byte, b' ' | b'\r' | b'\n') {
                            *tells = answers.code.push(&[*byte]).is_ok();
                        } else {
                            *tells = false;
                        }
                    }
                    next = rest.get(taken..).unwrap_or_default();
                }
            }
            if is_over {
                self.answers.state = Element::Kind;
                self.answers.left = self.answers.left.saturating_sub(1);
                if self.answers.left == 0 && !self.answers.is_push {
                    self.answered(tell)?;
                }
            }
            rest = next;
        }
        Ok(())
    }

    /// The oldest command has its answer.
    fn answered(&mut self, tell: &mut Tell<'_>) -> Result<(), Lost> {
        self.pending = self.pending.checked_sub(1).ok_or(Lost)?;
        if self.answers.is_error {
            tell(Event::Response(Response::Failed(self.answers.code.as_bytes())));
        }
        tell(Event::End(End { is_complete: true, request_bytes: 0, response_bytes: 0 }));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
