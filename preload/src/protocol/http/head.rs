//! The head of a message: start line and header lines, once all of it is there (RFC 9112, sections 2 to 6).

use super::super::Lost;
use super::preamble;
use core::mem::MaybeUninit;
use ddtrace::propagation::Carrier;

/// The longest head that is understood, in bytes. Servers take 8 KiB for a line and mostly 16 or 32 KiB in all.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most header lines that can be looked up. How long a message is follows from all of them.
pub const MOST_LINES: usize = 96;
/// The longest method.
const MAX_METHOD: usize = 24;

/// How the end of a body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// Transfer coding `chunked`.
    Chunked,
    /// The end of the connection. Of responses only.
    Close,
}

/// Where a header line lies in its head.
#[derive(Clone, Copy)]
struct Line {
    start: u16,
    colon: u16,
    /// Behind the line's end.
    end: u16,
}

/// Room for where the lines of a head lie. It is kept apart from them as it is large, and mostly empty.
pub struct Lines([MaybeUninit<Line>; MOST_LINES]);

impl Lines {
    /// Room without anything in it.
    #[must_use]
    pub const fn new() -> Lines {
        Lines([const { MaybeUninit::uninit() }; MOST_LINES])
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

/// Header lines.
pub struct Headers<'a> {
    head: &'a [u8],
    lines: &'a [Line],
    is_complete: bool,
}

/// A header line.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// As it was sent.
    pub name: &'a [u8],
    /// Without the blanks around it.
    pub value: &'a [u8],
    /// Where the line begins in the head.
    pub start: usize,
    /// Where the next one begins.
    pub end: usize,
}

impl<'a> Headers<'a> {
    /// The lines in order, the first [`MOST_LINES`] of them.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + '_ {
        self.lines.iter().filter_map(|line| self.header(*line))
    }

    fn header(&self, line: Line) -> Option<Header<'a>> {
        let (start, colon, end) = (usize::from(line.start), usize::from(line.colon), usize::from(line.end));
        let name = self.head.get(start..colon)?;
        let value = trim(self.head.get(colon.wrapping_add(1)..end)?);
        Some(Header { name, value, start, end })
    }

    /// The value of the first line with this name, in any letter case.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        let [value] = self.first_of([name]);
        value
    }

    /// The value of the first line with each of these names, in any letter case.
    #[must_use]
    pub fn first_of<const COUNT: usize>(&self, names: [&[u8]; COUNT]) -> [Option<&'a [u8]>; COUNT] {
        let mut values = [None; COUNT];
        for line in self.lines {
            let length = usize::from(line.colon.wrapping_sub(line.start));
            for (value, name) in values.iter_mut().zip(names) {
                if length == name.len()
                    && value.is_none()
                    && let Some(header) = self.header(*line)
                    && header.name.eq_ignore_ascii_case(name)
                {
                    *value = Some(header.value);
                }
            }
        }
        values
    }

    /// Whether every line can be looked up.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Where the last line ends and the empty one begins.
    #[must_use]
    pub fn lines_end(&self) -> usize {
        let end = self.head.len();
        end.saturating_sub(if self.head.ends_with(b"\r\n") { 2 } else { 1 })
    }

    /// The head's length in bytes, with the empty line at its end.
    #[must_use]
    pub fn head_length(&self) -> usize {
        self.head.len()
    }
}

impl Carrier for Headers<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let name = name.as_bytes();
        for header in self.iter().filter(|header| header.name.len() == name.len()) {
            if header.name.eq_ignore_ascii_case(name) {
                each(header.value);
            }
        }
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        for header in self.iter() {
            let Some((start, rest)) = header.name.split_at_checked(prefix.len()) else { continue };
            if start.eq_ignore_ascii_case(prefix.as_bytes()) {
                each(rest, header.value);
            }
        }
    }
}

/// The head of a request.
pub struct RequestHead<'a> {
    /// As it was sent.
    pub method: &'a [u8],
    /// The request target, as it was sent.
    pub target: &'a [u8],
    /// The second number of the version: 0 or 1.
    pub minor: u8,
    /// Its header lines.
    pub headers: Headers<'a>,
    pub(super) framing: Framing,
    pub(super) wants_upgrade: bool,
}

/// The head of a response.
pub struct ResponseHead<'a> {
    /// 100 to 999.
    pub status: u16,
    /// The second number of the version: 0 or 1.
    pub minor: u8,
    /// Its header lines.
    pub headers: Headers<'a>,
    pub(super) framing: Framing,
}

impl<'a> RequestHead<'a> {
    /// Reads a whole head; its lines are noted in `lines`.
    ///
    /// # Errors
    ///
    /// [`Lost`] where it is none, or it cannot be known for certain where the message ends.
    pub fn parse(head: &'a [u8], lines: &'a mut Lines) -> Result<Self, Lost> {
        let (line, lines_start) = start_line(head)?;
        let (method, rest) = split_at_blank(line)?;
        let (target, version) = split_at_blank(rest)?;
        let minor = minor_version(version)?;
        let is_target = |byte: &u8| *byte > b' ' && *byte != 0x7f;
        if !is_method(method) || target.is_empty() || !target.iter().all(is_target) {
            return Err(Lost);
        }
        let (headers, framing, wants_upgrade) = read_lines(head, lines_start, lines)?;
        // Without a length a request has no body.
        let framing = framing.unwrap_or(Framing::Length(0));
        if framing == Framing::Close {
            return Err(Lost);
        }
        Ok(RequestHead { method, target, minor, headers, framing, wants_upgrade })
    }

    /// How many bytes of body follow, if that is certain, and if another request may come behind them.
    #[must_use]
    pub fn body_before_next(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) if !self.wants_upgrade && self.method != b"CONNECT" => Some(length),
            _ => None,
        }
    }
}

impl<'a> ResponseHead<'a> {
    /// Reads a whole head; its lines are noted in `lines`.
    ///
    /// # Errors
    ///
    /// [`Lost`] where it is none.
    pub fn parse(head: &'a [u8], lines: &'a mut Lines) -> Result<Self, Lost> {
        let (line, lines_start) = start_line(head)?;
        let (version, rest) = line.split_at_checked(8).ok_or(Lost)?;
        let minor = minor_version(version)?;
        let (status, reason) = rest.split_at_checked(4).ok_or(Lost)?;
        let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = *status else { return Err(Lost) };
        if !matches!(reason.first(), None | Some(b' ')) {
            return Err(Lost);
        }
        let digit = |digit: u8| u16::from(digit.wrapping_sub(b'0'));
        let status = digit(a).wrapping_mul(100).wrapping_add(digit(b).wrapping_mul(10)).wrapping_add(digit(c));
        let (headers, framing, _) = read_lines(head, lines_start, lines)?;
        Ok(ResponseHead { status, minor, headers, framing: framing.unwrap_or(Framing::Close) })
    }
}

/// Whether what is there so far can become a request's or a response's head. A first line that is complete is judged whole.
pub(super) fn is_plausible(start: &[u8], is_request: bool) -> bool {
    let line_end = position(start, b'\n');
    let line = start.get(..line_end.unwrap_or(start.len())).unwrap_or_default();
    if !is_request {
        let version = b"HTTP/1.";
        return line.iter().zip(version).all(|(byte, wanted)| byte == wanted)
            && (line_end.is_none() || line.len() > version.len());
    }
    if line.starts_with(preamble::LINE) {
        return true;
    }
    let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_short = method.len() == line.len() && line_end.is_none();
    let line = trim_end(line);
    let can_end_so = line_end.is_none() || line.ends_with(b"HTTP/1.1") || line.ends_with(b"HTTP/1.0");
    can_end_so && if is_short { method.len() <= MAX_METHOD && method.iter().all(is_token) } else { is_method(method) }
}

/// The length of the head that `bytes` begin with, its empty line included; `from`: nothing before it ends a line.
pub(super) fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let newline = at.checked_add(position(bytes.get(at..)?, b'\n')?)?;
        let after = newline.checked_add(1)?;
        match bytes.get(after..)? {
            [b'\n', ..] => return after.checked_add(1),
            [b'\r', b'\n', ..] => return after.checked_add(2),
            _ => at = after,
        }
    }
}

/// What names of methods and headers are made of (RFC 9110, section 5.6.2), one entry for each byte.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
static TOKENS: [bool; 256] = {
    let mut tokens = [false; 256];
    let (mut byte, punctuation) = (0usize, b"!#$%&'*+-.^_`|~");
    while byte < 256 {
        tokens[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < punctuation.len() {
        tokens[punctuation[index] as usize] = true;
        index += 1;
    }
    tokens
};

fn is_token(byte: &u8) -> bool {
    TOKENS.get(usize::from(*byte)) == Some(&true)
}

fn is_method(method: &[u8]) -> bool {
    !method.is_empty() && method.len() <= MAX_METHOD && method.iter().all(is_token)
}

/// The first line without its end, and where the next one begins.
fn start_line(head: &[u8]) -> Result<(&[u8], usize), Lost> {
    let newline = position(head, b'\n').ok_or(Lost)?;
    let line = head.get(..newline).ok_or(Lost)?;
    Ok((line.strip_suffix(b"\r").unwrap_or(line), newline.wrapping_add(1)))
}

fn split_at_blank(text: &[u8]) -> Result<(&[u8], &[u8]), Lost> {
    let blank = position(text, b' ').ok_or(Lost)?;
    let (before, rest) = text.split_at_checked(blank).ok_or(Lost)?;
    Ok((before, rest.get(1..).unwrap_or_default()))
}

fn minor_version(version: &[u8]) -> Result<u8, Lost> {
    match version {
        b"HTTP/1.1" => Ok(1),
        b"HTTP/1.0" => Ok(0),
        _ => Err(Lost),
    }
}

/// Indexes the header lines, and reads from all of them what says how long the message is.
fn read_lines<'a>(
    head: &'a [u8],
    from: usize,
    room: &'a mut Lines,
) -> Result<(Headers<'a>, Option<Framing>, bool), Lost> {
    let mut length: Option<u64> = None;
    let mut coding: Option<bool> = None;
    let (mut upgrade, mut start, mut count, mut is_complete) = (false, from, 0usize, true);
    loop {
        let rest = head.get(start..).ok_or(Lost)?;
        if let [b'\n', ..] | [b'\r', b'\n', ..] = rest {
            break;
        }
        // Also what an obsolete folded line begins with is no token.
        let colon = rest.iter().position(|byte| !is_token(byte)).ok_or(Lost)?;
        let (name, value) = rest.split_at_checked(colon).ok_or(Lost)?;
        if name.is_empty() || value.first() != Some(&b':') {
            return Err(Lost);
        }
        let newline = position(value, b'\n').ok_or(Lost)?;
        let value = value.get(1..newline).unwrap_or_default();
        if name.eq_ignore_ascii_case(b"content-length") {
            // The same number may be there several times, in one line or more (RFC 9110, 8.6).
            for number in value.split(|byte| *byte == b',') {
                let number = whole_number(trim(number)).ok_or(Lost)?;
                if length.is_some_and(|other| other != number) {
                    return Err(Lost);
                }
                length = Some(number);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // The last coding counts, of all lines.
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            coding = Some(trim(last).eq_ignore_ascii_case(b"chunked"));
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        }
        let colon = start.wrapping_add(colon);
        let end = colon.wrapping_add(newline).wrapping_add(1);
        match room.0.get_mut(count) {
            Some(place) => {
                place.write(Line { start: start as u16, colon: colon as u16, end: end as u16 });
                count = count.wrapping_add(1);
            }
            None => is_complete = false,
        }
        start = end;
    }
    if position(head.get(from..start).unwrap_or_default(), 0).is_some() {
        return Err(Lost);
    }
    let written = room.0.get(..count).unwrap_or_default();
    // SAFETY: the first `count` were written above, and `MaybeUninit` has the layout of what is in it.
    let lines = unsafe { core::slice::from_raw_parts(written.as_ptr().cast::<Line>(), written.len()) };
    let headers = Headers { head, lines, is_complete };
    let framing = match (coding, length) {
        (Some(true), _) => Some(Framing::Chunked),
        (Some(false), _) => Some(Framing::Close),
        (None, Some(length)) => Some(Framing::Length(length)),
        (None, None) => None,
    };
    Ok((headers, framing, upgrade))
}

fn whole_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit.wrapping_sub(b'0')))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    trim_end(text.get(start..).unwrap_or_default())
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    end.and_then(|end| text.get(..=end)).unwrap_or_default()
}

/// Where the byte first stands, looked for eight at a time.
pub(super) fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let pattern = LOW.wrapping_mul(u64::from(wanted));
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut at = 0usize;
    for chunk in chunks {
        let difference = u64::from_le_bytes(*chunk) ^ pattern;
        let zero = difference.wrapping_sub(LOW) & !difference & HIGH;
        if zero != 0 {
            return Some(at.wrapping_add(zero.trailing_zeros() as usize / 8));
        }
        at = at.wrapping_add(8);
    }
    rest.iter().position(|byte| *byte == wanted).map(|found| at.wrapping_add(found))
}
