//! The transport contract of [landfall](https://docs.rs/landfall): the trait that every transport fulfils, the dialects
//! that spell requests and read answers, and the conformance kit.
#![forbid(unsafe_code)]

mod transport;

pub use landfall_core::{Applied, Body, Error, ErrorKind, Operation, OutgoingRow, Reply, Request, Result};
pub use transport::Transport;
