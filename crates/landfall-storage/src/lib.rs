//! The storage contract of [landfall](https://docs.rs/landfall): the trait that every storage fulfils, the adapter for
//! custom item storages, the quota wrapper and the conformance kit.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "conformance"))]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
pub mod fs;
mod quota;
mod storage;
mod table;
pub mod worker;

pub use landfall_core::{ChangeKind, Delta, Error, ErrorKind, Result, Revision, RowId, StoredRow, StoredState};
pub use quota::QuotaStorage;
pub use storage::{Capability, Storage};
pub use table::{StateTable, check_key, stale};
