//! The tasks, driven through the facade. Each module times one of them and checks its answer outside of the clock.

mod edit;
mod group;
mod live;
mod load;
mod memory;
mod query;
mod reopen;
mod sync;

use crate::{
    Outcome,
    args::{Args, Task},
};

pub(crate) use memory::in_processes;

/// Runs a task and prints its samples.
///
/// # Errors
/// Whatever stops the task; a check that fails is a sample's.
pub fn run(args: &Args) -> Outcome {
    match args.task {
        Task::T1 => load::run(args),
        Task::T2 => query::run(args),
        Task::T3 => group::run(args),
        Task::T4 => edit::run(args),
        Task::T5 => reopen::run(args),
        Task::T6 => sync::run(args),
        Task::T7 => memory::run(args),
        Task::T8 => live::run(args),
    }
}
