//! PostgreSQL (its documentation, "Frontend/Backend Protocol", version 3).
//!
//! Simple queries and executions of prepared statements are exchanges. The texts of prepared statements are remembered, as
//! far as there is room, to be told when they are executed. What is encrypted is left alone.

use super::{End, Event, Lost, MOST_PIPELINED, Protocol, Request, Response, Room, Side, Tell};
use ddtrace::context::Bounded;

/// What is looked at of a message, in bytes.
const MOST_SEEN: usize = 4096;
/// What is remembered of a prepared statement. They are behind that in the client's room.
const MOST_STORED: usize = 1024;
/// What stands before each: the lengths of name (u8) and text (u16).
const ENTRY: usize = 3;
/// Where those with names begin.
const FIRST_NAMED: usize = MOST_STORED + ENTRY;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// A statement.
pub struct Statement<'a> {
    /// Its text, or the beginning of it; empty where it is not known.
    pub text: &'a [u8],
    /// The database; empty where it is not known.
    pub database: &'a [u8],
}

/// What the server is to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    /// A simple query; its answer ends with ReadyForQuery.
    Query,
    /// The execution of a portal.
    Execute,
    /// ReadyForQuery alone.
    Ready,
}

impl Due {
    /// As two bits.
    fn bits(self) -> u64 {
        match self {
            Due::Query => 1,
            Due::Execute => 2,
            Due::Ready => 3,
        }
    }
}

/// What is to be answered, two bits for each.
struct Dues([u64; MOST_PIPELINED / 32]);

impl Dues {
    fn set(&mut self, number: u32, due: Due) {
        let number = number as usize % MOST_PIPELINED;
        if let Some(word) = self.0.get_mut(number / 32) {
            let shift = number % 32 * 2;
            *word = *word & !(3 << shift) | due.bits() << shift;
        }
    }

    fn get(&self, number: u32) -> Option<Due> {
        let number = number as usize % MOST_PIPELINED;
        let bits = self.0.get(number / 32)? >> (number % 32 * 2) & 3;
        [Due::Query, Due::Execute, Due::Ready].into_iter().find(|due| due.bits() == bits)
    }
}

/// Where in a direction.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In the header of a message, of which so many bytes are there. The first one has no kind.
    Header { bytes: [u8; 5], count: u8 },
    /// In a message of this kind with so many bytes to go. It is looked at while `gathered` is less than `wanted`.
    Body { kind: u8, left: u32, gathered: u16, wanted: u16 },
}

impl At {
    /// How much of the message is to be looked at.
    fn wanted(&self) -> usize {
        match self {
            At::Header { .. } => 0,
            At::Body { wanted, .. } => usize::from(*wanted),
        }
    }
}

const HEADER: At = At::Header { bytes: [0; 5], count: 0 };

/// A connection to PostgreSQL.
pub struct Postgres {
    client: At,
    server: At,
    /// The client has not started the session yet.
    is_starting: bool,
    /// The server answers with one byte whether it will encrypt.
    encryption: bool,
    /// It does. What follows is seen where it is encrypted, if at all.
    is_encrypted: bool,
    due: Dues,
    begun: u32,
    ended: u32,
    /// How many ReadyForQuery are to come.
    ready_due: u32,
    /// There was no room to note something: nothing is told until all is answered.
    is_full: bool,
    database: Bounded<64>,
    /// Whether a statement was ever prepared; how many bytes of the store are in use, and where the text of the statement
    /// bound last lies.
    has_stored: bool,
    stored: u16,
    bound: (u16, u16),
}

impl Default for Postgres {
    fn default() -> Self {
        Postgres {
            client: HEADER,
            server: HEADER,
            is_starting: true,
            encryption: false,
            is_encrypted: false,
            due: Dues([0; MOST_PIPELINED / 32]),
            begun: 0,
            ended: 0,
            ready_due: 0,
            is_full: false,
            database: Bounded::new(),
            has_stored: false,
            stored: 0,
            bound: (0, 0),
        }
    }
}

impl Protocol for Postgres {
    fn begins_with(first: u8) -> bool {
        // The first message begins with its length, which is small.
        first == 0
    }

    fn feed(&mut self, side: Side, bytes: &[u8], room: &mut dyn Room, tell: &mut Tell<'_>) -> Result<(), Lost> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_encrypted {
            let taken = match side {
                Side::Client => self.client_bytes(rest, room, tell)?,
                Side::Server => self.server_bytes(rest, room, tell)?,
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn skip(&mut self, _: Side, count: u64, _: &mut Tell<'_>) -> Result<(), Lost> {
        if count == 0 || self.is_encrypted { Ok(()) } else { Err(Lost) }
    }

    fn closed(&mut self, side: Side, tell: &mut Tell<'_>) {
        if side == Side::Server {
            while let Some(due) = self.pop() {
                if due != Due::Ready {
                    end(false, tell);
                }
            }
        }
    }
}

fn end(is_complete: bool, tell: &mut Tell<'_>) {
    tell(Event::End(End { is_complete, request_bytes: 0, response_bytes: 0 }));
}

/// Reads a header; gives kind and length of what follows, once it is there.
fn header(bytes: &mut [u8; 5], count: &mut u8, byte: u8, has_kind: bool) -> Result<Option<(u8, u32)>, Lost> {
    let skipped = if has_kind { 0 } else { 1 };
    if let Some(place) = bytes.get_mut(usize::from(*count).wrapping_add(skipped)) {
        *place = byte;
    }
    *count = count.wrapping_add(1);
    if usize::from(*count).wrapping_add(skipped) < 5 {
        return Ok(None);
    }
    let [kind, length @ ..] = *bytes;
    let length = u32::from_be_bytes(length).checked_sub(4).filter(|length| *length < 1 << 30).ok_or(Lost)?;
    Ok(Some((if has_kind { kind } else { 0 }, length)))
}

/// The text up to the next NUL, and what is behind it.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == 0).and_then(|end| bytes.split_at_checked(end)) {
        Some((text, rest)) => (text, rest.get(1..).unwrap_or_default()),
        None => (bytes, &[]),
    }
}

/// A message of which all is there that is to be looked at: its kind, and how much of the present bytes that is; `None` for
/// what came in pieces and is at the beginning of the room.
type Seen = (u8, Option<usize>);

/// Goes on in a message. Gives how many bytes it took, and the message when there is enough of it.
fn body(at: &mut At, bytes: &[u8], room: &mut dyn Room) -> Result<(usize, Option<Seen>), Lost> {
    let At::Body { kind, left, gathered, wanted } = at else { return Err(Lost) };
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let (kind, had) = (*kind, usize::from(*gathered));
    let missing = usize::from(*wanted).wrapping_sub(had);
    let seen = missing.min(taken);
    *gathered = gathered.wrapping_add(seen as u16);
    *left = left.wrapping_sub(taken as u32);
    let is_over = *left == 0;
    let new = bytes.get(..seen).unwrap_or_default();
    let is_whole = missing > 0 && seen == missing;
    if is_over {
        *at = HEADER;
    }
    if missing == 0 {
        return Ok((taken, None));
    }
    if had == 0 && is_whole {
        return Ok((taken, Some((kind, Some(seen)))));
    }
    let room = room.bytes().and_then(|room| room.get_mut(..MOST_SEEN)).ok_or(Lost)?;
    if let Some(place) = room.get_mut(had..) {
        for (to, from) in place.iter_mut().zip(new) {
            *to = *from;
        }
    }
    Ok((taken, is_whole.then_some((kind, None))))
}

impl Postgres {
    fn client_bytes(&mut self, bytes: &[u8], room: &mut dyn Room, tell: &mut Tell<'_>) -> Result<usize, Lost> {
        if let At::Header { bytes: header_bytes, count } = &mut self.client {
            let byte = *bytes.first().ok_or(Lost)?;
            if let Some((kind, length)) = header(header_bytes, count, byte, !self.is_starting)? {
                self.client = begin(kind, length, self.is_starting || matches!(kind, b'Q' | b'P' | b'B'));
                self.client_message(kind, length, room, tell)?;
            }
            return Ok(1);
        }
        let wanted = self.client.wanted();
        let (taken, seen) = body(&mut self.client, bytes, room)?;
        let Some((kind, place)) = seen else { return Ok(taken) };
        let is_stored = kind == b'P' || (kind == b'B' && self.has_stored);
        let all = if is_stored || place.is_none() { room.bytes() } else { None };
        let (gathered, store) = match all {
            Some(all) => all.split_at_mut_checked(MOST_SEEN).ok_or(Lost)?,
            None => Default::default(),
        };
        let content = match place {
            Some(length) => bytes.get(..length),
            None => gathered.get(..wanted),
        };
        self.client_content(kind, content.unwrap_or_default(), store, tell)?;
        Ok(taken)
    }

    fn client_content(&mut self, kind: u8, content: &[u8], store: &mut [u8], tell: &mut Tell<'_>) -> Result<(), Lost> {
        match kind {
            0 => self.start(content)?,
            b'Q' if self.note(Due::Query) => {
                let statement = Statement { text: text(content).0, database: self.database.as_bytes() };
                tell(Event::Request(Request::Postgres(&statement)));
            }
            b'P' => {
                let (name, rest) = text(content);
                self.remember(name, text(rest).0, store);
            }
            b'B' => {
                let (_, rest) = text(content);
                self.bound = self.find(text(rest).0, store);
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps the text of a prepared statement: an entry of name's length, text's length, name and text. The one without a
    /// name has the first place.
    fn remember(&mut self, name: &[u8], statement: &[u8], store: &mut [u8]) {
        let statement = statement.get(..MOST_STORED).unwrap_or(statement);
        let (at, is_unnamed) = if name.is_empty() { (0, true) } else { (usize::from(self.stored), false) };
        if !self.has_stored {
            (self.has_stored, self.stored) = (true, FIRST_NAMED as u16);
            // The places of what was never prepared are empty.
            if let Some(head) = store.get_mut(..ENTRY) {
                head.fill(0);
            }
        }
        let mut at = if is_unnamed { 0 } else { at.max(FIRST_NAMED) };
        let needed = ENTRY.wrapping_add(name.len()).wrapping_add(statement.len());
        if name.len() > 255 {
            return;
        }
        if !is_unnamed && at.wrapping_add(needed) > store.len() {
            // All places are taken: begin anew.
            at = FIRST_NAMED;
        }
        let [low, high] = (statement.len() as u16).to_le_bytes();
        let entry = [name.len() as u8, low, high];
        let bytes = entry.iter().chain(name).chain(statement);
        for (to, from) in store.get_mut(at..).unwrap_or_default().iter_mut().zip(bytes) {
            *to = *from;
        }
        if !is_unnamed {
            self.stored = at.wrapping_add(needed) as u16;
        }
    }

    /// Where the text of a statement lies, the last one of its name.
    fn find(&self, wanted: &[u8], store: &[u8]) -> (u16, u16) {
        let mut found = (0, 0);
        if !self.has_stored {
            return found;
        }
        let mut at = if wanted.is_empty() { 0 } else { FIRST_NAMED };
        let end = if wanted.is_empty() { FIRST_NAMED } else { usize::from(self.stored) };
        while at < end
            && let Some([name, low, high]) = store.get(at..).and_then(|rest| rest.first_chunk::<ENTRY>()).copied()
        {
            let name_at = at.wrapping_add(ENTRY);
            let text_at = name_at.wrapping_add(usize::from(name));
            let length = u16::from_le_bytes([low, high]);
            if store.get(name_at..text_at) == Some(wanted) {
                found = (text_at as u16, length);
            }
            if wanted.is_empty() {
                break;
            }
            at = text_at.wrapping_add(usize::from(length));
        }
        found
    }

    /// A message without a kind: the first ones of the client.
    fn start(&mut self, content: &[u8]) -> Result<(), Lost> {
        let (code, mut rest) = content.split_first_chunk::<4>().ok_or(Lost)?;
        match u32::from_be_bytes(*code) {
            SSL_REQUEST | GSS_REQUEST => self.encryption = true,
            CANCEL_REQUEST => self.is_starting = true,
            version if version >> 16 == 3 => {
                self.is_starting = false;
                let mut user: &[u8] = b"";
                let mut database: &[u8] = b"";
                while !rest.is_empty() {
                    let (name, after) = text(rest);
                    let (value, after) = text(after);
                    match name {
                        b"user" => user = value,
                        b"database" => database = value,
                        _ => {}
                    }
                    rest = after;
                }
                // The server takes the user's name where none is given.
                let _ = self.database.set(if database.is_empty() { user } else { database });
            }
            _ => return Err(Lost),
        }
        Ok(())
    }

    /// A message that only matters by its kind.
    fn client_message(&mut self, kind: u8, length: u32, room: &mut dyn Room, tell: &mut Tell<'_>) -> Result<(), Lost> {
        match kind {
            0 if !(4..10_000).contains(&length) => return Err(Lost),
            b'E' if self.note(Due::Execute) => {
                let (start, length) = (usize::from(self.bound.0), usize::from(self.bound.1));
                let store = if length > 0 { room.bytes().and_then(|all| all.get(MOST_SEEN..)) } else { None };
                let text = store.and_then(|store| store.get(start..start.wrapping_add(length)));
                let statement = Statement { text: text.unwrap_or_default(), database: self.database.as_bytes() };
                tell(Event::Request(Request::Postgres(&statement)));
            }
            b'S' | b'F' => drop(self.note(Due::Ready)),
            // Every message of a client has a kind of letters.
            0 | b'A'..=b'Z' | b'a'..=b'z' => {}
            _ => return Err(Lost),
        }
        if length == 0 {
            self.client = HEADER;
        }
        Ok(())
    }

    /// Notes what the server is to answer. Gives whether it is told of.
    fn note(&mut self, due: Due) -> bool {
        if due != Due::Execute {
            self.ready_due = self.ready_due.saturating_add(1);
        }
        if self.begun.wrapping_sub(self.ended) as usize >= MOST_PIPELINED {
            self.is_full = true;
        }
        if self.is_full {
            return false;
        }
        self.due.set(self.begun, due);
        self.begun = self.begun.wrapping_add(1);
        due != Due::Ready
    }

    fn oldest(&self) -> Option<Due> {
        if self.begun == self.ended { None } else { self.due.get(self.ended) }
    }

    fn pop(&mut self) -> Option<Due> {
        let oldest = self.oldest()?;
        self.ended = self.ended.wrapping_add(1);
        Some(oldest)
    }

    fn server_bytes(&mut self, bytes: &[u8], room: &mut dyn Room, tell: &mut Tell<'_>) -> Result<usize, Lost> {
        if self.encryption {
            self.encryption = false;
            self.is_encrypted = matches!(bytes.first(), Some(b'S' | b'G'));
            return if self.is_encrypted || bytes.first() == Some(&b'N') { Ok(1) } else { Err(Lost) };
        }
        if let At::Header { bytes: header_bytes, count } = &mut self.server {
            let byte = *bytes.first().ok_or(Lost)?;
            if let Some((kind, length)) = header(header_bytes, count, byte, true)? {
                self.server = begin(kind, length, kind == b'E');
                self.server_message(kind, tell);
                if length == 0 {
                    self.server = HEADER;
                }
            }
            return Ok(1);
        }
        let wanted = self.server.wanted();
        let (taken, seen) = body(&mut self.server, bytes, room)?;
        let mut code = Bounded::<14>::new();
        if let Some((b'E', place)) = seen {
            let content = match place {
                Some(length) => bytes.get(..length),
                None => room.bytes().and_then(|room| room.get(..wanted)),
            };
            let mut fields = content.unwrap_or_default();
            while let Some((b'A'..=b'z', rest)) = fields.split_first() {
                let (value, after) = text(rest);
                if fields.first() == Some(&b'C') {
                    let _ = code.set(value);
                }
                fields = after;
            }
        }
        if seen.is_some() {
            room.release();
            self.failed(code.as_bytes(), tell);
        }
        Ok(taken)
    }

    fn server_message(&mut self, kind: u8, tell: &mut Tell<'_>) {
        match kind {
            // CommandComplete, EmptyQueryResponse, PortalSuspended.
            b'C' | b'I' | b's' if self.oldest() == Some(Due::Execute) => {
                self.pop();
                end(true, tell);
            }
            b'Z' => {
                self.ready_due = self.ready_due.saturating_sub(1);
                while let Some(due) = self.pop() {
                    match due {
                        Due::Query => end(true, tell),
                        // What came before it has failed.
                        Due::Execute => {
                            tell(Event::Response(Response::Skipped));
                            end(false, tell);
                        }
                        Due::Ready => {}
                    }
                    if due != Due::Execute {
                        break;
                    }
                }
                if self.is_full && self.ready_due == 0 {
                    self.is_full = false;
                }
            }
            _ => {}
        }
    }

    /// The server has refused what is oldest. The rest up to the next ReadyForQuery is not done.
    fn failed(&mut self, code: &[u8], tell: &mut Tell<'_>) {
        match self.oldest() {
            Some(Due::Query) => tell(Event::Response(Response::Failed(code))),
            Some(Due::Execute) => {
                tell(Event::Response(Response::Failed(code)));
                self.pop();
                end(true, tell);
            }
            Some(Due::Ready) | None => {}
        }
    }
}

/// A message begins.
fn begin(kind: u8, length: u32, is_seen: bool) -> At {
    let wanted = if is_seen { length.min(MOST_SEEN as u32) as u16 } else { 0 };
    At::Body { kind, left: length, gathered: 0, wanted }
}

#[cfg(test)]
mod tests;
