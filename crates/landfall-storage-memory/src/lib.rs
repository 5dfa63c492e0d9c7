//! Process memory as a storage for landfall, the offline-first data source: for tests, for examples, and for programs
//! that want offline work within one run but keep nothing beyond it.
//!
//! ```
//! use landfall_storage::{Delta, Storage, StoredRow};
//! use landfall_storage_memory::MemoryStorage;
//! # use landfall_storage::conformance::block_on;
//! # block_on(async {
//!
//! let storage = MemoryStorage::new();
//! let row = StoredRow { id: 1, order: 1, state: None, record: r#"{"id":1,"name":"Chai"}"#.into(), change: None };
//! let revision = storage.commit("products", 0, Delta { put: vec![row], ..Delta::default() }).await?;
//!
//! // A clone is a further handle on the same memory.
//! let other = storage.clone();
//! assert_eq!(other.load("products").await?.rows.len(), 1);
//! assert_eq!(revision, 1);
//! # Ok::<(), landfall_storage::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What it is not
//! Not durable: everything is gone when the last clone is dropped, and [`capability`](landfall_storage::Storage::capability)
//! says so. Not shared between processes. For a state per visitor with an idle time-out see `landfall-storage-session`.
#![forbid(unsafe_code)]

mod storage;

pub use storage::MemoryStorage;
