//! What waits on disk: the queue, the spool and the account of each run, in one directory of its own.
//!
//! A run's directory holds *records* as they were drained from processes, and *payloads*: what became of them, encoded
//! for each receiver and ready to be sent. Both are series of segments, memory-mapped files that only grow, so that what
//! is published survives the sidecar's own death by SIGKILL: the pages are the kernel's. A directory is locked by whoever
//! works on it; one that nobody has locked was left behind.

mod account;
mod again;
mod asked;
mod directory;
mod discarded;
mod frame;
mod outbox;
mod outbox_reading;
mod outbox_storing;
mod parcel;
mod records;
mod segment;
mod status;
mod totals;
mod trouble;

pub use account::{Account, Counter, FILE_NAME as ACCOUNT, counted};
pub use again::Again;
pub use asked::Asked;
pub use directory::{RunDirectory, runs};
pub use discarded::Discarded;
pub use frame::{Frame, FrameKind};
pub use outbox::{Destinations, Outbox};
pub use outbox_reading::spans_of;
pub use parcel::Parcel;
pub use records::{RecordsReader, RecordsWriter, begin_records, let_old_records_go, old_records};
pub use segment::{Bound, Full};
pub use status::{Status, begun, counts};
pub use totals::Totals;
pub use trouble::{Trouble, told};
