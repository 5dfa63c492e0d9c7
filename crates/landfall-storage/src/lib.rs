//! The storage contract of [landfall](https://docs.rs/landfall): the trait that every storage fulfils, the adapter for
//! custom item storages, the quota wrapper and the conformance kit.
#![forbid(unsafe_code)]

mod storage;

pub use landfall_core::{ChangeKind, Delta, Error, ErrorKind, Result, Revision, RowId, StoredRow, StoredState};
pub use storage::{Capability, Storage};
