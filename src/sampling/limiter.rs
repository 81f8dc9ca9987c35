//! How many of the traces that a rule keeps are kept in a second.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SECOND: u64 = 1_000_000_000;
/// Each token is there at once.
const UNLIMITED: u64 = 0;
/// No token is ever there.
const CLOSED: u64 = u64::MAX;
/// No window has ended yet; no rate has these bits.
const NONE_YET: u64 = u64::MAX;

/// A token bucket that holds what one second brings (one token, where that is less), and is full at first.
///
/// Lock-free and without a destructor, so that it can be a static, lie in a mapped page, and be asked in any thread. In a
/// forked child it is a copy that goes on by itself: each process has the whole limit, as with every tracer.
/// All orderings are relaxed: each word stands for itself, and nothing else is published by them.
#[derive(Debug)]
pub struct Limiter {
    /// How long it takes until there is a further token, in nanoseconds.
    interval: u64,
    /// How much time the full bucket stands for, in nanoseconds.
    full: u64,
    /// When the bucket will be full again. That one word is the bucket's whole state: what is missing is the time from
    /// now to then.
    full_at: AtomicU64,
    /// When the window began over which the effective rate is counted; 0 before the first.
    window: AtomicU64,
    /// How many were allowed in it (high half) and how many asked (low half).
    counts: AtomicU64,
    /// The rate of the window before, as bits.
    previous: AtomicU64,
}

impl Limiter {
    /// A whole number of tokens a second; below 0 is no limit, 0 lets nothing through.
    #[must_use]
    pub const fn new(per_second: i64) -> Limiter {
        Limiter::with_rate(per_second as f64)
    }

    /// Tokens a second, such as 0.5 for one every two seconds; below 0 is no limit, 0 lets nothing through.
    ///
    /// Exact up to 30,000 a second; at a million, one in ten thousand more may pass; above a thousand million, all do.
    #[must_use]
    pub const fn with_rate(per_second: f64) -> Limiter {
        let interval = if per_second < 0.0 {
            UNLIMITED
        } else if per_second > 0.0 {
            // Saturates where a token takes longer than anything lasts.
            (SECOND as f64 / per_second) as u64
        } else {
            CLOSED
        };
        Limiter {
            interval,
            full: if interval > SECOND { interval } else { SECOND },
            full_at: AtomicU64::new(0),
            window: AtomicU64::new(0),
            counts: AtomicU64::new(0),
            previous: AtomicU64::new(NONE_YET),
        }
    }

    /// Takes a token, if there is one. Also tells the effective rate: the share of those who asked that were allowed, in
    /// this second and the one before that somebody asked in, 0 to 1.
    ///
    /// `now_ns` is of a clock that never goes back; where it does by more than a second, the bucket is full again.
    pub fn allow(&self, now_ns: u64) -> (bool, f64) {
        match self.interval {
            UNLIMITED => (true, 1.0),
            CLOSED => (false, 0.0),
            _ => {
                let allowed = self.take(now_ns);
                (allowed, self.effective_rate(now_ns, allowed))
            }
        }
    }

    fn take(&self, now: u64) -> bool {
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let missing = full_at.saturating_sub(now);
            // Threads may be here with a clock that they read a little earlier than another one.
            let missing = if missing > self.full.saturating_add(SECOND) { 0 } else { missing };
            let less = missing.saturating_add(self.interval);
            if less > self.full {
                return false;
            }
            let taken = now.saturating_add(less);
            match self.full_at.compare_exchange_weak(full_at, taken, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(other) => full_at = other,
            }
        }
    }

    fn effective_rate(&self, now: u64, allowed: bool) -> f64 {
        let began = self.window.load(Relaxed);
        // Who moves the window on takes the counts out of it. Another thread may count in between, into either.
        let is_over = began == 0 || now.saturating_sub(began) >= SECOND;
        if is_over && self.window.compare_exchange(began, now.max(1), Relaxed, Relaxed).is_ok() && began != 0 {
            let counts = self.counts.swap(0, Relaxed);
            self.previous.store(share(counts).to_bits(), Relaxed);
        }
        let one = (u64::from(allowed) << 32) | 1;
        let current = share(self.counts.fetch_add(one, Relaxed).wrapping_add(one));
        match self.previous.load(Relaxed) {
            NONE_YET => current,
            previous => (current + f64::from_bits(previous)) / 2.0,
        }
    }
}

/// Of those who asked, how many were allowed.
fn share(counts: u64) -> f64 {
    match counts & 0xffff_ffff {
        0 => 1.0,
        asked => (counts >> 32) as f64 / asked as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    /// A clock's beginning: somewhere.
    const START: u64 = 77 * SECOND + 123;

    /// How many are allowed of `each_second` evenly spread ones in each of some seconds.
    fn allowed(limiter: &Limiter, each_second: u64, seconds: u64) -> std::vec::Vec<u64> {
        (0..seconds)
            .map(|second| {
                let at = |number| START + second * SECOND + number * SECOND / each_second;
                (0..each_second).filter(|number| limiter.allow(at(*number)).0).count() as u64
            })
            .collect()
    }

    #[test]
    fn a_full_bucket_and_then_what_flows_in() {
        // The first second has the full bucket and what flows into it meanwhile.
        for (limit, asked, first, later) in [(100, 1000, 199..=200, 100), (1, 50, 1..=2, 1), (7, 700, 13..=14, 7)] {
            let counts = allowed(&Limiter::new(limit), asked, 5);
            assert!(first.contains(&counts[0]), "{limit}: {counts:?}");
            assert!(counts[1..].iter().all(|count| count.abs_diff(later) <= 1), "{limit}: {counts:?}");
        }
        assert_eq!(allowed(&Limiter::new(100), 100, 3), [100, 100, 100], "exactly as many as are allowed");
    }

    #[test]
    fn at_one_instant_there_is_the_bucket_and_no_more() {
        for limit in [1, 2, 3, 100, 999, 30_000] {
            let limiter = Limiter::new(limit);
            assert_eq!((0..limit + 5).filter(|_| limiter.allow(START).0).count() as i64, limit);
        }
    }

    #[test]
    fn no_limit_and_nothing() {
        let (open, closed) = (Limiter::new(-1), Limiter::new(0));
        for _ in 0..1000 {
            assert_eq!(open.allow(START), (true, 1.0));
            assert_eq!(closed.allow(START), (false, 0.0));
        }
        assert_eq!(Limiter::with_rate(f64::NAN).allow(START), (false, 0.0));
        assert!(Limiter::with_rate(1e12).allow(START).0);
    }

    #[test]
    fn half_a_token_a_second_is_one_every_two() {
        let limiter = Limiter::with_rate(0.5);
        let answers: std::vec::Vec<bool> = (0..6).map(|second| limiter.allow(START + second * SECOND).0).collect();
        assert_eq!(answers, [true, false, true, false, true, false]);
    }

    #[test]
    fn the_effective_rate_is_that_of_this_second_and_the_one_before() {
        let limiter = Limiter::new(2);
        let rates: std::vec::Vec<f64> = (0..4).map(|_| limiter.allow(START).1).collect();
        assert_eq!(rates, [1.0, 1.0, 2.0 / 3.0, 0.5]);
        // In the next second two of two: the mean of that and of the half before.
        assert_eq!(limiter.allow(START + SECOND), (true, 0.75));
        assert_eq!(limiter.allow(START + SECOND), (true, 0.75));
        assert_eq!(limiter.allow(START + SECOND), (false, (2.0 / 3.0 + 0.5) / 2.0));
    }

    #[test]
    fn a_clock_that_goes_back_closes_nothing() {
        let limiter = Limiter::new(1);
        assert!(limiter.allow(START).0);
        // Another thread's clock, read a little earlier, gives no token away.
        assert!(!limiter.allow(START - 1000).0);
        assert!(!limiter.allow(START - SECOND / 2).0);
        assert!(limiter.allow(5).0);
    }

    #[test]
    fn the_end_of_time_is_no_harm() {
        let limiter = Limiter::new(3);
        for now in [0, u64::MAX - 1, u64::MAX, 0] {
            let _ = limiter.allow(now);
        }
    }

    #[test]
    fn threads_together_get_no_more_than_one() {
        static LIMITER: Limiter = Limiter::new(100);
        let allowed = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        allowed.fetch_add(LIMITER.allow(START).0.into(), Relaxed);
                    }
                });
            }
        });
        assert_eq!(allowed.load(Relaxed), 100);
    }
}
