//! What a program written by hand for this one table does: the yardsticks.
//!
//! | task | by hand |
//! |---|---|
//! | T1, T7 | `serde_json` into a `Vec` of structs |
//! | T2, T8 | one pass that keeps the best 20 |
//! | T3 | one pass, groups by number |
//! | T4 | one append and `fdatasync`; one prepared single-row transaction |
//! | T5 | the stored rows read and parsed one after another |
//! | T6 | serialise and parse each row, one durable commit at the end |

mod disk;
mod memory;

use crate::{
    Outcome,
    args::{Args, Task},
};

/// Runs a task and prints its samples.
///
/// # Errors
/// Whatever stops it.
pub fn run(args: &Args) -> Outcome {
    match args.task {
        Task::T1 => memory::load(args),
        Task::T2 => memory::query(args),
        Task::T3 => memory::group(args),
        Task::T4 => disk::edit(args),
        Task::T5 => disk::reopen(args),
        Task::T6 => disk::sync(args),
        Task::T7 => memory::memory(args),
        Task::T8 => memory::live(args),
    }
}
