//! Cross-crate tests of landfall, and the programs that others run against it.
//!
//! The programs are thin: they parse, call the library, print. What the library does not do is not repaired here.
#![forbid(unsafe_code)]

pub mod conformance;
pub mod dialects;
pub mod fuzz;
pub mod simulator;
pub mod torture;
pub mod wire;

use std::{error::Error as _, process::ExitCode};

/// How a program ends: silently, or with its error and the causes on standard error.
#[allow(clippy::print_stderr, reason = "the programs talk to people here")]
pub fn finish(done: landfall_core::Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}
