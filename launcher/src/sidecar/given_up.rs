//! That processes are no spans any more, as it stands among the records: whoever reads them later is to forget the same
//! ones.

/// Which spans of processes are given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum GivenUp {
    /// Those that have not ended: the command has left them behind.
    Unfinished = 1,
    /// All of them: the command is a service.
    All = 2,
}

impl GivenUp {
    /// The one with this number.
    pub fn of(number: u8) -> Option<GivenUp> {
        [GivenUp::Unfinished, GivenUp::All].into_iter().find(|given_up| *given_up as u8 == number)
    }

    /// As it stands in a frame, with the time (`CLOCK_MONOTONIC`).
    pub fn format(self, time_ns: u64) -> [u8; 9] {
        let mut bytes = [self as u8; 9];
        bytes[1..].copy_from_slice(&time_ns.to_le_bytes());
        bytes
    }

    /// Reads that.
    pub fn parse(bytes: &[u8]) -> Option<(GivenUp, u64)> {
        let (which, time) = bytes.split_first()?;
        Some((GivenUp::of(*which)?, u64::from_le_bytes(*time.first_chunk()?)))
    }
}
