//! Power cuts, failing calls and full disks, on a file system that knows written from flushed: every call of random
//! workloads is a moment to cut the power at and a call to let fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may stop at the first surprise"
)]

mod double;

use double::{Cut, Disk, Double, Fault};
use landfall_storage::{ChangeKind, Delta, ErrorKind, Result, Storage, StoredRow, StoredState, conformance::block_on};
use landfall_storage_file::{FileConfig, FileStorage};
use std::{collections::BTreeMap, io, sync::Arc};

const KEYS: [&str; 2] = ["products", "Orders 2026"];

type States = BTreeMap<&'static str, StoredState>;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One step of a workload.
#[derive(Clone, Debug)]
enum Step {
    Commit(&'static str, Delta),
    Remove(&'static str),
    /// Close and open again.
    Reopen,
}

fn workload(seed: u64, length: usize) -> Vec<Step> {
    let mut random = Random(seed);
    let mut steps = Vec::new();
    while steps.len() < length {
        let key = KEYS[usize::from(random.below(3) == 0)];
        steps.push(match random.below(20) {
            0 => Step::Remove(key),
            1..=3 => Step::Reopen,
            _ => {
                let count = if random.below(8) == 0 { 12 } else { random.below(3) };
                let mut put: Vec<StoredRow> = (0..count)
                    .map(|_| {
                        let state = (random.below(3) == 0).then_some(ChangeKind::Update);
                        let text = "text ".repeat(usize::try_from(random.below(12)).unwrap());
                        let change = state.map(|_| format!(r#"{{"op":"{}"}}"#, random.below(1_000)).into());
                        let record = format!(r#"{{"n":{},"t":"{text}"}}"#, random.below(1_000)).into();
                        StoredRow { id: random.below(15), order: random.below(50), state, record, change }
                    })
                    .collect();
                put.sort_by_key(|row| row.id);
                put.dedup_by_key(|row| row.id);
                Step::Commit(
                    key,
                    Delta {
                        clear: random.below(12) == 0,
                        delete: (0..random.below(2)).map(|_| random.below(15)).collect(),
                        put,
                        meta: (random.below(4) == 0).then(|| format!(r#"{{"m":{}}}"#, random.below(1_000)).into()),
                    },
                )
            }
        });
    }
    steps
}

fn after(states: &States, step: &Step) -> States {
    let mut states = states.clone();
    match step {
        Step::Commit(key, delta) => {
            let state = states.entry(key).or_default();
            let revision = state.revision + 1;
            state.apply(delta, revision);
        }
        Step::Remove(key) => {
            states.remove(key);
        }
        Step::Reopen => {}
    }
    states
}

fn open(double: &Double, slack: u64) -> Result<FileStorage> {
    FileStorage::open_on(Arc::new(double.clone()), "dir", FileConfig::new().slack(slack))
}

fn run(storage: &FileStorage, states: &States, step: &Step) -> Result<()> {
    match step {
        Step::Commit(key, delta) => {
            let expected = states.get(key).map_or(0, |state| state.revision);
            let result = block_on(storage.commit(key, expected, delta.clone()));
            // Tidying up comes after the answer; it is part of the step here, so that runs repeat exactly.
            drop(block_on(storage.keys()));
            result.map(|revision| assert_eq!(revision, expected + 1))
        }
        Step::Remove(key) => block_on(storage.remove(key)),
        Step::Reopen => Ok(()),
    }
}

fn read(storage: &FileStorage) -> Result<States> {
    let mut states = States::new();
    for key in KEYS {
        let state = block_on(storage.load(key))?;
        if state.revision > 0 {
            states.insert(key, state);
        }
    }
    let keys = block_on(storage.keys())?;
    assert_eq!(keys.len(), states.len(), "{keys:?}");
    Ok(states)
}

/// What is found on a disk must be one of these; and the disk must go on working, durably, also after one more cut.
fn check(disk: Disk, allowed: &[&States], what: &dyn Fn() -> String) {
    let double = Double::on(disk);
    let storage = open(&double, 0).unwrap_or_else(|error| panic!("{}: {error:?}", what()));
    let found = read(&storage).unwrap_or_else(|error| panic!("{}: {error:?}\n{:?}", what(), double.world().disk));
    assert!(allowed.contains(&&found), "{}\nfound {found:?}\nallowed {allowed:?}", what());
    let row = StoredRow { id: 77, order: 0, state: None, record: r#"{"after":"the cut"}"#.into(), change: None };
    let step = Step::Commit(KEYS[0], Delta { put: vec![row], ..Delta::default() });
    let expected = after(&found, &step);
    run(&storage, &found, &step).unwrap_or_else(|error| panic!("{}: {error:?}", what()));
    drop(storage);
    let double = Double::on(double.world().disk.cut(Cut::Flushed));
    let names = double.world().disk.names().join(" ");
    assert_eq!(read(&open(&double, 0).unwrap()).unwrap(), expected, "{}: {names}", what());
}

#[test]
fn every_power_cut_leaves_what_was_acknowledged() {
    let mut images = 0;
    for seed in 1..=4 {
        let steps = workload(seed, 30);
        let double = Double::default();
        double.world().recording = true;
        // With no slack files are written anew often; with plenty of it logs grow long.
        let slack = if seed % 2 == 0 { 0 } else { 1 << 20 };
        let mut history = vec![States::new()];
        let mut storage = open(&double, slack).unwrap();
        for step in &steps {
            if matches!(step, Step::Reopen) {
                drop(storage);
                storage = open(&double, slack).unwrap();
            } else {
                run(&storage, history.last().unwrap(), step).unwrap();
            }
            history.push(after(history.last().unwrap(), step));
            double.world().acknowledged += 1;
            assert_eq!(&read(&storage).unwrap(), history.last().unwrap());
        }
        drop(storage);
        let moments = std::mem::take(&mut double.world().moments);
        for (call, moment) in moments.iter().enumerate() {
            let now = moment.acknowledged;
            let allowed: Vec<&States> = history[now..history.len().min(now + 2)].iter().collect();
            let cuts = [Cut::Flushed, Cut::All, Cut::Names, Cut::Contents].into_iter().chain((0..4).map(Cut::Blocks));
            for cut in cuts {
                images += 1;
                check(moment.disk.cut(cut), &allowed, &|| format!("seed {seed}, call {call}, {cut:?}"));
            }
            if let Some(write) = &moment.write {
                let length = write.2.len();
                let line = write.2.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
                // The first workload at every byte, the others at some; the room behind a line here and there.
                let stride = if seed == 1 { 1 } else { line / 9 + 1 };
                let room = (line..=length).step_by((length - line) / 3 + 1);
                for bytes in (0..=line).step_by(stride).chain(room).chain([line.saturating_sub(1), length]) {
                    images += 1;
                    check(moment.disk.torn(write, bytes), &allowed, &|| {
                        format!("seed {seed}, call {call}, torn after {bytes} of {length} bytes")
                    });
                }
            }
        }
    }
    println!("{images} images");
    assert!(images > 10_000, "{images}");
}

/// Runs a workload against faults; whatever fails must leave the old state (or close the handle with the old or the new
/// one), and everything acknowledged must survive a power cut at the end.
fn survive(steps: &[Step], double: &Double, what: &dyn Fn() -> String, mut heal: impl FnMut(&Double)) {
    let mut states = States::new();
    let reopened = |double: &Double, heal: &mut dyn FnMut(&Double)| {
        open(double, 0).unwrap_or_else(|error| {
            let known =
                matches!(error.kind(), ErrorKind::Storage | ErrorKind::QuotaExceeded { .. } | ErrorKind::ReadOnly);
            assert!(known, "{}: {error:?}", what());
            heal(double);
            open(double, 0).unwrap()
        })
    };
    let mut storage = Some(reopened(double, &mut heal));
    for step in steps {
        let handle = storage.as_ref().unwrap();
        let result = run(handle, &states, step);
        let new = after(&states, step);
        match result {
            Ok(()) => states = new,
            Err(error) => {
                let known = matches!(
                    error.kind(),
                    ErrorKind::Storage | ErrorKind::QuotaExceeded { .. } | ErrorKind::ReadOnly | ErrorKind::Closed
                );
                assert!(known, "{}: {step:?}: {error:?}", what());
                heal(double);
                match read(handle) {
                    // A removal that could not be finished may have been done.
                    Ok(found) => assert_eq!(found, states, "{}: {step:?} was refused", what()),
                    Err(error) => {
                        assert_eq!(error.kind(), &ErrorKind::Closed, "{}", what());
                        storage = None;
                        storage = Some(storage.unwrap_or_else(|| reopened(double, &mut heal)));
                        let found = read(storage.as_ref().unwrap()).unwrap();
                        assert!(
                            found == states || found == new,
                            "{}: {step:?}\nfound {found:?}\nold {states:?}\nnew {new:?}",
                            what()
                        );
                        states = found;
                    }
                }
            }
        }
        if matches!(step, Step::Reopen) {
            storage = None;
            storage = Some(storage.unwrap_or_else(|| reopened(double, &mut heal)));
        }
    }
    heal(double);
    // Tidying up may have failed quietly, by a flush that closes the handle.
    let handle = storage.as_ref().unwrap();
    if let Err(error) = read(handle) {
        assert_eq!(error.kind(), &ErrorKind::Closed, "{}", what());
        storage = None;
        storage = Some(storage.unwrap_or_else(|| reopened(double, &mut heal)));
    }
    assert_eq!(read(storage.as_ref().unwrap()).unwrap(), states, "{}", what());
    // What was found after a failed flush is acknowledged with the next commit, not before.
    for key in KEYS {
        let step = Step::Commit(key, Delta { meta: Some(r#"{"end":1}"#.into()), ..Delta::default() });
        run(storage.as_ref().unwrap(), &states, &step).unwrap();
        states = after(&states, &step);
    }
    drop(storage);
    check(double.world().disk.cut(Cut::Flushed), &[&states], &|| format!("{}, power cut at the end", what()));
}

#[test]
fn every_call_may_fail() {
    let mut cases = 0;
    for seed in 21..=22 {
        let steps = workload(seed, 22);
        for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem] {
            for lasting in [false, true] {
                for call in 1.. {
                    let double = Double::default();
                    double.world().fault = Some(Fault { call, kind, lasting });
                    let what = || format!("seed {seed}, call {call} fails with {kind:?}, lasting: {lasting}");
                    survive(&steps, &double, &what, |double| double.world().fault = None);
                    cases += 1;
                    if double.world().calls < call {
                        break;
                    }
                }
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 1_000, "{cases}");
}

#[test]
fn a_full_disk_refuses_and_goes_on() {
    let steps = workload(31, 25);
    let mut refused = 0;
    for budget in (0..6_000).step_by(29) {
        let double = Double::default();
        double.world().budget = Some(budget);
        survive(&steps, &double, &|| format!("{budget} bytes fit"), |double| {
            if double.world().budget.take().is_some() {
                refused += 1;
            }
        });
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn a_torn_end_is_set_aside_and_temporary_files_are_swept() {
    let double = Double::default();
    let storage = open(&double, 1 << 20).unwrap();
    let put = |id| StoredRow { id, order: id, state: None, record: r#"{"id":1}"#.into(), change: None };
    let delta = |id| Delta { put: vec![put(id)], ..Delta::default() };
    for revision in 0..3 {
        block_on(storage.commit("products", revision, delta(revision))).unwrap();
    }
    double.world().recording = true;
    block_on(storage.commit("products", 3, delta(3))).unwrap();
    drop(storage);
    let moments = std::mem::take(&mut double.world().moments);
    let moment = moments.iter().find(|moment| moment.write.is_some()).unwrap();
    let torn = Double::on(moment.disk.torn(moment.write.as_ref().unwrap(), 40));
    // A snapshot that a dead process did not finish.
    landfall_storage_file::Vfs::create(&torn, std::path::Path::new("dir/products.jsonl.tmp")).unwrap();
    let storage = open(&torn, 1 << 20).unwrap();
    assert_eq!(torn.world().disk.names(), ["products.jsonl"]);
    assert_eq!(block_on(storage.load("products")).unwrap().revision, 3);
    assert_eq!(torn.world().disk.names(), ["products.jsonl"], "reading changes nothing");
    block_on(storage.commit("products", 3, delta(9))).unwrap();
    assert_eq!(torn.world().disk.names(), ["products.jsonl", "products.jsonl.torn"]);
    let written = &moment.write.as_ref().unwrap().2;
    let aside = torn.world().disk.file("products.jsonl.torn").unwrap().to_vec();
    assert_eq!(aside[..40], written[..40]);
    assert!(aside[40..].iter().all(|byte| *byte == b' '), "and the room behind it");
    block_on(storage.remove("products")).unwrap();
    assert_eq!(torn.world().disk.names(), [""; 0]);
}

#[test]
fn a_commit_is_one_write_into_the_room_and_one_flush() {
    let double = Double::default();
    let storage = open(&double, 1 << 20).unwrap();
    let put = |id| StoredRow { id, order: id, state: None, record: r#"{"id":1}"#.into(), change: None };
    let delta = |id| Delta { put: vec![put(id)], ..Delta::default() };
    let length = || double.world().disk.file("products.jsonl").unwrap().len();
    block_on(storage.commit("products", 0, delta(0))).unwrap();
    assert!(length() < 1024, "a snapshot makes no room");
    let mut grown = Vec::new();
    for revision in 1..1000 {
        let before = length();
        let calls = double.world().calls;
        block_on(storage.commit("products", revision, delta(revision))).unwrap();
        // The first commit opens the file; nothing but a new length is written beside the line.
        assert!(double.world().calls - calls == 2 || revision == 1);
        if length() != before {
            grown.push(revision);
        }
    }
    assert!((2..10).contains(&grown.len()), "{grown:?}");
    // The room is used on after opening again, and is in the way of nothing.
    let found = block_on(storage.load("products")).unwrap();
    drop(storage);
    let before = length();
    let storage = open(&double, 1 << 20).unwrap();
    assert_eq!(block_on(storage.load("products")).unwrap(), found);
    block_on(storage.commit("products", 1000, delta(1000))).unwrap();
    assert_eq!(length(), before);
    assert_eq!(double.world().disk.names(), ["products.jsonl"], "room is nothing that is torn");
}

#[test]
fn room_that_became_zeros_is_cut_off() {
    let double = Double::default();
    let storage = open(&double, 1 << 20).unwrap();
    let put = |id| StoredRow { id, order: id, state: None, record: r#"{"id":1}"#.into(), change: None };
    let delta = |id| Delta { put: vec![put(id)], ..Delta::default() };
    block_on(storage.commit("products", 0, delta(0))).unwrap();
    block_on(storage.commit("products", 1, delta(1))).unwrap();
    drop(storage);
    let bytes = double.world().disk.file("products.jsonl").unwrap().to_vec();
    let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    assert!(bytes[end..].iter().all(|byte| *byte == b' ') && bytes.len() > end + 4096);
    let path = std::path::Path::new("dir/products.jsonl");
    let mut file = landfall_storage_file::Vfs::open(&double, path).unwrap();
    file.write_at(u64::try_from(end + 100).unwrap(), &[0; 4096]).unwrap();
    drop(file);
    let storage = open(&double, 1 << 20).unwrap();
    assert_eq!(block_on(storage.load("products")).unwrap().revision, 2);
    block_on(storage.commit("products", 2, delta(2))).unwrap();
    assert_eq!(double.world().disk.names(), ["products.jsonl"], "nothing to set aside");
    assert!(!double.world().disk.file("products.jsonl").unwrap().contains(&0));
    drop(storage);
    assert_eq!(block_on(open(&double, 0).unwrap().load("products")).unwrap().revision, 3);
}
