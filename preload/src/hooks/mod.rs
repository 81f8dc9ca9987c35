//! The interposed functions. Each is one of the process's ways to become, start, wait for, or end a process.

pub(crate) mod exec;
pub(crate) mod exit;
pub(crate) mod fork;
pub(crate) mod sandbox;
pub(crate) mod spawn;
pub(crate) mod wait;
