//! What is left to the tracer of the program's language, where nobody has asked for connections by name (`native=auto`).

use crate::tracer;
use core::sync::atomic::{AtomicU32, Ordering};

/// What is left: the bits `LEFT_…` of the interface.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// Nothing more is told of this. A process that has asked for connections by name is told of them all the same.
pub(crate) fn leave(what: u32) {
    if tracer::leaves_to_languages() {
        LEFT.fetch_or(what, Ordering::Relaxed);
    }
}

/// Whether all of this is left.
pub(super) fn is_left(what: u32) -> bool {
    LEFT.load(Ordering::Relaxed) & what == what
}
