//! The sidecar: a process of its own that collects what traced processes record and delivers it.

mod assemble;
#[cfg(test)]
mod assemble_tests;
mod collect;
mod control;
mod death;
mod decided;
mod deliver;
mod detach;
mod doorbell;
mod early;
mod exporting;
mod first_process;
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
mod watch;
mod zombie;

pub use control::{LAST_WORD, end_of_command};
pub use detach::{Lineage, start};
pub use first_process::FirstProcess;
pub use flush::{SPOOL, count_unsent, flush, is_a_run_expected};
pub use listen::bind;
pub use log::{begin as begin_log, log_file};
pub use pidfd::Watch;
pub use process_span::operation as process_operation;
pub use run::{Order, run};
