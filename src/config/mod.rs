//! Configuration: one table declares every setting; parsing, help, documentation and `--info` come from it.
//!
//! [`resolve`] makes a [`Resolution`] of [`Sources`]. Inside: `parse` knows the spelling rules, `file` and `stable` the
//! files, `pick` the precedence, `assemble` what depends on several settings, `hand_on` the children's environment.

mod assemble;
pub mod docs;
mod file;
mod hand_on;
mod mask;
mod parse;
mod pick;
mod resolve;
mod resolved;
mod sampling;
mod sources;
mod stable;
mod suggest;
pub mod table;
#[cfg(test)]
mod tests;
mod value;

pub use assemble::AGENT_SOCKET;
pub use file::SYSTEM_FILE;
pub use mask::{masked_tag, masked_url};
pub use resolve::{Resolution, Resolved, resolve};
pub use resolved::*;
pub use sources::{FileRole, FileSeen, FileState, Origin, Sources, Warning};
pub use stable::{FLEET_FILE, LOCAL_FILE};
pub use suggest::key_like;
