//! One SQLite file as a storage for landfall, the offline-first data source: the default choice. Any number of keys in
//! one file, durable when a commit returns, shared between processes, readable with `sqlite3`.
//!
//! ```
//! use landfall_storage::{Delta, Storage, StoredRow};
//! use landfall_storage_sqlite::SqliteStorage;
//! # use landfall_storage::conformance::block_on;
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("offline.sqlite");
//! # block_on(async {
//!
//! let storage = SqliteStorage::open(&path)?;
//! let row = StoredRow { id: 1, order: 1, state: None, record: r#"{"id":1,"name":"Chai"}"#.into(), change: None };
//! storage.commit("products", 0, Delta { put: vec![row], ..Delta::default() }).await?;
//! drop(storage);
//!
//! let storage = SqliteStorage::open(&path)?;
//! assert_eq!(storage.load("products").await?.rows.len(), 1);
//! # Ok::<(), landfall_storage::Error>(())
//! # }).unwrap();
//! ```
//!
//! # The file
//! Journal mode WAL with `synchronous=FULL`: a returned commit survives a power cut. The file and its companions `-wal`
//! and `-shm` are readable by their owner only. Format 3 (`PRAGMA user_version`; the `application_id` is `LFAL`):
//!
//! | table | columns |
//! |---|---|
//! | `states` | `id`, `key`, `meta` (JSON) |
//! | `heads` | `state` (of `states.id`), `revision`, for checking `row_count`, `byte_count`, `row_sum`, `meta_crc`, `crc`, and `tail`: the newest changes, an array of objects with the columns of `rows` |
//! | `recent` | as `rows`: newer changes, which stand in place of the row of the same id there; without a record, that it is deleted |
//! | `rows` | `state`, `id`, `ord`, `marker` (`create`, `update`, `destroy` or null), `record` (JSON), `change` (JSON), `crc` |
//! | `store` | one row: `state_count` |
//!
//! ```sh
//! sqlite3 offline.sqlite "select marker, record from recent where marker is not null order by ord"
//! sqlite3 offline.sqlite "select value ->> 'marker', value ->> 'record' from heads, json_each(tail)"
//! ```
//!
//! A small change is written to the tail, so that a commit writes one page; a full tail goes to `recent`, where changes all over
//! a large state are close together; from there they are moved to `rows` when there are many and nobody waits. What is
//! pending stays in the tail or in `recent`, so the queries above show all of it, the newest in the second. A file of an
//! older format becomes one of format 3 with the first commit.
//!
//! The checksums (CRC-32) find accidents that SQLite itself does not notice; they are no protection against attackers.
//! A row that was changed by hand is therefore refused as damaged. A file that is damaged, empty or somebody else's gives
//! [`ErrorKind::Corrupt`](landfall_storage::ErrorKind::Corrupt), one that a newer landfall wrote
//! [`ErrorKind::NewerFormat`](landfall_storage::ErrorKind::NewerFormat); both are left as they are. So is a log (`-wal`) in
//! which acknowledged commits are damaged; one whose end only is torn is copied to `-wal.torn` before SQLite forgets that
//! end.
//!
//! # Features
//! - `bundled` (default): compiles SQLite into the program. There can be one SQLite per program: this crate links it
//!   through rusqlite 0.41.
//! - `default-path`: `SqliteStorage::open_default`, a file in the platform's data directory.
//!
//! # Limitations
//! Opening does its work on the calling thread; every other call is done by a thread of the storage's own. Not for
//! network file systems: SQLite's WAL needs shared memory. What is stored is not encrypted.
#![forbid(unsafe_code)]

mod apply;
mod config;
mod database;
mod error;
mod head;
mod log;
mod open;
mod registry;
mod rows;
mod schema;
mod storage;
mod tail;

pub use config::SqliteConfig;
pub use storage::SqliteStorage;
