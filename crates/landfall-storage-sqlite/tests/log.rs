//! SQLite's log under damage, and its locks within one process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall_storage::{Delta, ErrorKind, Storage, StoredRow, conformance::block_on};
use landfall_storage_sqlite::SqliteStorage;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A store whose log holds everything, and the bytes of database and log.
fn with_log(dir: &Path, commits: u64) -> (PathBuf, PathBuf, Vec<u8>) {
    let path = dir.join("offline.sqlite");
    let storage = SqliteStorage::open(&path).unwrap();
    for id in 1..=commits {
        block_on(storage.commit("k", id - 1, put(id))).unwrap();
    }
    let log = dir.join("offline.sqlite-wal");
    let bytes = fs::read(&log).unwrap();
    // As if the process had died: what closing carries over is taken back.
    let database = fs::read(&path).unwrap();
    drop(storage);
    fs::write(&path, database).unwrap();
    fs::write(&log, &bytes).unwrap();
    (path, log, bytes)
}

fn put(id: u64) -> Delta {
    let record = format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(50));
    Delta {
        put: vec![StoredRow { id, order: id, state: None, record: record.into(), change: None }],
        ..Delta::default()
    }
}

/// Any byte of a log that holds acknowledged commits: noticed, unless it is in the last of them, which a power cut may have
/// left so; then the log is kept aside. SQLite alone would forget everything from there on.
#[test]
fn a_damaged_log_is_refused_and_a_torn_one_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log, whole) = with_log(dir.path(), 6);
    let database = fs::read(&path).unwrap();
    let (mut refused, mut torn) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 120).chain(0..56) {
        fs::write(&path, &database).unwrap();
        let mut broken = whole.clone();
        broken[at] ^= 0x10;
        fs::write(&log, &broken).unwrap();
        match SqliteStorage::open(&path) {
            Err(error) => {
                assert_eq!(error.kind(), &ErrorKind::Corrupt, "byte {at}");
                assert_eq!(fs::read(&log).unwrap(), broken, "byte {at}: kept");
                assert_eq!(fs::read(&path).unwrap(), database, "byte {at}: kept");
                refused += 1;
            }
            Ok(storage) => {
                let rows = block_on(storage.load("k")).unwrap().rows.len();
                drop(storage);
                if rows < 6 {
                    assert_eq!(rows, 5, "byte {at}: only the last commit is in doubt");
                    assert_eq!(fs::read(dir.path().join("offline.sqlite-wal.torn")).unwrap(), broken, "byte {at}");
                    torn += 1;
                }
            }
        }
    }
    assert!(refused > 60 && torn > 5, "{refused} refused, {torn} torn");
}

/// A log that is gone, or cut short, is a store at some earlier moment, never an empty one.
#[test]
fn a_store_without_its_log_is_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log, whole) = with_log(dir.path(), 4);
    let database = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(997) {
        fs::write(&path, &database).unwrap();
        fs::write(&log, &whole[..length]).unwrap();
        let storage = SqliteStorage::open(&path).unwrap();
        assert!(!block_on(storage.load("k")).unwrap().rows.is_empty(), "cut at {length}");
    }
}

/// A second handle in the same process, opened and dropped, leaves the first one's locks alone: another process still
/// knows that the store is in use.
#[test]
#[cfg(unix)]
fn a_second_handle_leaves_the_locks_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let first = SqliteStorage::open(&path).unwrap();
    block_on(first.commit("k", 0, put(1))).unwrap();
    for _ in 0..3 {
        drop(SqliteStorage::open(&path).unwrap());
    }
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "errand_use_and_close", "--nocapture"])
        .env("LANDFALL_ERRAND", &path)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // The other one was not the last: the log is still there, and so is what it says.
    assert!(dir.path().join("offline.sqlite-wal").exists());
    block_on(first.commit("k", 2, put(3))).unwrap();
    drop(first);
    let again = SqliteStorage::open(&path).unwrap();
    assert_eq!(block_on(again.load("k")).unwrap().rows.len(), 3);
}

/// What another process does for the test above.
#[test]
#[cfg(unix)]
fn errand_use_and_close() {
    let Some(path) = std::env::var_os("LANDFALL_ERRAND") else { return };
    let storage = SqliteStorage::open(PathBuf::from(path)).unwrap();
    block_on(storage.commit("k", 1, put(2))).unwrap();
}
