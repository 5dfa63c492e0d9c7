//! The program `wire`: plays recorded wire cases over real HTTP and writes down what was sent and what came of it.
//!
//! A case names Kendo's options, steps and what two servers answer. It is played by the facade with the dialect `kendo`
//! over the HTTP channel; nothing is repaired or retried here.

pub mod case;
mod functions;
pub mod judge;
mod numbered;
pub mod program;
pub mod recording;
pub mod run;
mod servers;
mod steps;
pub mod zones;

pub use case::Case;
