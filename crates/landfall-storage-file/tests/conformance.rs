//! The conformance kit on a directory; once more with so little slack that files are written anew all the time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use landfall_storage::{conformance::Place, storage_conformance};
use landfall_storage_file::{FileConfig, FileStorage};

storage_conformance!(usual: || {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/for/this");
    Place::opened_by(move || FileStorage::open(&path)).keeping(dir)
});

storage_conformance!(tidy: || {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    Place::opened_by(move || FileStorage::open_with(&path, FileConfig::new().slack(0))).keeping(dir)
});
