//! An offline-first data source for Rust: point it at a service you already have, give it a place to store things, and
//! keep working when the network goes.
//!
//! A re-implementation of the Kendo UI `DataSource`'s data layer with offline support, that loses nothing: read, filter,
//! sort, group, edit, go offline, restart, come back, sync.
//!
//! ```
//! use landfall::{DataSource, Model, Record, storage::MemoryStorage, transport::MockServer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> landfall::Result<()> {
//! # let service = MockServer::builder().row(Record::from_json(r#"{"ProductID":1,"ProductName":"Chai"}"#)?).id("ProductID").build();
//! let products: DataSource = DataSource::builder()
//!     .transport(service)
//!     .model(Model::new().id("ProductID"))
//!     .storage(MemoryStorage::new(), "products-offline")
//!     .build()?;
//!
//! products.fetch().await?;                       // from the service
//! products.online(false).await?;                 // the network goes
//! let first = products.at(0).unwrap();
//! products.set(&first, "ProductName", "Updated")?;
//! products.sync().await?;                        // accepted: stored, survives a restart
//! let report = products.online(true).await?;     // back: sends what is pending
//! assert!(report.is_success());
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `storage-sqlite` | yes | the default storage: one `SQLite` file, many keys |
//! | `storage-file` | no | a directory of readable files |
//! | `storage-session` | yes | state bound to a session |
//! | `transport-http` | yes | HTTP by reqwest |
//! | `tls` | yes | HTTPS |
//! | `transport-jsonp` | no | JSONP-style queries |
//! | `xml` | no | answers in XML |
//! | `collation` | yes | text order by the Unicode collation algorithm |
//! | `connectivity-os` | no | the operating system's network events |
//!
//! What it is not: a database, a cache of every page ever seen, or a replication protocol. It speaks to the service as it
//! is.
#![forbid(unsafe_code)]

pub mod blocking;
mod builder;
mod calls;
pub mod connectivity;
mod data_source;
mod driver;
mod entry;
mod events;
mod inbox;
mod local;
mod lock;
mod look;
mod operation;
mod push;
mod reading;
mod retry;
mod shared;
mod stored;
mod watch;

pub use builder::Builder;
pub use data_source::{DataSource, WeakDataSource};
pub use entry::{Entry, Row};
pub use events::{EventStream, HandlerId};
pub use landfall_core::{
    Accessor, Action, Aggregate, AggregateFunction, ChangeInfo, ChangeKind, ChangeOutcome, Date, Direction, Doubt,
    Error, ErrorKind, Event, EventKind, Failure, Field, FieldType, Filter, Found, Group, GroupOrder, Item, LookUp,
    Model, Number, Operator, Pattern, Pending, Policy, Preview, QueryOptions, Record, Result, Rule, Schema, Shown,
    ShownGroup, Sort, Standing, SyncProgress, SyncReport, Text, Theirs, Try, Uid, Value, Verdict, View, ViewGroup,
    Violation, Zone, judge,
};
pub use operation::{Operation, Outcome};

/// Places to store things.
pub mod storage {
    pub use landfall_storage::*;
    #[cfg(feature = "storage-file")]
    pub use landfall_storage_file::{FileConfig, FileStorage};
    pub use landfall_storage_memory::MemoryStorage;
    #[cfg(feature = "storage-session")]
    pub use landfall_storage_session::*;
    #[cfg(feature = "storage-sqlite")]
    pub use landfall_storage_sqlite::{SqliteConfig, SqliteStorage};
}

/// Ways to the service.
pub mod transport {
    pub use landfall_transport::*;
    #[cfg(feature = "transport-http")]
    pub use landfall_transport_http::*;
    #[cfg(feature = "transport-jsonp")]
    pub use landfall_transport_jsonp::*;
    pub use landfall_transport_mock::*;
}

/// The program of the README compiles.
#[cfg(all(doctest, feature = "storage-sqlite", feature = "transport-http"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
