//! Configuration: one table declares every setting; parsing, help, documentation and `--info` come from it.

mod resolved;
pub use resolved::*;
