//! Plays recorded wire cases and writes what was sent and what came of it.
//!
//! ```text
//! wire --cases FILE --out FILE [--only AREA[/NAME]]
//! ```
#![forbid(unsafe_code)]

use landfall_tests::wire::program::{self, Arguments};
use std::process::ExitCode;

fn main() -> ExitCode {
    landfall_tests::finish(Arguments::parse(std::env::args().skip(1)).and_then(|arguments| program::run(&arguments)))
}
