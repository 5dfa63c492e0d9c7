//! The conformance kit on a file, and on a database in memory.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use landfall_storage::{conformance::Place, storage_conformance};
use landfall_storage_sqlite::SqliteStorage;

storage_conformance!(file: || {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/for/this/offline.sqlite");
    Place::opened_by(move || SqliteStorage::open(&path)).keeping(dir)
});

storage_conformance!(memory: || Place::of_clones(SqliteStorage::open_in_memory().unwrap()));
