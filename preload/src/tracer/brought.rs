//! Which contexts requests have brought, and whether several have brought the same: then who passes one on does not say for whom.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// So many are remembered at most, in rows. What is forgotten says nothing.
const ROWS: usize = 1024;
const PLACES: usize = 4;

/// Bit of a place: several have brought it.
const SEVERAL: u64 = 1;

static BROUGHT: [[AtomicU64; PLACES]; ROWS] = [const { [const { AtomicU64::new(0) }; PLACES] }; ROWS];

/// Whose turn it is to be forgotten.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Whether requests come to this program that are not seen, which may have brought anything.
static ARE_UNSEEN: AtomicBool = AtomicBool::new(false);

fn row(context: u64) -> &'static [AtomicU64] {
    BROUGHT.get((context >> 1) as usize % ROWS).map_or(&[], |row| row.as_slice())
}

/// A request has brought this ([`Trace::brought_context`](super::trace::Trace::brought_context)).
pub(super) fn note(context: u64) {
    let (row, this) = (row(context), context & !SEVERAL);
    if let Some(known) = row.iter().find(|place| place.load(Ordering::Relaxed) & !SEVERAL == this) {
        known.fetch_or(SEVERAL, Ordering::Relaxed);
        return;
    }
    let is_free = |place: &&AtomicU64| place.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if row.iter().find(is_free).is_none()
        && let Some(place) = row.get(TURN.fetch_add(1, Ordering::Relaxed) % PLACES)
    {
        place.store(this, Ordering::Relaxed);
    }
}

/// Something comes over connections that is not understood.
pub(crate) fn some_are_unseen() {
    ARE_UNSEEN.store(true, Ordering::Relaxed);
}

/// Whether one request alone is known to have brought this.
pub(super) fn is_of_one(context: u64) -> bool {
    // Two threads at once have taken two places.
    let known = row(context).iter().map(|place| place.load(Ordering::Relaxed));
    let mut those = known.filter(|known| known & !SEVERAL == context & !SEVERAL);
    let is_of_one = those.next() == Some(context & !SEVERAL) && those.next().is_none();
    context != 0 && is_of_one && !ARE_UNSEEN.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_have_brought_is_nobodys() {
        let [once, twice, never] = [0x5151_0001_0002u64, 0x5151_0003_0004, 0x5151_0005_0006];
        note(once);
        note(twice);
        note(twice);
        assert_eq!([once, twice, never, 0].map(is_of_one), [true, false, false, false]);
        note(twice);
        assert!(!is_of_one(twice), "nor of a third one");
        for other in 1..=2 * PLACES as u64 {
            note(once + other * 2 * ROWS as u64);
        }
        assert!(!is_of_one(once), "it is forgotten");
    }
}
