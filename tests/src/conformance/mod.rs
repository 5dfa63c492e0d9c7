//! Recorded scenarios: performing them, and judging the traces.
//!
//! A scenario describes a data source, a model server behind it, a storage and steps. A trace tells what each step
//! returned, which requests and events it caused, and what the data source then looked like. The expected traces were
//! recorded from the reference implementation; where landfall differs on purpose, its own expected trace stands beside
//! them.

pub mod corpus;
pub mod judge;
pub mod pack;
pub mod program;
pub mod run;
pub mod scenario;
pub mod steps;
pub mod trace;
pub mod world;
