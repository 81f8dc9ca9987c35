//! A receiver of Datadog's protocol that answers as it is told, for what no real one does at will.

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes what it gets.
    Takes,
    /// Takes it after a while.
    IsSlow,
    /// Answers with this status, and asks to wait for a second.
    Refuses(u16),
    /// Answers with bytes that are no HTTP.
    TalksGarbage,
    /// Reads the request and closes the connection.
    HangsUp,
    /// Reads the request and says nothing.
    IsMute,
    /// Takes what it gets and says so, but not all that it has announced to say.
    BreaksOff,
    /// Has no room for more than so many spans at once. Of what was split because of that it takes one part, and then says
    /// nothing any more.
    TakesOnePart(usize),
}

/// The receiver; its threads end with the test.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    spans: Vec<u64>,
    /// It has said that something is too large.
    has_split: bool,
    unanswered: usize,
}

/// A port on which nobody listens and nobody else can: it refuses whoever comes. Not just any port that is free, as the
/// next receiver that is started may get that one, with what was not meant for it.
#[derive(Debug)]
pub struct Nobody {
    /// The port.
    pub port: u16,
    socket: OwnedFd,
}

impl Nobody {
    /// Takes a port that is free.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn listens() -> Nobody {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port");
        let bound: SockaddrIn = getsockname(socket.as_raw_fd()).expect("a bound socket has an address");
        Nobody { port: bound.port(), socket }
    }

    /// `http://…` of it.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// From now on there is a receiver.
    ///
    /// # Panics
    /// When the kernel cannot listen.
    #[must_use]
    pub fn becomes(self, manner: Manner) -> Receiver {
        listen(&self.socket, Backlog::MAXCONN).expect("a bound socket can listen");
        Receiver::of(TcpListener::from(self.socket), manner)
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Receiver {
    /// Listens on a port that is free.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(manner: Manner) -> Receiver {
        Receiver::of(TcpListener::bind(("127.0.0.1", 0)).expect("a port to listen on"), manner)
    }

    fn of(listener: TcpListener, manner: Manner) -> Receiver {
        let port = listener.local_addr().expect("a listener has an address").port();
        let shared = Shared { manner, spans: Vec::new(), has_split: false, unanswered: 0 };
        let receiver = Receiver { port, shared: Arc::new(Mutex::new(shared)) };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `http://…` of it.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Answers otherwise from now on.
    pub fn be(&self, manner: Manner) {
        self.lock().manner = manner;
    }

    /// The ids of the spans that it took, each as often as it came.
    #[must_use]
    pub fn spans(&self) -> Vec<u64> {
        self.lock().spans.clone()
    }

    /// How many requests it has read and not answered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.lock().unanswered
    }

    fn take_one_part(&self, body: &[u8], most: usize) -> u16 {
        let mut shared = self.lock();
        if span_ids(body).len() > most {
            shared.has_split = true;
            return 413;
        }
        if shared.has_split {
            shared.manner = Manner::IsMute;
        }
        200
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut answers = stream.try_clone().ok()?;
        let mut stream = BufReader::new(stream);
        loop {
            let body = read_request(&mut stream)?;
            let manner = self.lock().manner;
            let status = match manner {
                Manner::Takes => 200,
                Manner::IsSlow => {
                    std::thread::sleep(Duration::from_millis(200));
                    200
                }
                Manner::Refuses(status) => status,
                Manner::TalksGarbage => {
                    answers.write_all(b"\0\xffI do not speak this\r\n\r\n").ok()?;
                    return None;
                }
                Manner::HangsUp => return None,
                Manner::BreaksOff => {
                    self.lock().spans.extend(span_ids(&body));
                    answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"rate").ok()?;
                    return None;
                }
                Manner::IsMute => {
                    self.lock().unanswered += 1;
                    loop {
                        std::thread::park();
                    }
                }
                Manner::TakesOnePart(most) => self.take_one_part(&body, most),
            };
            if status == 200 {
                self.lock().spans.extend(span_ids(&body));
            }
            let head = format!("HTTP/1.1 {status} Told\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{{}}");
            answers.write_all(head.as_bytes()).ok()?;
        }
    }
}

fn read_request(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// The ids of the spans, whichever of the two protocols it is.
fn span_ids(body: &[u8]) -> Vec<u64> {
    if body.first() == Some(&b'{') { ids_in_otlp(body) } else { ids_in_msgpack(body) }
}

/// Of OTLP in JSON.
fn ids_in_otlp(body: &[u8]) -> Vec<u64> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let scopes = items(&request, "resourceSpans").into_iter().flat_map(|resource| items(&resource, "scopeSpans"));
    let spans = scopes.flat_map(|scope| items(&scope, "spans"));
    spans.filter_map(|span| u64::from_str_radix(span["spanId"].as_str()?, 16).ok()).collect()
}

/// The values of all keys `span_id` in msgpack: those of the spans, as links call theirs so too, but have none here.
fn ids_in_msgpack(body: &[u8]) -> Vec<u64> {
    const KEY: &[u8] = b"\xa7span_id";
    let places = body.windows(KEY.len()).enumerate().filter(|(_, window)| *window == KEY);
    let values = places.filter_map(|(place, _)| {
        let (marker, rest) = body[place + KEY.len()..].split_first()?;
        let size = match marker {
            0..=0x7f => return Some(u64::from(*marker)),
            0xcc => 1,
            0xcd => 2,
            0xce => 4,
            0xcf => 8,
            _ => return None,
        };
        Some(rest.get(..size)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::span_ids;

    #[test]
    fn ids_are_found_in_each_of_their_forms() {
        let body = b"\xa7span_id\x05\xa7span_id\xcc\xf0\xa7span_id\xcf\x01\x02\x03\x04\x05\x06\x07\x08\xa7span_id\xc0";
        assert_eq!(span_ids(body), [5, 0xf0, 0x0102_0304_0506_0708]);
        let body = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"00000000000000ff"},{"spanId":"1"}]}]}]}"#;
        assert_eq!(span_ids(body), [255, 1]);
    }
}
