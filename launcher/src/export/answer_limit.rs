//! How long an answer is waited for: longer after it did not come in time.

use std::time::Duration;

/// It grows up to here, unless more is configured.
const LONGEST: Duration = Duration::from_secs(30);

/// A receiver that always takes a little longer than it is given has taken each request that is then sent again. So it
/// is given twice the time after each that came to nothing, until it answers within what is configured.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimit {
    configured: Duration,
    current: Duration,
}

impl AnswerLimit {
    /// What is configured.
    pub fn new(configured: Duration) -> AnswerLimit {
        AnswerLimit { configured, current: configured }
    }

    /// How long the next answer may take.
    pub fn current(&self) -> Duration {
        self.current
    }

    /// There was no answer in this time.
    pub fn missed(&mut self) {
        self.current = self.current.saturating_mul(2).min(LONGEST.max(self.configured));
    }

    /// There was an answer, which took so long.
    pub fn answered(&mut self, took: Duration) {
        if took < self.configured {
            self.current = self.configured;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_what_is_missed_until_there_are_answers_in_time() {
        let seconds = Duration::from_secs;
        let mut limit = AnswerLimit::new(seconds(2));
        for expected in [4, 8, 16, 30, 30] {
            limit.missed();
            assert_eq!(limit.current(), seconds(expected));
        }
        limit.answered(seconds(3));
        assert_eq!(limit.current(), seconds(30), "with less the next one would be missed");
        limit.answered(seconds(1));
        assert_eq!(limit.current(), seconds(2));
        let mut longer = AnswerLimit::new(seconds(60));
        longer.missed();
        assert_eq!(longer.current(), seconds(60));
        let mut none = AnswerLimit::new(Duration::ZERO);
        none.missed();
        assert_eq!(none.current(), Duration::ZERO);
    }
}
