//! The interposed functions, by what they are about. Each only reads its C arguments; the work is done elsewhere.

mod descriptors;
mod exec;
pub(crate) mod exit;
mod fork;
mod receive;
mod sandbox;
mod send;
mod sockets;
mod spawn;
mod wait;
