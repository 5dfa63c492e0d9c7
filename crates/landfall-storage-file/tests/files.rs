//! The directory itself: names, permissions, format, damage, growth, and other processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may stop at the first surprise"
)]

use landfall_storage::{ChangeKind, Delta, ErrorKind, Storage, StoredRow, StoredState, conformance::block_on};
use landfall_storage_file::FileStorage;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn row(id: u64, record: &str) -> StoredRow {
    StoredRow { id, order: id * 10, state: None, record: record.into(), change: None }
}

fn put(rows: impl IntoIterator<Item = StoredRow>) -> Delta {
    Delta { put: rows.into_iter().collect(), ..Delta::default() }
}

fn open(dir: &Path) -> FileStorage {
    FileStorage::open(dir).unwrap()
}

fn commit(storage: &FileStorage, key: &str, expected: u64, delta: Delta) -> u64 {
    block_on(storage.commit(key, expected, delta)).unwrap()
}

fn load(storage: &FileStorage, key: &str) -> StoredState {
    block_on(storage.load(key)).unwrap()
}

/// A state with everything that the format knows: a snapshot and three commits.
fn some_changes(storage: &FileStorage) -> StoredState {
    let destroyed =
        StoredRow { state: Some(ChangeKind::Destroy), change: Some(r#"{"op":"o0"}"#.into()), ..row(5, "{}") };
    let first = Delta {
        meta: Some(r#"{"next":4}"#.into()),
        ..put([row(1, r#"{"id":1,"name":"Chai"}"#), row(2, r#"{"id":2,"name":"Ä\u00f6"}"#), row(3, "{\n}"), destroyed])
    };
    let updated = StoredRow {
        state: Some(ChangeKind::Update),
        change: Some(r#"{"op":"o1"}"#.into()),
        ..row(2, r#"{"id":2,"name":"Chang"}"#)
    };
    commit(storage, "Products 1", 0, first);
    commit(storage, "Products 1", 1, Delta { delete: vec![1, 3], ..put([updated]) });
    commit(storage, "Products 1", 2, Delta { meta: Some(r#"{"next":5}"#.into()), ..Delta::default() });
    let created = StoredRow { state: Some(ChangeKind::Create), ..row(4, "no object") };
    commit(storage, "Products 1", 3, Delta { put: vec![created], ..Delta::default() });
    load(storage, "Products 1")
}

const FILE: &str = "%50roducts%201.jsonl";
const SAMPLE: &[u8] = include_bytes!("samples/format-1.jsonl");

#[test]
fn the_format_stays() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let state = some_changes(&storage);
    let written = fs::read(dir.path().join(FILE)).unwrap();
    let written = String::from_utf8(written).unwrap();
    // Behind the lines is room for the next ones.
    assert_eq!(written.trim_end_matches(' '), String::from_utf8(SAMPLE.to_vec()).unwrap());
    drop(storage);
    // The sample that this version released opens for ever.
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join(FILE), SAMPLE).unwrap();
    let storage = open(other.path());
    assert_eq!(load(&storage, "Products 1"), state);
    assert_eq!(commit(&storage, "Products 1", 4, Delta::default()), 5);
}

#[test]
fn ordinary_tools_can_read_it() {
    for line in std::str::from_utf8(SAMPLE).unwrap().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let (last, crc) = value.as_object().unwrap().iter().next_back().unwrap();
        assert_eq!(last, "crc", "the checksum is the last member");
        let body = &line[..line.rfind(r#","crc":"#).unwrap()];
        assert_eq!(crc.as_str().unwrap(), format!("{:08x}", crc32fast::hash(body.as_bytes())));
    }
    assert!(
        std::str::from_utf8(SAMPLE).unwrap().contains(r#""record":{"id":2,"name":"Chang"}"#),
        "as it is, not escaped"
    );
}

#[test]
#[cfg(unix)]
fn files_are_private_and_links_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("own/deep");
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let storage = open(&mine);
    symlink(&victim, mine.join(format!("{FILE}.tmp"))).unwrap();
    symlink(&victim, mine.join(format!("{FILE}.torn"))).unwrap();
    some_changes(&storage);
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("own")), 0o700);
    assert_eq!(mode(&mine), 0o700);
    for name in [FILE, "landfall.lock"] {
        assert_eq!(mode(&mine.join(name)), 0o600, "{name}");
    }
    assert!(!mine.join(format!("{FILE}.tmp")).exists());
    drop(storage);
    // A torn end goes into a file of its own, not through the link.
    let mut bytes = fs::read(mine.join(FILE)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap();
    bytes.truncate(end - 4);
    fs::write(mine.join(FILE), bytes).unwrap();
    let storage = open(&mine);
    commit(&storage, "Products 1", 3, Delta::default());
    assert!(fs::symlink_metadata(mine.join(format!("{FILE}.torn"))).unwrap().is_file());
    assert_eq!(mode(&mine.join(format!("{FILE}.torn"))), 0o600);
    drop(storage);
    // A link in place of a file is refused.
    fs::rename(mine.join(FILE), dir.path().join("moved")).unwrap();
    symlink(dir.path().join("moved"), mine.join(FILE)).unwrap();
    assert_eq!(FileStorage::open(&mine).unwrap_err().kind(), &ErrorKind::Storage);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn one_directory_under_several_names_is_one_state() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    let one = open(&real);
    let two = open(&real.join(".").join("..").join("real"));
    commit(&one, "k", 0, Delta::default());
    assert_eq!(load(&two, "k").revision, 1);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
        let three = open(&dir.path().join("link"));
        assert_eq!(commit(&three, "k", 1, Delta::default()), 2);
    }
    // Opening and dropping from many threads never meets a lock of our own.
    drop((one, two));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    assert!(load(&open(&real), "k").revision >= 1);
                }
            });
        }
    });
    assert_eq!(FileStorage::open("").unwrap_err().kind(), &ErrorKind::Config);
}

/// Opens a directory that holds this file only.
fn with_file(bytes: &[u8]) -> (tempfile::TempDir, FileStorage) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), bytes).unwrap();
    let storage = open(dir.path());
    (dir, storage)
}

/// Every state that the sample went through, by revision.
fn history() -> Vec<StoredState> {
    let mut cuts: Vec<usize> =
        SAMPLE.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let snapshot = cuts.len() - 3;
    cuts.drain(..snapshot - 1);
    cuts.into_iter().map(|length| load(&with_file(&SAMPLE[..length]).1, "Products 1")).collect()
}

fn check_damaged(bytes: &[u8], history: &[StoredState], what: &str) -> bool {
    let (dir, storage) = with_file(bytes);
    match block_on(storage.load("Products 1")) {
        Ok(found) => {
            assert!(history.contains(&found), "{what}: {found:?}");
            true
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NewerFormat), "{what}: {error:?}");
            assert!(block_on(storage.commit("Products 1", 0, Delta::default())).is_err(), "{what}: never a new state");
            assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), bytes, "{what}: kept");
            false
        }
    }
}

#[test]
fn cut_files_give_an_older_state_or_an_error() {
    let history = history();
    assert_eq!(history.iter().map(|state| state.revision).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for length in 0..SAMPLE.len() {
        let opened = check_damaged(&SAMPLE[..length], &history, &format!("cut to {length}"));
        let lines = SAMPLE[..length].split(|byte| *byte == b'\n').count() - 1;
        assert_eq!(opened, lines >= 6, "cut to {length}: a snapshot has to be whole");
    }
}

#[test]
fn flipped_bits_give_an_older_state_or_an_error() {
    let history = history();
    let mut opened = 0;
    for at in 0..SAMPLE.len() {
        for bit in 0..8 {
            let mut bytes = SAMPLE.to_vec();
            bytes[at] ^= 1 << bit;
            opened += usize::from(check_damaged(&bytes, &history[2..3], &format!("bit {bit} of byte {at}")));
        }
    }
    let last = SAMPLE.len() - SAMPLE[..SAMPLE.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() - 1;
    // Where the damage makes or unmakes the end of a line, it is more than one line that is damaged.
    assert!(opened <= last * 8 && opened > last * 6, "only damage of the last line is taken for a torn end: {opened}");
}

#[test]
fn lines_cannot_be_moved() {
    let lines: Vec<&[u8]> = SAMPLE.split_inclusive(|byte| *byte == b'\n').collect();
    let history = history();
    for a in 0..lines.len() {
        let mut doubled = lines.clone();
        doubled.insert(a, lines[a]);
        assert!(!check_damaged(&doubled.concat(), &history, &format!("line {a} twice")));
        let mut missing = lines.clone();
        missing.remove(a);
        let opened = check_damaged(&missing.concat(), &history, &format!("without line {a}"));
        assert_eq!(opened, a + 1 == lines.len(), "without line {a}");
        for b in 0..a {
            let mut swapped = lines.clone();
            swapped.swap(a, b);
            // Rows of a snapshot carry their order themselves.
            let rows = (2..6).contains(&a) && (2..6).contains(&b);
            assert_eq!(check_damaged(&swapped.concat(), &history, &format!("lines {a} and {b} swapped")), rows);
        }
    }
}

#[test]
fn newer_and_foreign_files_are_kept() {
    let sealed = |body: &str| format!("{body},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()));
    let newer = sealed(r#"{"landfall":"state","format":2,"key":"Products 1","whatever":[]"#) + "anything\n";
    let (dir, storage) = with_file(newer.as_bytes());
    for kind in [
        block_on(storage.load("Products 1")).unwrap_err().kind(),
        block_on(storage.commit("Products 1", 0, Delta::default())).unwrap_err().kind(),
        block_on(storage.usage(Some("Products 1"))).unwrap_err().kind(),
    ] {
        assert_eq!(kind, &ErrorKind::NewerFormat);
    }
    assert_eq!(block_on(storage.keys()).unwrap(), ["Products 1"]);
    assert!(block_on(storage.usage(None)).unwrap() > 0);
    assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), newer.as_bytes());
    let foreign = sealed(r#"{"landfall":"diary","format":1,"key":"Products 1""#);
    let (_dir, storage) = with_file(foreign.as_bytes());
    assert_eq!(block_on(storage.load("Products 1")).unwrap_err().kind(), &ErrorKind::Corrupt);
    // Removing is the way out of it.
    block_on(storage.remove("Products 1")).unwrap();
    assert_eq!(commit(&storage, "Products 1", 0, Delta::default()), 1);
    // A copy under another name is nobody's, and files of others are left alone.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("copy.jsonl"), SAMPLE).unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let storage = open(dir.path());
    assert_eq!(block_on(storage.keys()).unwrap(), [""; 0]);
    assert_eq!(load(&storage, "Products 1"), StoredState::default());
    some_changes(&storage);
    assert_eq!(fs::read(dir.path().join("copy.jsonl")).unwrap(), SAMPLE);
    assert_eq!(fs::read(dir.path().join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn growth_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let file = dir.path().join("k.jsonl");
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(2_000));
    let mut revision = 0;
    let mut longest = 0;
    while revision < 3_000 {
        revision = commit(&storage, "k", revision, put([row(revision % 2, &text)]));
        longest = longest.max(fs::metadata(&file).unwrap().len());
    }
    let live = load(&storage, "k").size();
    assert!(longest < 3 * live + 1024 * 1024, "{longest} for {live}");
    assert!(longest > 400 * 1024, "the usual edit appends: {longest}");
    // Tiny rows, and a state that shrinks.
    revision = commit(&storage, "k", revision, Delta { clear: true, ..put((0..30_000).map(|id| row(id, "{}"))) });
    for id in 0..30_000 / 100 {
        let delete = (id * 100..(id + 1) * 100).collect();
        revision = commit(&storage, "k", revision, Delta { delete, ..Delta::default() });
    }
    block_on(storage.keys()).unwrap();
    let length = fs::metadata(&file).unwrap().len();
    assert!(length < 1024 * 1024, "{length} bytes for nothing");
    assert_eq!(load(&storage, "k"), StoredState { revision, ..StoredState::default() });
}

#[test]
#[cfg(target_os = "linux")]
fn many_keys_need_few_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for round in 0..2 {
        for n in 0..150 {
            commit(&storage, &format!("key {n}"), round, Delta::default());
        }
    }
    let ours = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter(|entry| fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|path| path.starts_with(dir.path())))
        .count();
    assert!(ours < 20, "{ours} files are open");
    assert_eq!(block_on(storage.keys()).unwrap().len(), 150);
}

// ---- other processes: this program starts itself with an errand in the environment

const ERRAND: &str = "LANDFALL_FILE_ERRAND";

fn errand(kind: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "errands", "--nocapture", "--test-threads=1"]);
    command.env(ERRAND, format!("{kind}={}", dir.display()));
    command
}

/// Does what another test sent it for; on its own there is nothing to do.
#[test]
fn errands() {
    let Ok(errand) = std::env::var(ERRAND) else { return };
    let (kind, dir) = errand.split_once('=').unwrap();
    let dir = PathBuf::from(dir);
    match kind {
        // Writes for ever and says what was acknowledged.
        "write" => {
            let storage = open(&dir);
            let mut revision = load(&storage, "k").revision;
            let filler = "x".repeat(3_000);
            loop {
                let text = format!(r#"{{"n":{},"filler":"{filler}"}}"#, revision + 1);
                revision = commit(&storage, "k", revision, put([row(revision % 50, &text), row(1_000, &text)]));
                println!("ack {revision}");
            }
        }
        "locked" => {
            let error = FileStorage::open(&dir).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Locked);
            assert!(error.is_retryable());
        }
        other => panic!("no errand {other}"),
    }
}

#[test]
fn a_second_process_is_refused_while_the_first_lives() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    commit(&storage, "k", 0, Delta::default());
    let refused =
        || errand("locked", dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success();
    assert!(refused());
    assert_eq!(commit(&storage, "k", 1, Delta::default()), 2, "the first goes on");
    drop(storage);
    assert!(!refused(), "the last handle gave up the lock");
    assert_eq!(load(&open(dir.path()), "k").revision, 2);
}

#[test]
fn killed_writers_lose_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut child = errand("write", dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref().map_while(Result::ok).filter(|line| line.starts_with("ack ")).take(3 + round * 17) {
            acknowledged = line[4..].parse().unwrap();
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(revision) = line.strip_prefix("ack ").and_then(|text| text.parse().ok()) {
                acknowledged = revision;
            }
        }
        child.wait().unwrap();
        // A dead process leaves no lock.
        let found = load(&open(dir.path()), "k");
        assert!(
            found.revision == acknowledged || found.revision == acknowledged + 1,
            "acknowledged {acknowledged}, found {}",
            found.revision
        );
        // The two rows of a commit are found together.
        let last = format!(r#"{{"n":{},"#, found.revision);
        assert_eq!(found.rows.iter().filter(|row| row.record.starts_with(&last)).count(), 2);
    }
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.contains(".torn"));
    names.sort();
    assert_eq!(names, ["k.jsonl", "landfall.lock"], "no left-overs");
}
