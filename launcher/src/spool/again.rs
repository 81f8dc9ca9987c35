//! When a disk that had no room is tried again.

use std::time::{Duration, Instant};

/// After so much time: each try costs a file that is made and deleted.
const PAUSE: Duration = Duration::from_secs(2);

/// Whether a disk has failed, and since when it was not tried.
pub struct Again {
    failed: Option<Instant>,
    pause: Duration,
}

impl Default for Again {
    fn default() -> Again {
        Again { failed: None, pause: PAUSE }
    }
}

impl Again {
    /// One that is tried each time.
    #[cfg(test)]
    pub(super) fn at_once() -> Again {
        Again { failed: None, pause: Duration::ZERO }
    }

    /// Whether it is to be tried.
    pub fn is_due(&self) -> bool {
        self.failed.is_none_or(|failed| failed.elapsed() >= self.pause)
    }

    /// Whether it has failed when it was tried last.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// It has failed. Gives whether it had worked before.
    pub fn fails(&mut self) -> bool {
        self.failed.replace(Instant::now()).is_none()
    }

    /// It has worked. Gives whether it had failed before.
    pub fn works(&mut self) -> bool {
        self.failed.take().is_some()
    }
}
