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
