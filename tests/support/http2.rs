//! As much of HTTP/2 as a receiver of gRPC needs: requests come on one stream after the other, and what their headers say
//! does not matter.

use std::io::{BufRead, Read, Write};

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A window as large as there is, for each stream and for the connection, and thanks for the client's settings.
const GREETING: &[u8] =
    b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0\0\0\0\x04\x01\0\0\0\0";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const PADDED: u8 = 8;

/// Takes the preface and greets.
///
/// # Errors
/// What the connection says, also where something else than a preface comes.
pub fn greet(stream: &mut impl Read, answers: &mut impl Write) -> std::io::Result<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    if preface != PREFACE {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    answers.write_all(GREETING)
}

/// Reads the next request: its stream and the message in it, which is not compressed.
///
/// # Errors
/// What the connection says.
pub fn read_request(stream: &mut impl BufRead, answers: &mut impl Write) -> std::io::Result<(u32, Vec<u8>)> {
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let id = u32::from_be_bytes(id) & 0x7fff_ffff;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload)?;
        match kind {
            DATA => {
                assert_eq!(flags & PADDED, 0, "this client does not pad");
                body.extend(payload);
            }
            PING if flags & ACK == 0 => answers.write_all(&frame(PING, ACK, 0, &payload))?,
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            // Before a message are whether it is compressed and how long it is.
            return Ok((id, body.split_off(5.min(body.len()))));
        }
    }
}

/// A frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// An empty message, and that all went well.
#[must_use]
pub fn success(stream: u32) -> Vec<u8> {
    [begun(stream), frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\0\x0bgrpc-status\x010")].concat()
}

/// A message without the status that is to follow it.
#[must_use]
pub fn begun(stream: u32) -> Vec<u8> {
    // The status 200 has an index of its own in HPACK.
    [frame(HEADERS, END_HEADERS, stream, b"\x88"), frame(DATA, 0, stream, &[0; 5])].concat()
}

/// A status of HTTP, and to come back after a second, as a proxy says it that knows nothing of gRPC.
#[must_use]
pub fn refusal(stream: u32, status: u16) -> Vec<u8> {
    // `:status` and `retry-after` by their indices in HPACK, the values as they are.
    let headers = [b"\x08\x03", status.to_string().as_bytes(), b"\x0f\x26\x011"].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers)
}
