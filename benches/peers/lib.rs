//! Benchmarks beside other implementations: `benches/peers/*.rs`.
