//! Drives a data source over a durable storage, so that others can kill it, break its disk and its network, and look at
//! what is left.
//!
//! ```text
//! torture run    --storage file|sqlite --dir D [--key K] [--seed S --ops N]
//! torture verify --storage file|sqlite --dir D [--key K]
//! torture read   --storage file|sqlite --dir D [--key K] --url U [limits]
//! torture sync   --storage file|sqlite --dir D [--key K] --url U [limits]
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    landfall_tests::torture::main(std::env::args_os().skip(1))
}
