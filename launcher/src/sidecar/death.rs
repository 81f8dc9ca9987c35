//! A process's death, as the segment keeps it.

use ddtrace::sys::Usage;

/// The payload of a [`crate::spool::FrameKind::Death`] frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Death {
    /// The process span.
    pub span_id: u64,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub time_ns: u64,
    /// As `wait(2)` gives it, where the kernel told.
    pub status: Option<u32>,
    /// The CPU time that it had used, where the kernel told.
    pub usage: Option<Usage>,
}

impl Death {
    /// Writes it.
    pub fn format(&self) -> [u8; 38] {
        let usage = self.usage.unwrap_or_default();
        let mut bytes = [0u8; 38];
        bytes[..8].copy_from_slice(&self.span_id.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16] = self.status.is_some().into();
        bytes[17..21].copy_from_slice(&self.status.unwrap_or_default().to_le_bytes());
        bytes[21] = self.usage.is_some().into();
        bytes[22..30].copy_from_slice(&usage.user_ns.to_le_bytes());
        bytes[30..].copy_from_slice(&usage.system_ns.to_le_bytes());
        bytes
    }

    /// Reads it.
    pub fn parse(bytes: &[u8]) -> Option<Death> {
        let (span_id, rest) = bytes.split_first_chunk::<8>()?;
        let (time_ns, rest) = rest.split_first_chunk::<8>()?;
        let (known, rest) = rest.split_first()?;
        let (status, rest) = rest.split_first_chunk::<4>()?;
        let (used, rest) = rest.split_first()?;
        let (user, rest) = rest.split_first_chunk::<8>()?;
        let (system, _) = rest.split_first_chunk::<8>()?;
        let usage = Usage { user_ns: u64::from_le_bytes(*user), system_ns: u64::from_le_bytes(*system), max_rss: 0 };
        Some(Death {
            span_id: u64::from_le_bytes(*span_id),
            time_ns: u64::from_le_bytes(*time_ns),
            status: (*known != 0).then_some(u32::from_le_bytes(*status)),
            usage: (*used != 0).then_some(usage),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_read_back() {
        for status in [None, Some(9)] {
            let usage = status.map(|_| Usage { user_ns: 1, system_ns: 2, max_rss: 0 });
            let death = Death { span_id: 3, time_ns: 5, status, usage };
            assert_eq!(Death::parse(&death.format()), Some(death));
        }
        assert_eq!(Death::parse(&[0; 37]), None);
    }
}
