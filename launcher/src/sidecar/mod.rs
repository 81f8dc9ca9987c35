//! The sidecar: a process of its own that collects what traced processes record and delivers it.

mod assemble;
#[cfg(test)]
mod assemble_tests;
mod collect;
mod death;
mod decided;
mod deliver;
mod detach;
mod doorbell;
mod early;
mod exporting;
mod flush;
mod given_up;
mod groups;
mod judge;
mod known_ring;
mod leave;
mod leftover;
mod listen;
mod log;
mod memory;
mod origin;
mod pidfd;
mod process_span;
mod process_trace;
mod process_traces;
mod queues;
mod recorded_span;
mod run;
mod shown;
mod silent;
mod traces;
#[cfg(test)]
mod traces_tests;
mod verdict;
mod zombie;

pub use detach::{Lineage, start};
pub use flush::{SPOOL, count_unsent, flush, is_a_run_expected};
pub use listen::bind;
pub use log::{begin as begin_log, log_file};
pub use pidfd::Watch;
pub use process_span::operation as process_operation;
pub use run::{FirstProcess, LAST_WORD, Order, run};
