//! Just enough of HTTP to ask the test agent what it received.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Sends a GET request to a port of this host.
///
/// Version 1.0 of the protocol, so that the end of the body is the end of the connection.
///
/// # Errors
/// When nobody listens there, the connection breaks, or the answer is no HTTP.
pub fn get(port: u16, path: &str) -> io::Result<Answer> {
    get_with(port, path, &[])
}

/// Sends a GET request with headers.
///
/// # Errors
/// As [`get`].
pub fn get_with(port: u16, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: bytes[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn status_and_body_are_told_apart() {
        let answer = parse(b"HTTP/1.1 400 Bad Request\r\nA: b\r\n\r\n{}\r\n\r\n").expect("well-formed");
        assert_eq!((answer.status, answer.body.as_slice()), (400, &b"{}\r\n\r\n"[..]));
        assert!(parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_none());
    }
}
