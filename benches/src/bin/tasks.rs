//! Runs one task through landfall: `tasks --task T1..T8 --rows N [--form F] [--runs R] [--warmup W] [--dir D]
//! [--storage sqlite|file] [--prepare]`. One JSON object a sample on standard output.
#![forbid(unsafe_code)]

use landfall_benches::{Outcome, args::Args, tasks};

fn main() -> Outcome {
    tasks::run(&Args::parse(std::env::args().skip(1))?)
}
