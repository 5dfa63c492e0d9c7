//! Session-bound states as a storage for landfall, the offline-first data source: like the browser's `sessionStorage`,
//! for programs that serve many visitors. What is stored lives as long as its session: until it is ended, or until
//! nobody used it for the idle time-out (20 minutes unless set).
//!
//! One [`SessionStore`] per process hands out a [`SessionStorage`] per session id. Sessions never see each other's
//! states; several handles on one session share them.
//!
//! ```
//! use landfall_storage::{Delta, ErrorKind, Storage, StoredRow};
//! use landfall_storage_session::{SessionConfig, SessionStore};
//! use std::time::Duration;
//! # use landfall_storage::conformance::block_on;
//! # block_on(async {
//!
//! let store = SessionStore::new(SessionConfig::new().idle_timeout(Duration::from_secs(30 * 60)));
//!
//! // One visitor's request: the id comes from your web framework's session cookie.
//! let mine = store.session("c0ffee")?;
//! let row = StoredRow { id: 1, order: 1, state: None, record: r#"{"id":1,"name":"Chai"}"#.into(), change: None };
//! mine.commit("products", 0, Delta { put: vec![row], ..Delta::default() }).await?;
//!
//! // Another visitor sees nothing of it.
//! let other = store.session("decaf")?;
//! assert_eq!(other.load("products").await?.rows.len(), 0);
//!
//! // At logout:
//! store.end("c0ffee");
//! assert_eq!(mine.load("products").await.unwrap_err().kind(), &ErrorKind::Closed);
//! # Ok::<(), landfall_storage::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What it is not
//! Not durable: states are in process memory. It makes no session ids and knows no cookies. It is no limit of memory
//! either: put a `landfall_storage::QuotaStorage` around each handle for that.
//!
//! # Limitations
//! A session that nobody uses any more is noticed when its handle or its id is used again, or by
//! [`SessionStore::sweep`]: call that now and then (a timer of your server, or every hundredth request).
#![forbid(unsafe_code)]

mod config;
mod error;
mod storage;

pub use config::SessionConfig;
pub use storage::{SessionStorage, SessionStore};
