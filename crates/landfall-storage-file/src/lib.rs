//! A directory of readable files as a storage for landfall, the offline-first data source: like the browser's
//! `localStorage`, one file per key, for programs that want to see, copy and read what is kept.
//!
//! ```
//! use landfall_storage::{Delta, Storage, StoredRow};
//! use landfall_storage_file::FileStorage;
//! # use landfall_storage::conformance::block_on;
//! # let temporary = tempfile::tempdir().unwrap();
//! # let dir = temporary.path().join("offline");
//! # block_on(async {
//!
//! let storage = FileStorage::open(&dir)?;
//! let row = StoredRow { id: 1, order: 1, state: None, record: r#"{"id":1,"name":"Chai"}"#.into(), change: None };
//! storage.commit("products", 0, Delta { put: vec![row], ..Delta::default() }).await?;
//! assert!(dir.join("products.jsonl").exists());
//! drop(storage);
//!
//! let storage = FileStorage::open(&dir)?;
//! assert_eq!(storage.load("products").await?.rows.len(), 1);
//! # Ok::<(), landfall_storage::Error>(())
//! # }).unwrap();
//! ```
//!
//! # The files
//! JSON lines (format 1), each with its CRC-32 as last member, taken over the bytes of the line before `,"crc"`:
//!
//! ```json
//! {"landfall":"state","format":1,"key":"products","revision":7,"rows":1,"meta":true,"crc":"5f3c0d11"}
//! {"meta":{"next":3},"crc":"0c9fe1aa"}
//! {"id":1,"order":1024,"record":{"id":1,"name":"Chai"},"crc":"7be2d9f0"}
//! {"revision":8,"delete":[1],"put":[{"id":2,"order":2048,"state":"create","record":{"id":0},"change":{"op":"a"}}],"crc":"9d01c2b3"}
//! ```
//!
//! First a snapshot (header, meta document, one line per row), then one line per commit: first `clear`, then `delete`,
//! then `put`, then `meta`. A commit is one line and one flush. Behind the last line there may be spaces: room for the lines
//! to come, so that a flush need not make a new length of the file durable as well. A record or document that is no JSON object on
//! one line is kept as a JSON string. When the log outgrows the snapshot, the file is written anew beside it and renamed.
//!
//! ```sh
//! jq -c 'select(.record) | .record' offline/products.jsonl
//! ```
//!
//! The name of a file is the key, with everything but lower-case letters, digits, `_` and `-` as `%` and two hexadecimal
//! digits; of a long key the beginning and a hash. Names differ also where the file system ignores case. Files are
//! readable by their owner only, as are directories that are made.
//!
//! # Damage
//! A last line that is torn is the change that was under way when the program or the power went; it is ignored, and moved
//! aside (`.torn`) by the next commit. Anything else that does not match its checksum is
//! [`ErrorKind::Corrupt`](landfall_storage::ErrorKind::Corrupt) and left alone, a newer format
//! [`ErrorKind::NewerFormat`](landfall_storage::ErrorKind::NewerFormat). The checksums find accidents; they are no
//! protection against attackers.
//!
//! # Limitations
//! One process at a time works on a directory; a second one is refused with
//! [`ErrorKind::Locked`](landfall_storage::ErrorKind::Locked). Several handles in one process share it. Opening does its
//! work on the calling thread; every other call is done by a thread of the storage's own. What is stored is not encrypted.
#![forbid(unsafe_code)]

mod config;
mod error;
mod line;
mod name;
mod registry;
mod sizes;
mod storage;
mod store;
mod vfs;

pub use config::FileConfig;
pub use storage::FileStorage;
pub use vfs::{RealVfs, Vfs, VfsFile};
