//! Benchmarks of landfall: the data and the tasks that the programs `tasks` and `limits` and the criterion benches share.
//!
//! `tasks` drives the public API of the facade with default settings, `limits` does the same work by hand on a typed
//! `Vec`; `ratios` runs both in turn. BENCHMARKS.md says how to read their figures.
#![forbid(unsafe_code)]

pub mod args;
pub mod clock;
pub mod data;
pub mod limits;
pub mod rows;
pub mod sample;
pub mod source;
pub mod tasks;

/// What the programs fail with: they have nothing to do but say so.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The result of the programs' steps.
pub type Outcome<T = ()> = Result<T, Failure>;
