//! Bodies in transfer coding `chunked` (RFC 9112, section 7.1): only where they end, nothing of them is kept.

use super::super::Lost;

/// Where in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chunked {
    /// In a chunk's size, of which so much was read.
    Size { size: u64, has_digits: bool },
    /// Behind a size, until the line ends.
    Extension { size: u64 },
    /// So many bytes of a chunk to go.
    Data(u64),
    /// Behind a chunk: its line end.
    DataEnd,
    /// At the beginning of a line behind the last chunk; a carriage return was there already, or not.
    Trailer { returned: bool },
    /// Inside of a trailer's line.
    TrailerLine,
    /// It is over.
    Done,
}

impl Chunked {
    pub(super) const START: Chunked = Chunked::Size { size: 0, has_digits: false };

    /// Goes over `bytes`. Gives how many of them belong to the body, and how many are content.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, u64), Lost> {
        let (mut at, mut content) = (0usize, 0u64);
        while *self != Chunked::Done
            && let Some(rest) = bytes.get(at..)
            && let Some(byte) = rest.first()
        {
            let mut taken = 1usize;
            *self = match *self {
                Chunked::Size { size, has_digits } => match (hex_digit(*byte), byte) {
                    (Some(digit), _) => {
                        let size = size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(Lost)?;
                        Chunked::Size { size, has_digits: true }
                    }
                    (None, b'\n') if has_digits => Chunked::of_size(size),
                    (None, b';' | b' ' | b'\t' | b'\r') if has_digits => Chunked::Extension { size },
                    _ => return Err(Lost),
                },
                Chunked::Extension { size } if *byte == b'\n' => Chunked::of_size(size),
                Chunked::Data(left) => {
                    taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    content = content.wrapping_add(taken as u64);
                    match left.wrapping_sub(taken as u64) {
                        0 => Chunked::DataEnd,
                        left => Chunked::Data(left),
                    }
                }
                Chunked::DataEnd => match byte {
                    b'\r' => Chunked::DataEnd,
                    b'\n' => Chunked::START,
                    _ => return Err(Lost),
                },
                Chunked::Trailer { returned } => match byte {
                    b'\n' => Chunked::Done,
                    b'\r' if !returned => Chunked::Trailer { returned: true },
                    _ if returned => return Err(Lost),
                    _ => Chunked::TrailerLine,
                },
                Chunked::TrailerLine if *byte == b'\n' => Chunked::Trailer { returned: false },
                same => same,
            };
            at = at.wrapping_add(taken);
        }
        Ok((at, content))
    }

    /// Behind the line with a size.
    fn of_size(size: u64) -> Chunked {
        if size == 0 { Chunked::Trailer { returned: false } } else { Chunked::Data(size) }
    }
}

fn hex_digit(digit: u8) -> Option<u64> {
    char::from(digit).to_digit(16).map(u64::from)
}
