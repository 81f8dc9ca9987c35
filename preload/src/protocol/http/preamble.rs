//! What may come before a message.

/// The signature of the second version of the PROXY protocol (section 2.2 of its specification).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What is before the addresses there: the signature, the version and command, the family, and the length of what follows.
const FIXED: usize = SIGNATURE.len() + 4;

/// The beginning of the line that is its first version (section 2.1).
pub(super) const LINE: &[u8] = b"PROXY ";

/// How many bytes come before the message that begins here: what a proxy says of whom it speaks for, and empty lines, which are
/// to be ignored (RFC 9112, section 2.2).
pub(super) fn length(bytes: &[u8], is_request: bool) -> usize {
    let mut length = 0usize;
    loop {
        let rest = bytes.get(length..).unwrap_or_default();
        let said = if is_request { said_by_proxy(rest) } else { 0 };
        let empty = || rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        match if said > 0 { said } else { empty() } {
            0 => return length,
            more => length = length.saturating_add(more),
        }
    }
}

fn said_by_proxy(bytes: &[u8]) -> usize {
    if bytes.starts_with(LINE) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        return end.map_or(0, |end| end.saturating_add(1));
    }
    if let Some([.., high, low]) = bytes.get(..FIXED)
        && bytes.starts_with(SIGNATURE)
    {
        let length = FIXED.saturating_add(u16::from_be_bytes([*high, *low]).into());
        return if length <= bytes.len() { length } else { 0 };
    }
    0
}
