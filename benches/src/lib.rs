//! Benchmarks of landfall.
#![forbid(unsafe_code)]
