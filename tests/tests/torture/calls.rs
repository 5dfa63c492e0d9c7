//! System calls that fail, and power cuts on recorded ones. A small C file is loaded in front of the C library; where no
//! compiler is, the tests say so and pass.

use super::{
    Rows, STORAGES, any, chosen, done, dump, ended,
    model::{Fate, Workload},
    torture,
};
use landfall::{
    Record, Value,
    storage::{FileStorage, SqliteStorage, Storage},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// An error number, and the kinds that a program may call it.
type Fault = (i32, &'static [&'static str]);

const FULL: Fault = (28, &["full"]);
const QUOTA: Fault = (122, &["full"]);
const TOO_LARGE: Fault = (27, &["full", "io"]);
const IO: Fault = (5, &["io"]);
/// SQLite takes a file that cannot be read for a damaged one.
const UNREADABLE: Fault = (5, &["io", "corrupt"]);
const READ_ONLY: Fault = (30, &["readonly", "io"]);
const DENIED: Fault = (13, &["readonly", "io"]);
const INTERRUPTED: Fault = (4, &["io"]);
const NO_LOCKS: Fault = (37, &["io", "locked"]);
const HALF: Fault = (0, &["io", "full"]);

/// The calls that can fail, and how.
const FAULTS: &[(&str, &[Fault])] = &[
    ("write", &[FULL, QUOTA, TOO_LARGE, IO, READ_ONLY, INTERRUPTED, HALF]),
    ("sync", &[IO, FULL, QUOTA, READ_ONLY, INTERRUPTED]),
    ("rename", &[IO, FULL, READ_ONLY, DENIED]),
    ("truncate", &[IO, READ_ONLY, INTERRUPTED]),
    ("open", &[IO, FULL, READ_ONLY, DENIED, INTERRUPTED]),
    ("unlink", &[IO, READ_ONLY, DENIED]),
    ("link", &[IO, FULL, READ_ONLY]),
    ("mkdir", &[IO, FULL, READ_ONLY, DENIED]),
    ("read", &[UNREADABLE, INTERRUPTED]),
    ("lock", &[NO_LOCKS, INTERRUPTED]),
];

/// Faults that once were called something else than they are: always tried.
const FOUND: &[(&str, &str)] = &[("sqlite", "open:3:5:1"), ("sqlite", "open:14:28:1")];

/// The compiled C file; none where there is no compiler.
fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let shim = SHIM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("calls.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture/calls.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .output();
        match compiled {
            Ok(out) if out.status.success() => Some((dir, library)),
            other => {
                eprintln!("skipped: no C compiler makes the failing calls ({other:?})");
                None
            }
        }
    });
    shim.as_ref().map(|(_, path)| path.as_path())
}

fn under(shim: &Path, mode: &str, storage: &str, dir: &Path) -> Command {
    let mut command = torture(mode, storage, dir);
    command.env("LD_PRELOAD", shim).env("LANDFALL_DIR", dir);
    command
}

fn verified(storage: &str, dir: &Path) -> Rows {
    let out = ended(&mut torture("verify", storage, dir), "");
    assert_eq!(out.status.code(), Some(0), "{storage}: {}", done(&out));
    dump(&done(&out))
}

/// Every system call of a workload fails, once and for ever: what was acknowledged is found, what was refused is found
/// whole or not at all, the kind says what happened, and without the fault everything works.
#[test]
fn each_system_call_may_fail() {
    let Some(shim) = shim() else { return };
    let work = Workload::new(5, 13);
    let mut tried = 0;
    for storage in STORAGES {
        let mut cases = Vec::new();
        let dir = tempfile::tempdir().unwrap();
        let counts = dir.path().join("counts");
        let place = dir.path().join("store");
        let out = ended(under(shim, "run", storage, &place).env("LANDFALL_COUNT", &counts), &work.input());
        assert!(work.fates(&done(&out)).iter().all(|fate| *fate == Fate::Acked), "{}", done(&out));
        for line in fs::read_to_string(&counts).unwrap().lines() {
            let (name, count) = line.split_once(' ').unwrap();
            let faults = FAULTS.iter().find(|(known, _)| *known == name).unwrap().1;
            for nth in 1..=count.parse::<u64>().unwrap() {
                // Nothing goes on for ever under interruptions for ever.
                let both = |(errno, kinds): &Fault| {
                    let times = if matches!(errno, 0 | 4) { vec![1] } else { vec![1, 0] };
                    times.into_iter().map(|times| (*errno, *kinds, times)).collect::<Vec<_>>()
                };
                for (errno, kinds, times) in faults.iter().flat_map(both) {
                    cases.push((format!("{name}:{nth}:{errno}:{times}"), kinds));
                }
            }
        }
        let found = |(at, (fault, _)): (usize, &(String, _))| FOUND.contains(&(storage, fault)).then_some(at);
        let found: Vec<usize> = cases.iter().enumerate().filter_map(found).collect();
        for at in found.into_iter().chain(chosen(cases.len(), 90)) {
            let (fault, kinds) = &cases[at];
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join("store");
            let out = ended(under(shim, "run", storage, &place).env("LANDFALL_FAULT", fault), &work.input());
            judge(&work, storage, &place, fault, &done(&out), out.status.code(), kinds);
            tried += 1;
        }
        // A store that is there already, under reads that fail: all of it, or an error.
        let whole = verified(storage, &place);
        for nth in chosen(30, 8) {
            for (errno, times) in [(5, 1), (5, 0), (4, 1)] {
                let fault = format!("*:{}:{errno}:{times}", nth + 1);
                let out = ended(under(shim, "verify", storage, &place).env("LANDFALL_FAULT", &fault), "");
                match out.status.code() {
                    Some(0) => assert_eq!(dump(&done(&out)), whole, "{storage}: {fault}"),
                    code => {
                        assert!(
                            code == Some(6) || storage == "sqlite" && code == Some(3),
                            "{storage}: {fault}: {}",
                            done(&out)
                        );
                        assert_ne!(errno, 4, "{storage}: {fault}: an interruption is no failure: {}", done(&out));
                    }
                }
                assert_eq!(verified(storage, &place), whole, "{storage}: after {fault}");
                tried += 1;
            }
        }
    }
    eprintln!("{tried} failing system calls, 0 broken");
}

fn judge(work: &Workload, storage: &str, dir: &Path, fault: &str, out: &str, code: Option<i32>, kinds: &[&str]) {
    // SQLite does not tell why, and when the call works the next time nobody can find out.
    let or_io = [kinds, &["io"]].concat();
    let kinds = if storage == "sqlite" && fault.ends_with(":1") { or_io.as_slice() } else { kinds };
    let context = || format!("{storage}, {fault}:\n{}", out.chars().take(3000).collect::<String>());
    let fates = work.fates(out);
    if let Some(rest) = out.strip_prefix("err open ") {
        let kind = rest.split(' ').next().unwrap();
        assert!(kinds.contains(&kind), "kind {kind} of {kinds:?}: {}", context());
        let expected = match kind {
            "locked" => 5,
            "corrupt" => 3,
            _ => 6,
        };
        assert_eq!(code, Some(expected), "{}", context());
    } else {
        assert_eq!(code, Some(0), "{}", context());
        let mut closed = false;
        for fate in &fates {
            match fate {
                Fate::Acked => assert!(!closed, "acknowledged after closed: {}", context()),
                Fate::Refused(kind) if kind == "closed" => closed = true,
                Fate::Refused(kind) => {
                    assert!(
                        kind == "invalid" || kinds.contains(&kind.as_str()),
                        "kind {kind} of {kinds:?}: {}",
                        context()
                    );
                    assert!(!closed || kind == "invalid", "{kind} after closed: {}", context());
                }
                Fate::Open => panic!("a command was not answered: {}", context()),
            }
        }
        if storage == "file" && fault.ends_with(":4:1") {
            assert!(fates.iter().all(|fate| *fate == Fate::Acked), "an interruption is no failure: {}", context());
        }
    }
    let found = verified(storage, dir);
    if let Err(problem) = work.check(&fates, &found) {
        panic!("{problem}\n{}\nfound {found:?}", context());
    }
    // It goes on where it was.
    let more = r#"{"seq":1,"op":"add","key":"later","row":{"key":"later"}}"#;
    let again = ended(&mut torture("run", storage, dir), more);
    assert!(done(&again).contains("ack 1 later"), "{}\nthen {}", context(), done(&again));
}

// ---- power cuts

/// One recorded call.
#[derive(Debug)]
struct Call {
    what: String,
    path: String,
    number: usize,
    bytes: Vec<u8>,
}

fn record_of(path: &Path) -> Vec<Call> {
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut out = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let mut words = line.rsplitn(3, ' ');
        let length: usize = words.next().unwrap().parse().unwrap();
        let number = words.next().unwrap().parse().unwrap();
        let (what, path) = words.next().unwrap().split_once(' ').unwrap();
        let bytes = rest[end + 1..end + 1 + length].to_vec();
        out.push(Call { what: what.to_owned(), path: path.to_owned(), number, bytes });
        rest = &rest[end + 1 + length..];
    }
    out
}

#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<(usize, usize)>,
}

/// The directory as programs see it, and as the disk has it for sure.
#[derive(Clone, Default)]
struct Disk {
    inodes: Vec<Inode>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
}

/// What a power cut leaves.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Flushed,
    All,
    Names,
    Contents,
    /// Some names and some blocks of 512 bytes, by this seed.
    Some(u64),
}

impl Disk {
    fn inode(&mut self, path: &str) -> Option<&mut Inode> {
        let at = *self.live.get(path)?;
        self.inodes.get_mut(at)
    }

    fn perform(&mut self, call: &Call, dir: &str) {
        // Shared memory is made anew from the log.
        if call.path.ends_with("-shm") {
            return;
        }
        match call.what.as_str() {
            "create" => {
                self.live.insert(call.path.clone(), self.inodes.len());
                self.inodes.push(Inode::default());
            }
            "write" => {
                if let Some(inode) = self.inode(&call.path) {
                    let end = call.number + call.bytes.len();
                    if inode.live.len() < end {
                        inode.live.resize(end, 0);
                    }
                    inode.live[call.number..end].copy_from_slice(&call.bytes);
                    inode.dirty.push((call.number, end));
                }
            }
            "truncate" => {
                if let Some(inode) = self.inode(&call.path) {
                    inode.live.resize(call.number, 0);
                }
            }
            "sync" if call.path == dir => self.durable = self.live.clone(),
            "sync" => {
                if let Some(inode) = self.inode(&call.path) {
                    inode.durable.resize(inode.live.len(), 0);
                    for (from, to) in std::mem::take(&mut inode.dirty) {
                        let to = to.min(inode.live.len());
                        if from < to {
                            inode.durable[from..to].copy_from_slice(&inode.live[from..to]);
                        }
                    }
                }
            }
            // A flush that failed: what it was to flush is clean now, and not on the disk.
            "lost" => {
                if let Some(inode) = self.inode(&call.path) {
                    inode.dirty.clear();
                }
            }
            "rename" | "link" => {
                if let Some(inode) = self.live.get(&call.path).copied() {
                    self.live.insert(String::from_utf8(call.bytes.clone()).unwrap(), inode);
                    if call.what == "rename" {
                        self.live.remove(&call.path);
                    }
                }
            }
            "unlink" => drop(self.live.remove(&call.path)),
            _ => {}
        }
    }

    /// The files after a power cut.
    fn after(&self, cut: Cut) -> BTreeMap<String, Vec<u8>> {
        let mut seed = if let Cut::Some(seed) = cut { seed } else { 0 };
        let mut coin = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 63 == 1
        };
        let names = match cut {
            Cut::Flushed | Cut::Contents => self.durable.clone(),
            Cut::All | Cut::Names => self.live.clone(),
            Cut::Some(_) => {
                // Changes of names reach the disk in order, up to some point; here: each file's, or none of it.
                let mut names = BTreeMap::new();
                let all: std::collections::BTreeSet<&String> = self.live.keys().chain(self.durable.keys()).collect();
                for name in all {
                    let from = if coin() { &self.live } else { &self.durable };
                    if let Some(inode) = from.get(name) {
                        names.insert(name.clone(), *inode);
                    }
                }
                names
            }
        };
        names
            .into_iter()
            .map(|(name, inode)| {
                let inode = &self.inodes[inode];
                let bytes = match cut {
                    Cut::Flushed | Cut::Names => inode.durable.clone(),
                    Cut::All | Cut::Contents => inode.live.clone(),
                    Cut::Some(_) => {
                        let mut bytes = inode.durable.clone();
                        if coin() {
                            bytes.resize(inode.live.len(), 0);
                        }
                        for (from, to) in &inode.dirty {
                            for start in (from / 512 * 512..*to).step_by(512) {
                                let (start, end) = (start.max(*from), (start + 512).min(*to).min(inode.live.len()));
                                if start < end && coin() {
                                    if bytes.len() < end {
                                        bytes.resize(end, 0);
                                    }
                                    bytes[start..end].copy_from_slice(&inode.live[start..end]);
                                }
                            }
                        }
                        bytes
                    }
                };
                (name, bytes)
            })
            .collect()
    }
}

/// What a store holds, read through the library.
fn stored(storage: &str, dir: &Path) -> landfall::Result<Rows> {
    let open: Box<dyn Storage> = match storage {
        "file" => Box::new(FileStorage::open(dir)?),
        _ => Box::new(SqliteStorage::open(dir.join("landfall.sqlite"))?),
    };
    let state = landfall_storage::conformance::block_on(open.load("torture"))?;
    let mut out = Rows::new();
    for row in state.rows {
        let record = Record::from_json(&row.record)?;
        let key = record.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = row.state.map_or("clean", landfall::ChangeKind::as_str);
        assert!(out.insert(key.clone(), (state.to_owned(), record)).is_none(), "{key} is there twice");
    }
    Ok(out)
}

/// The power fails after each recorded call of a workload, and leaves all, nothing or some of what was not flushed: what was
/// acknowledged is there, and no command is half there.
#[test]
fn a_power_cut_at_any_call_loses_nothing() {
    let Some(shim) = shim() else { return };
    let mut images = 0;
    for storage in STORAGES {
        for seed in chosen(40, 2) {
            let work = Workload::new(seed as u64 + 1, 18);
            let home = tempfile::tempdir().unwrap();
            let (place, record) = (home.path().join("store"), home.path().join("record"));
            // The second process takes over what the first one left, after a flush that failed.
            let fault = format!("sync:{}:5:1", 4 + any(16));
            let faulty = seed % 2 == 1;
            let mut command = under(shim, "run", storage, &place);
            command.env("LANDFALL_RECORD", &record);
            if faulty {
                command.env("LANDFALL_FAULT", &fault);
            }
            let out = ended(&mut command, &work.input());
            drop(out);
            let mut works = vec![(work, 0)];
            if faulty {
                let calls = record_of(&record).len();
                let more = Workload::following(seed as u64, 6);
                let again = ended(under(shim, "run", storage, &place).env("LANDFALL_RECORD", &record), &more.input());
                assert!(done(&again).starts_with("ready "), "{}", done(&again));
                works.push((more, calls));
            }
            let points = std::cell::OnceCell::new();
            images += cuts(storage, &place, &record, &works, &fault, &|at, calls| {
                points.get_or_init(|| chosen(calls, 60)).binary_search(&at).is_ok().then(|| {
                    let mut cuts = vec![Cut::Flushed, Cut::All, Cut::Names, Cut::Contents];
                    cuts.extend((0..chosen(20, 4).len()).map(|_| Cut::Some(any(u64::MAX))));
                    cuts
                })
            });
        }
    }
    eprintln!("{images} crash images of recorded system calls, 0 lost, 0 corrupt");
}

/// A flush that failed in one process, of whatever, is made up for before the next one acknowledges anything.
#[test]
fn a_flush_that_failed_is_made_up_for_by_the_next_process() {
    let Some(shim) = shim() else { return };
    for storage in STORAGES {
        for failing in 1..=14 {
            let home = tempfile::tempdir().unwrap();
            let (place, record) = (home.path().join("store"), home.path().join("record"));
            let fault = format!("sync:{failing}:5:1");
            let (first, second) = (Workload::new(7, 4), Workload::following(7, 3));
            let mut command = under(shim, "run", storage, &place);
            command.env("LANDFALL_RECORD", &record).env("LANDFALL_FAULT", &fault);
            drop(ended(&mut command, &first.input()));
            let calls = record_of(&record).len();
            let again = ended(under(shim, "run", storage, &place).env("LANDFALL_RECORD", &record), &second.input());
            assert!(done(&again).starts_with("ready "), "{storage}, {fault}: {}", done(&again));
            let works = [(first, 0), (second, calls)];
            // Some of what the next process finds and writes first may be there without the rest. (The names of a new
            // database are flushed by its thirteenth flush.)
            let begins = calls..calls + if (12..=14).contains(&failing) { 40 } else { 0 };
            cuts(storage, &place, &record, &works, &fault, &|at, calls| match at {
                _ if at + 1 == calls => Some(vec![Cut::Flushed]),
                _ if begins.contains(&at) => Some((0..3).map(|_| Cut::Some(any(u64::MAX))).collect()),
                _ => None,
            });
        }
    }
}

/// Looks at the images that the power leaves when it fails in these ways after these calls.
fn cuts(
    storage: &str,
    dir: &Path,
    record: &Path,
    works: &[(Workload, usize)],
    fault: &str,
    ways: &dyn Fn(usize, usize) -> Option<Vec<Cut>>,
) -> u64 {
    let calls = record_of(record);
    let dir = dir.to_str().unwrap();
    let mut disk = Disk::default();
    let mut said = String::new();
    let mut before = String::new();
    let mut images = 0;
    for (at, call) in calls.iter().enumerate() {
        if works.get(1).is_some_and(|(_, first)| *first == at) {
            before = std::mem::take(&mut said);
        }
        if call.what == "said" {
            said.push_str(&String::from_utf8_lossy(&call.bytes));
        } else {
            disk.perform(call, dir);
        }
        for cut in ways(at, calls.len()).unwrap_or_default() {
            let home = tempfile::tempdir().unwrap();
            for (path, bytes) in disk.after(cut) {
                fs::write(home.path().join(Path::new(&path).file_name().unwrap()), bytes).unwrap();
            }
            images += 1;
            let context =
                || format!("{storage}, {cut:?} after call {at} ({} {} {}), {fault}", call.what, call.path, call.number);
            let found = stored(storage, home.path()).unwrap_or_else(|error| panic!("{}: {error}", context()));
            let check = match works {
                [(first, _), (second, from)] if at >= *from => {
                    let mut fates = first.fates(&before);
                    let mut both = first.clone();
                    fates.extend(second.fates(&said));
                    both.0.extend(second.0.iter().cloned());
                    both.check(&fates, &found)
                }
                [(first, _), ..] => first.check(&first.fates(&said), &found),
                [] => Ok(()),
            };
            if let Err(problem) = check {
                panic!("{problem}\n{}\nsaid {before}\nthen {said}\nfound {found:?}", context());
            }
        }
    }
    images
}
