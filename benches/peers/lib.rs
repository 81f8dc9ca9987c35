//! Nothing of its own: the benchmarks are the targets.
