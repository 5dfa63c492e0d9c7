//! The file itself: who may read it, what is refused, what survives, how it looks to other tools and other processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may stop at the first surprise"
)]

use landfall_storage::{ChangeKind, Delta, ErrorKind, Storage, StoredRow, StoredState, conformance::block_on};
use landfall_storage_sqlite::{SqliteConfig, SqliteStorage};
use rusqlite::Connection;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

fn row(id: u64, record: &str) -> StoredRow {
    StoredRow { id, order: id * 10, state: None, record: record.into(), change: None }
}

fn put(rows: impl IntoIterator<Item = StoredRow>) -> Delta {
    Delta { put: rows.into_iter().collect(), ..Delta::default() }
}

fn open(path: &Path) -> SqliteStorage {
    SqliteStorage::open(path).unwrap()
}

fn commit(storage: &SqliteStorage, key: &str, expected: u64, delta: Delta) -> u64 {
    block_on(storage.commit(key, expected, delta)).unwrap()
}

fn load(storage: &SqliteStorage, key: &str) -> StoredState {
    block_on(storage.load(key)).unwrap()
}

fn refused(path: &Path) -> ErrorKind {
    SqliteStorage::open(path).unwrap_err().kind().clone()
}

fn some_changes(storage: &SqliteStorage) -> StoredState {
    let first = Delta {
        meta: Some(r#"{"next":4}"#.into()),
        ..put((1..=30).map(|id| row(id, &format!(r#"{{"id":{id},"name":"Product {id}"}}"#))))
    };
    let second = put([StoredRow {
        state: Some(ChangeKind::Update),
        change: Some(r#"{"op":"o1"}"#.into()),
        ..row(2, r#"{"id":2,"name":"Chang"}"#)
    }]);
    let revision = load(storage, "products").revision;
    commit(storage, "products", revision, first);
    commit(storage, "products", revision + 1, second);
    load(storage, "products")
}

/// So that rows are everywhere: in the table, recent, and in the tail.
fn more_changes(storage: &SqliteStorage) -> StoredState {
    commit(storage, "products", 0, put((1..=100).map(|id| row(id, r#"{"name":"Somewhat long before"}"#))));
    some_changes(storage);
    let long = format!(r#"{{"id":4,"name":"{}"}}"#, "x".repeat(5_000));
    commit(storage, "products", 3, put([row(4, &long)]));
    let pending = StoredRow { state: Some(ChangeKind::Update), ..row(6, r#"{"id":6,"name":"Newer"}"#) };
    commit(storage, "products", 4, put([pending]));
    load(storage, "products")
}

#[test]
#[cfg(unix)]
fn files_are_private_also_while_open() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own/deep/offline.sqlite");
    let storage = open(&path);
    some_changes(&storage);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("own")), 0o700);
    assert_eq!(mode(&dir.path().join("own/deep")), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["offline.sqlite", "offline.sqlite-shm", "offline.sqlite-wal"], "and nothing is left over");
}

#[test]
fn other_tools_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let storage = open(&path);
    more_changes(&storage);
    let other = Connection::open(&path).unwrap();
    let (marker, name): (String, String) = other
        .query_row(
            "SELECT marker, json_extract(record, '$.name') FROM recent JOIN states ON states.id = recent.state
             WHERE key = 'products' AND marker IS NOT NULL ORDER BY ord",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((marker.as_str(), name.as_str()), ("update", "Chang"));
    let newest: (i64, String) = other
        .query_row(
            "SELECT value ->> 'id', value ->> 'record' FROM heads, json_each(tail) WHERE value ->> 'marker' = 'update'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(newest, (6, r#"{"id":6,"name":"Newer"}"#.to_owned()));
    assert_eq!(other.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    assert_eq!(other.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap(), "wal");
    assert_eq!(other.query_row("PRAGMA application_id", [], |row| row.get::<_, i32>(0)).unwrap(), 0x4C46_414C);
}

#[test]
fn a_file_of_every_released_format_opens() {
    let samples: [&[u8]; 3] = [
        include_bytes!("samples/format-1.sqlite"),
        include_bytes!("samples/format-2.sqlite"),
        include_bytes!("samples/format-3.sqlite"),
    ];
    for (n, sample) in samples.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offline.sqlite");
        fs::write(&path, sample).unwrap();
        let storage = open(&path);
        let fresh = open(&dir.path().join("fresh.sqlite"));
        assert_eq!(load(&storage, "products"), some_changes(&fresh), "format {}", n + 1);
        let known = load(&storage, "products");
        let usage = block_on(storage.usage(None)).unwrap();
        assert_eq!(commit(&storage, "products", 2, Delta::default()), 3);
        assert_eq!(commit(&storage, "other", 0, Delta::default()), 1);
        drop(storage);
        let storage = open(&path);
        assert_eq!(load(&storage, "products").rows, known.rows, "as a file of this format");
        assert_eq!(block_on(storage.usage(None)).unwrap(), usage);
        assert_eq!(block_on(storage.keys()).unwrap(), ["other", "products"]);
        block_on(storage.remove("products")).unwrap();
        assert_eq!(load(&storage, "products"), StoredState::default());
        // Reading only changes nothing, and shows the same.
        let path = dir.path().join("kept.sqlite");
        fs::write(&path, sample).unwrap();
        let storage = SqliteStorage::open_with(&path, &SqliteConfig::new().read_only(true)).unwrap();
        assert_eq!(load(&storage, "products"), known);
        assert_eq!(block_on(storage.usage(None)).unwrap(), usage);
        drop(storage);
        assert_eq!(fs::read(&path).unwrap(), sample);
    }
}

/// How many rows are where.
fn places(path: &Path) -> (u64, u64, u64) {
    let other = Connection::open(path).unwrap();
    let count = |what: &str| {
        let sql = format!("SELECT {what}");
        other.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
    };
    (
        count("count(*) FROM rows"),
        count("count(*) FROM recent"),
        count("coalesce(sum(json_array_length(tail)), 0) FROM heads"),
    )
}

#[test]
fn what_is_recent_stands_in_place_of_what_was_before_until_it_is_moved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let storage = open(&path);
    let row = |id: u64, text: &str| StoredRow {
        id,
        order: id,
        state: None,
        record: format!(r#"{{"text":"{text}"}}"#).into(),
        change: None,
    };
    let mut model = StoredState::default();
    let mut revision = 0;
    let mut go = |delta: Delta| {
        revision = commit(&storage, "k", revision, delta.clone());
        model.apply(&delta, revision);
        assert_eq!(load(&storage, "k"), model);
        block_on(storage.keys()).unwrap();
        places(&path)
    };
    assert_eq!(go(put((1..=9000).map(|id| row(id, "first")))), (9000, 0, 0), "all at once");
    assert_eq!(go(put([row(5, "second"), row(9001, "new")])), (9000, 0, 2));
    assert_eq!(go(Delta { delete: vec![5, 6, 9001, 77_777], ..Delta::default() }), (9000, 0, 3));
    assert_eq!(go(put([row(6, "again")])), (9000, 0, 3));
    let pending = |id| StoredRow { state: Some(ChangeKind::Update), change: Some("{}".into()), ..row(id, "pending") };
    assert_eq!(go(put((7..=8).map(pending))), (9000, 0, 5));
    assert_eq!(go(put((1000..3000).map(|id| row(id, "third")))), (9000, 2004, 0));
    // One more than a quarter: what is not pending is moved, what is deleted is gone.
    assert_eq!(go(put((3000..3300).map(|id| row(id, "fourth")))), (8999, 2, 0));
    assert_eq!(go(put((1..=9000).map(pending))), (8999, 9000, 0), "what is pending stays");
    assert_eq!(go(put((1..=9000).map(|id| row(id, "last")))), (9000, 0, 0));
    assert_eq!(go(Delta { clear: true, ..put([row(1, "only")]) }), (1, 0, 0));
}

#[test]
fn foreign_empty_and_newer_files_are_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("empty"), "").unwrap();
    fs::write(path("text"), "hello ".repeat(1_000)).unwrap();
    fs::write(path("short"), "SQLite format 3\0").unwrap();
    let foreign = Connection::open(path("foreign")).unwrap();
    foreign.execute_batch("CREATE TABLE states(x); INSERT INTO states VALUES(1);").unwrap();
    drop(foreign);
    for name in ["empty", "text", "short", "foreign"] {
        let before = fs::read(path(name)).unwrap();
        assert_eq!(refused(&path(name)), ErrorKind::Corrupt, "{name}");
        assert_eq!(fs::read(path(name)).unwrap(), before, "{name} is kept");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing was left beside them");
    some_changes(&open(&path("newer")));
    let newer = Connection::open(path("newer")).unwrap();
    newer.pragma_update(None, "user_version", 4).unwrap();
    drop(newer);
    let before = fs::read(path("newer")).unwrap();
    let error = SqliteStorage::open(path("newer")).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NewerFormat);
    assert_eq!(error.operation(), "open");
    assert_eq!(fs::read(path("newer")).unwrap(), before);
    assert_eq!(refused(dir.path()), ErrorKind::Config, "a directory");
    assert_eq!(refused(Path::new("")), ErrorKind::Config);
}

#[test]
fn a_log_without_its_file_is_not_an_empty_state() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let storage = open(&path);
    some_changes(&storage);
    let copy = dir.path().join("copy.sqlite");
    fs::copy(dir.path().join("offline.sqlite-wal"), dir.path().join("copy.sqlite-wal")).unwrap();
    assert_eq!(refused(&copy), ErrorKind::Corrupt);
    assert!(!copy.exists());
}

#[test]
fn hostile_schemas_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (n, sql) in [
        "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM states; END",
        "CREATE VIEW v AS SELECT * FROM rows",
        "DROP TABLE rows; CREATE VIEW rows AS SELECT * FROM states",
        "DROP TABLE rows; CREATE TABLE rows(state, id, ord, marker, record, change, crc)",
        "DROP TABLE rows",
        "DROP TABLE store",
        "ALTER TABLE rows ADD COLUMN extra TEXT",
        "DROP TABLE recent",
        "DROP TABLE heads",
        "DELETE FROM heads",
        "UPDATE heads SET tail = NULL",
        "UPDATE heads SET tail = '[]'",
        "UPDATE heads SET revision = revision - 1",
        "DELETE FROM store",
        "PRAGMA foreign_keys = OFF; DELETE FROM states",
        "UPDATE heads SET crc = crc + 1",
        "UPDATE states SET key = 'other'",
        "INSERT INTO states SELECT 99, 'b', meta FROM states",
        "INSERT INTO states SELECT 99, 'b', meta FROM states; UPDATE store SET state_count = state_count + 1",
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(format!("{n}.sqlite"));
        some_changes(&open(&path));
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        assert_eq!(refused(&path), ErrorKind::Corrupt, "{sql}");
    }
}

#[test]
fn changes_by_hand_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for (n, sql) in [
        "UPDATE rows SET record = '{}' WHERE id = 50",
        "UPDATE rows SET ord = ord + 1 WHERE id = 50",
        "UPDATE recent SET marker = NULL WHERE id = 2",
        "UPDATE recent SET change = NULL WHERE id = 2",
        "UPDATE recent SET record = NULL WHERE id = 2",
        "DELETE FROM recent",
        "INSERT INTO recent SELECT state, 50, ord, marker, NULL, change, crc FROM recent WHERE id = 2",
        "UPDATE rows SET crc = 1 WHERE id = 50",
        "DELETE FROM rows WHERE id = 50",
        "DELETE FROM rows",
        "INSERT INTO rows SELECT state, 999, ord, marker, record, change, crc FROM rows WHERE id = 51",
        "UPDATE states SET meta = '{}'",
        "UPDATE states SET meta = NULL",
        "UPDATE rows SET record = CAST(X'FF' AS TEXT) WHERE id = 50",
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(format!("{n}.sqlite"));
        more_changes(&open(&path));
        let before = Connection::open(&path).unwrap();
        before.execute_batch(sql).unwrap();
        drop(before);
        let storage = open(&path);
        let error = block_on(storage.load("products")).map(drop).expect_err(sql);
        assert_eq!(error.kind(), &ErrorKind::Corrupt, "{sql}: {error:?}");
        assert_eq!(error.operation(), "load");
        // The other keys are not concerned, and removing ends the trouble.
        commit(&storage, "other", 0, put([row(1, "{}")]));
        block_on(storage.remove("products")).unwrap();
        assert_eq!(load(&storage, "products"), StoredState::default());
        commit(&storage, "products", 0, put([row(1, "{}")]));
    }
}

/// Damages the closed file in every way that `damage` knows; whatever opens must be what was stored.
fn damaged(what: &str, mut damage: impl FnMut(&[u8], usize) -> Option<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let storage = open(&path);
    let state = more_changes(&storage);
    drop(storage);
    let good = fs::read(&path).unwrap();
    let (mut refused, mut unharmed) = (0, 0);
    for n in 0.. {
        let Some(bad) = damage(&good, n) else { break };
        let path = dir.path().join("damaged.sqlite");
        for suffix in ["-wal", "-shm"] {
            drop(fs::remove_file(dir.path().join(format!("damaged.sqlite{suffix}"))));
        }
        fs::write(&path, &bad).unwrap();
        let outcome = SqliteStorage::open(&path).and_then(|storage| block_on(storage.load("products")));
        match outcome {
            Ok(found) => {
                assert_eq!(found, state, "{what} {n}: damage went unnoticed");
                unharmed += 1;
            }
            Err(error) => {
                let expected = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NewerFormat);
                assert!(expected, "{what} {n}: {error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "{what}: {refused} refused, {unharmed} unharmed");
}

#[test]
fn flipped_bits_are_noticed_or_harmless() {
    // Every bit of the header and schema page's first bytes, and a bit in every 7th byte of the rest.
    damaged("flip", |good, n| {
        let mut bad = good.to_vec();
        let at = if n < 128 * 8 { n / 8 } else { 128 + (n - 128 * 8) * 7 };
        *bad.get_mut(at)? ^= 1 << (n % 8);
        Some(bad)
    });
}

#[test]
fn cut_files_are_noticed() {
    damaged("cut", |good, n| {
        let length = n * 97;
        (length < good.len()).then(|| good[..length].to_vec())
    });
}

#[test]
fn lost_blocks_are_noticed() {
    damaged("zeroed block", |good, n| {
        let mut bad = good.to_vec();
        bad.get_mut(n * 512..(n + 1) * 512)?.fill(0);
        Some(bad)
    });
}

#[test]
fn a_read_only_handle_reads_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let config = SqliteConfig::new().read_only(true);
    assert_eq!(SqliteStorage::open_with(&path, &config).unwrap_err().kind(), &ErrorKind::Storage);
    assert!(!path.exists());
    let state = some_changes(&open(&path));
    let storage = SqliteStorage::open_with(&path, &config).unwrap();
    assert_eq!(load(&storage, "products"), state);
    let error = block_on(storage.commit("products", 2, put([row(1, "{}")]))).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ReadOnly);
    assert_eq!(block_on(storage.remove("products")).unwrap_err().kind(), &ErrorKind::ReadOnly);
    assert_eq!(load(&storage, "products"), state);
}

#[test]
fn a_busy_database_is_locked_and_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let storage =
        SqliteStorage::open_with(&path, &SqliteConfig::new().busy_timeout(Duration::from_millis(30))).unwrap();
    let state = some_changes(&storage);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = block_on(storage.commit("products", 2, put([row(1, "{}")]))).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Locked);
    assert!(error.is_retryable());
    assert_eq!(load(&storage, "products"), state, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(commit(&storage, "products", 2, put([row(1, "{}")])), 3);
}

#[test]
fn growth_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let storage = open(&path);
    let size = |suffix: &str| fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |file| file.len());
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(400));
    for step in 0..2_000 {
        commit(&storage, "k", step, put([row(step % 3, &text)]));
    }
    assert!(size("") + size("-wal") < 1024 * 1024, "{} and {}", size(""), size("-wal"));
    commit(&storage, "k", 2_000, put((0..20_000).map(|id| row(id, &text))));
    commit(&storage, "k", 2_001, Delta { clear: true, ..Delta::default() });
    commit(&storage, "k", 2_002, Delta::default());
    drop(storage);
    assert!(size("") + size("-wal") < 1024 * 1024, "{} and {}", size(""), size("-wal"));
    assert_eq!(load(&open(&path), "k").revision, 2_003);
}

// ---- other processes: this program starts itself with an errand in the environment

const ERRAND: &str = "LANDFALL_SQLITE_ERRAND";

fn errand(kind: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "errands", "--nocapture", "--test-threads=1"]);
    command.env(ERRAND, format!("{kind}={}", path.display()));
    command
}

/// Does what another test sent it for; on its own there is nothing to do.
#[test]
fn errands() {
    let Ok(errand) = std::env::var(ERRAND) else { return };
    let (kind, path) = errand.split_once('=').unwrap();
    let path = PathBuf::from(path);
    match kind {
        // Writes for ever and says what was acknowledged.
        "write" => {
            let storage = open(&path);
            let mut revision = load(&storage, "k").revision;
            loop {
                let text = format!(r#"{{"n":{}}}"#, revision + 1);
                revision = commit(&storage, "k", revision, put([row(revision % 50, &text), row(1_000, &text)]));
                println!("ack {revision}");
            }
        }
        // Adds 40 rows of its own to a key that others write too.
        "contend" => {
            let storage = open(&path);
            let mut made = 0;
            while made < 40 {
                let revision = load(&storage, "k").revision;
                let id = u64::from(std::process::id()) * 100 + made;
                match block_on(storage.commit("k", revision, put([row(id, "{}")]))) {
                    Ok(_) => made += 1,
                    Err(error) => assert!(error.is_retryable(), "{error:?}"),
                }
            }
        }
        #[cfg(feature = "default-path")]
        "default" => {
            let storage = SqliteStorage::open_default("landfall test").unwrap();
            assert_eq!(storage.path(), Some(path.as_path()));
            some_changes(&storage);
            for name in ["", ".", "..", "a/b", "a\\b"] {
                assert_eq!(SqliteStorage::open_default(name).unwrap_err().kind(), &ErrorKind::Config);
            }
        }
        other => panic!("no errand {other}"),
    }
}

#[test]
fn killed_writers_lose_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline.sqlite");
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut child = errand("write", &path).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref().map_while(Result::ok).filter(|line| line.starts_with("ack ")).take(3 + round * 7) {
            acknowledged = line[4..].parse().unwrap();
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(revision) = line.strip_prefix("ack ").and_then(|text| text.parse().ok()) {
                acknowledged = revision;
            }
        }
        child.wait().unwrap();
        let found = load(&open(&path), "k");
        assert!(
            found.revision == acknowledged || found.revision == acknowledged + 1,
            "acknowledged {acknowledged}, found {}",
            found.revision
        );
        // The two rows of a commit are found together.
        let last = format!(r#"{{"n":{}}}"#, found.revision);
        assert_eq!(found.rows.iter().filter(|row| *row.record == last).count(), 2);
    }
}

#[test]
fn processes_share_a_file_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // All of them find no file and create it.
    let path = dir.path().join("new/offline.sqlite");
    let children: Vec<_> = (0..4).map(|_| errand("contend", &path).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let found = load(&open(&path), "k");
    assert_eq!(found.revision, 160);
    assert_eq!(found.rows.len(), 160);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no left-overs");
}

#[test]
#[cfg(all(feature = "default-path", target_os = "linux"))]
fn the_default_path_is_in_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("landfall test/landfall.sqlite");
    let status = errand("default", &path).env("XDG_DATA_HOME", dir.path()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    assert_eq!(load(&open(&path), "products").revision, 2);
}
