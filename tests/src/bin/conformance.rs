//! Performs recorded scenarios and writes their traces.
//!
//! ```text
//! conformance --scenarios DIR --out DIR [--only AREA[/NAME]] [--storage item|memory|file|sqlite]
//! ```
#![forbid(unsafe_code)]

use landfall_tests::conformance::program::{self, Arguments};
use std::process::ExitCode;

fn main() -> ExitCode {
    landfall_tests::finish(Arguments::parse(std::env::args().skip(1)).and_then(|arguments| program::run(&arguments)))
}
