//! The shared-memory ring between a traced process and the sidecar.
//!
//! A memfd for each process holds a header and equal chunks. A thread takes a free chunk with one compare-and-swap,
//! appends records and publishes each with a release store of the chunk's committed length; a chunk whose next record
//! does not fit is marked complete. Where very many threads live, those that come late share chunks (`lanes.rs`). The reader copies committed prefixes, of owned chunks too, and alone gives chunks
//! back. So a process that dies at any instruction loses at most the record it was writing. Nobody
//! waits for anybody, but for a writer that finds no chunk free: it pauses for a bounded time (`chunks.rs`).

mod chunks;
mod lanes;
pub mod layout;
mod opening;
mod rates;
mod writer;

#[cfg(feature = "std")]
mod reader;

#[cfg(feature = "std")]
pub use reader::{Corrupt, Drained, Reader};
#[cfg(feature = "std")]
pub use rates::hashed as hashed_rates;
pub use opening::Opening;
pub use rates::{RingRates, rate_key};
pub use writer::{Lost, Ring, ThreadSlot};

#[cfg(test)]
mod model;
#[cfg(all(test, feature = "loom"))]
mod shipped;
#[cfg(all(test, feature = "std", not(feature = "loom")))]
mod steps;
#[cfg(all(test, feature = "std", not(feature = "loom")))]
mod tests;
