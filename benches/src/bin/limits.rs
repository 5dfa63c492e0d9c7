//! Runs one task by hand on a typed `Vec`, a plain file or plain `SQLite`: the same options and lines as `tasks`.
#![forbid(unsafe_code)]

use landfall_benches::{Outcome, args::Args, limits};

fn main() -> Outcome {
    limits::run(&Args::parse(std::env::args().skip(1))?)
}
