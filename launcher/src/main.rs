//! Traces any program without changing it.

#[cfg_attr(not(test), allow(dead_code, unused_imports))]
mod export;

fn main() {}
