//! A receiver of Datadog's protocol, of OTLP in JSON and of OTLP over gRPC that answers as it is told, for what no real one
//! does at will.

use crate::http2;
use nix::libc;
use nix::sys::socket::sockopt::Linger;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt, socket,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
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
    /// Takes it after so many milliseconds.
    IsSlow(u64),
    /// Answers with this status, and asks to wait for a second.
    Refuses(u16),
    /// Refuses for now, and asks to wait for so many seconds.
    AsksToWait(u64),
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
    /// Over gRPC: says these bytes at this moment and breaks the connection, by a reset if so.
    Breaks(Moment, &'static [u8], bool),
}

/// When a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As soon as there is one.
    Connected,
    /// When the client has said something.
    Spoken,
    /// When the two have greeted each other and the request is there.
    Asked,
}

/// What is to be said to a request.
enum Reply {
    Status(u16),
    /// Not before so many seconds.
    Wait(u64),
    /// Something that is as long as it says, and then nothing any more.
    Part,
    /// These bytes, and then nothing any more.
    Bytes(&'static [u8]),
    Nothing,
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

    /// What becomes of a request; the spans are taken where it says so.
    fn reply(&self, body: &[u8]) -> Reply {
        let manner = self.lock().manner;
        let status = match manner {
            Manner::Takes => 200,
            Manner::IsSlow(milliseconds) => {
                std::thread::sleep(Duration::from_millis(milliseconds));
                200
            }
            Manner::Refuses(status) => status,
            Manner::AsksToWait(seconds) => {
                self.lock().unanswered += 1;
                return Reply::Wait(seconds);
            }
            Manner::TalksGarbage => return Reply::Bytes(b"\0\xffI do not speak this\r\n\r\n"),
            Manner::HangsUp => return Reply::Nothing,
            Manner::Breaks(_, bytes, _) => return Reply::Bytes(bytes),
            Manner::BreaksOff => {
                self.lock().spans.extend(span_ids(body));
                return Reply::Part;
            }
            Manner::IsMute => {
                self.lock().unanswered += 1;
                loop {
                    std::thread::park();
                }
            }
            Manner::TakesOnePart(most) => self.take_one_part(body, most),
        };
        if status == 200 {
            self.lock().spans.extend(span_ids(body));
        }
        Reply::Status(status)
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut answers = stream.try_clone().ok()?;
        let mut stream = BufReader::new(stream);
        let manner = self.lock().manner;
        if let Manner::Breaks(moment, bytes, resets) = manner {
            if resets {
                setsockopt(&answers, Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).ok()?;
            }
            match moment {
                Moment::Connected => return None,
                Moment::Spoken => {
                    stream.fill_buf().ok()?;
                    return answers.write_all(bytes).ok();
                }
                Moment::Asked => {}
            }
        }
        if stream.fill_buf().ok()?.starts_with(b"PRI ") {
            return self.serve_http2(stream, answers);
        }
        loop {
            let body = read_request(&mut stream)?;
            let head = match self.reply(&body) {
                Reply::Status(status) => {
                    format!("HTTP/1.1 {status} Told\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{{}}")
                }
                Reply::Wait(seconds) => {
                    format!("HTTP/1.1 429 Told\r\nRetry-After: {seconds}\r\nContent-Length: 2\r\n\r\n{{}}")
                }
                Reply::Part => {
                    return answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"rate").ok();
                }
                Reply::Bytes(bytes) => return answers.write_all(bytes).ok(),
                Reply::Nothing => return None,
            };
            answers.write_all(head.as_bytes()).ok()?;
        }
    }

    fn serve_http2(&self, mut stream: BufReader<TcpStream>, mut answers: TcpStream) -> Option<()> {
        http2::greet(&mut stream, &mut answers).ok()?;
        loop {
            let (id, body) = http2::read_request(&mut stream, &mut answers).ok()?;
            let frames = match self.reply(&body) {
                Reply::Status(200) => http2::success(id),
                Reply::Wait(_) => http2::refusal(id, 429),
                Reply::Status(status) => http2::refusal(id, status),
                Reply::Part => return answers.write_all(&http2::begun(id)).ok(),
                Reply::Bytes(bytes) => return answers.write_all(bytes).ok(),
                Reply::Nothing => return None,
            };
            answers.write_all(&frames).ok()?;
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

/// The ids of the spans, whichever protocol it is.
fn span_ids(body: &[u8]) -> Vec<u64> {
    match body.first() {
        Some(b'{') => ids_in_json(body),
        // The one field of the message.
        Some(0x0a) => ids_in_protobuf(body),
        _ => ids_in_msgpack(body),
    }
}

/// Of OTLP in protobuf.
fn ids_in_protobuf(body: &[u8]) -> Vec<u64> {
    let request = ExportTraceServiceRequest::decode(body).unwrap_or_default();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let ids = scopes.flat_map(|scope| scope.spans).map(|span| span.span_id);
    ids.filter_map(|id| Some(u64::from_be_bytes(id.try_into().ok()?))).collect()
}

/// Of OTLP in JSON.
fn ids_in_json(body: &[u8]) -> Vec<u64> {
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
