//! The storage contract of [landfall](https://docs.rs/landfall), the offline-first data source: what keeps the records
//! and pending changes of a data source must fulfil the one trait [`Storage`]. For authors of storages, and for programs
//! that bring one of their own.
//!
//! | you have | you want |
//! |---|---|
//! | two functions that get and set a text | [`item_storage`], or the trait [`ItemStorage`] with [`ItemAdapter`] |
//! | a database, a file format, a service | [`Storage`], and the conformance kit (module `conformance`) to test it |
//! | blocking calls in your storage | [`worker::Worker`], a thread that does them in order |
//! | states in memory | [`StateTable`] |
//! | a limit on the bytes in use | [`QuotaStorage`] around any storage |
//!
//! ```
//! use landfall_storage::{Delta, ErrorKind, QuotaStorage, Storage, StoredRow, item_storage};
//! use std::sync::{Arc, Mutex};
//! # use landfall_storage::conformance::block_on;
//! # block_on(async {
//!
//! // A storage of your own in three lines, and a limit around it.
//! let place = Arc::new(Mutex::new(None::<String>));
//! let (get, set) = (Arc::clone(&place), place);
//! let mine = item_storage(
//!     move || Ok::<_, std::io::Error>(get.lock().unwrap().clone()),
//!     move |text| Ok::<_, std::io::Error>(*set.lock().unwrap() = Some(text.to_owned())),
//! );
//! let storage = QuotaStorage::like_local_storage(mine);
//!
//! // What a data source does with it: commit what changed, on top of a known revision.
//! let row = StoredRow { id: 1, order: 1, state: None, record: r#"{"id":1,"name":"Chai"}"#.into(), change: None };
//! let delta = Delta { put: vec![row], ..Delta::default() };
//! let revision = storage.commit("products", 0, delta.clone()).await?;
//! assert_eq!(storage.load("products").await?.rows.len(), 1);
//!
//! // Whoever builds on an old revision is told, and nothing is overwritten.
//! let error = storage.commit("products", 0, delta).await.unwrap_err();
//! assert_eq!(error.kind(), &ErrorKind::Stale { current: revision });
//! # Ok::<(), landfall_storage::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What it is not
//! No storage by itself: see `landfall-storage-memory`, `-file`, `-sqlite` and `-session`. It needs no async runtime and
//! brings none.
//!
//! # Features
//! - `conformance`: the conformance kit (module `conformance`), for tests.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "conformance"))]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
pub mod fs;
mod item;
mod quota;
mod storage;
mod table;
pub mod worker;

pub use item::{ItemAdapter, ItemStorage, item_storage};
pub use landfall_core::{ChangeKind, Delta, Error, ErrorKind, Result, Revision, RowId, StoredRow, StoredState};
pub use quota::QuotaStorage;
pub use storage::{Capability, Storage};
pub use table::{StateTable, check_key, stale};
