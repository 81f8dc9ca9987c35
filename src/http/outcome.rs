//! Which answers are errors.

/// The statuses of a server's answers that are errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorStatuses {
    /// A bit for each number.
    bits: [u64; 16],
}

impl ErrorStatuses {
    /// 500 to 599.
    pub const DEFAULT: ErrorStatuses = ErrorStatuses::NONE.with(500, 599);
    /// None.
    pub const NONE: ErrorStatuses = ErrorStatuses { bits: [0; 16] };

    /// With those from `first` to `last`. Numbers above 1023 are no statuses.
    #[must_use]
    pub const fn with(mut self, first: u16, last: u16) -> ErrorStatuses {
        let mut bits: &mut [u64] = &mut self.bits;
        let mut start = 0u16;
        while let Some((word, rest)) = bits.split_first_mut() {
            let mut bit = 0u16;
            while bit < 64 {
                let status = start.wrapping_add(bit);
                if first <= status && status <= last {
                    *word |= 1 << bit;
                }
                bit = bit.wrapping_add(1);
            }
            (bits, start) = (rest, start.wrapping_add(64));
        }
        self
    }

    /// Whether a status is among them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.bits.get(usize::from(status / 64)).is_some_and(|word| word >> (status % 64) & 1 != 0)
    }
}

/// Whether an answer with this status is an error: to whoever asked, what the request was wrong about is one as well.
#[must_use]
pub fn is_error_status(status: u16, is_server: bool, of_servers: &ErrorStatuses) -> bool {
    if is_server { of_servers.contains(status) } else { status >= 400 }
}
