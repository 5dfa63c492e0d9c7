//! The program `torture` as a process: killed at any moment, while it edits and while it syncs; two at once; under failing
//! system calls, power cuts, full and foreign directories, damaged files, and against services that do not behave.
//!
//! `LANDFALL_KILLS=n` sets how often each storage is killed while it edits, and half as often while it syncs.
//! `LANDFALL_FAULTS=n` makes the tests of faults n times as thorough; `LANDFALL_FAULTS=all` tries every case.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may stop at the first surprise"
)]
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod calls;
mod damage;
#[cfg(unix)]
mod hostile;
mod kills;
mod model;
#[cfg(unix)]
mod places;

use landfall::{Record, Value};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const STORAGES: [&str; 2] = ["file", "sqlite"];

fn kills() -> u64 {
    std::env::var("LANDFALL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

/// A number that differs from call to call; moments of kills need no seed.
fn any(limit: u64) -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let n = STATE.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(u64::from(now));
    let n = (n ^ (n >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (n >> 33) % limit.max(1)
}

fn torture(mode: &str, storage: &str, dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    command.arg(mode).args(["--storage", storage]).arg("--dir").arg(dir).stdin(Stdio::null());
    command
}

type Rows = BTreeMap<String, (String, Record)>;

/// The dump at the end of an output; panics when it is not whole.
fn dump(text: &str) -> Rows {
    let mut rows = Rows::new();
    let mut whole = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("row ") {
            let mut parts = rest.splitn(3, ' ');
            let (state, _, record) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let record = Record::from_json(record).unwrap();
            let key = record.get("key").and_then(Value::as_str).unwrap().to_owned();
            assert!(rows.insert(key.clone(), (state.to_owned(), record)).is_none(), "{key} is there twice:\n{text}");
        } else if let Some(count) = line.strip_prefix("end ") {
            assert_eq!(count.parse::<usize>().unwrap(), rows.len());
            whole = true;
        }
    }
    assert!(whole, "no whole dump:\n{text}");
    rows
}

fn verify(storage: &str, dir: &Path) -> Rows {
    let out = torture("verify", storage, dir).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
    dump(&String::from_utf8(out.stdout).unwrap())
}

/// Without the id, members sorted.
fn plain(record: &Record) -> Record {
    let members: BTreeMap<&str, &Value> = record.iter().filter(|(name, _)| *name != "id").collect();
    members.into_iter().map(|(name, value)| (name, value.clone())).collect()
}

fn done(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Out of so many cases, those to try now: all, or some spread over them.
fn chosen(cases: usize, quick: usize) -> Vec<usize> {
    let wanted = match std::env::var("LANDFALL_FAULTS").as_deref() {
        Ok("all") => cases,
        Ok(times) => quick.saturating_mul(times.parse().unwrap_or(1)),
        Err(_) => quick,
    };
    if wanted >= cases {
        return (0..cases).collect();
    }
    // The ends, and chance between them.
    let mut out: Vec<usize> = vec![0, cases - 1];
    while out.len() < wanted {
        out.push(usize::try_from(any(cases as u64)).unwrap());
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// Starts a process, hands it its input, and waits; one that does not end is a failure.
fn ended(command: &mut Command, input: &str) -> Output {
    let mut child: Child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let collect = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            drop(from.read_to_end(&mut bytes));
            bytes
        })
    };
    let (out, err) = (collect(Box::new(child.stdout.take().unwrap())), collect(Box::new(child.stderr.take().unwrap())));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{command:?} does not end: {}", String::from_utf8_lossy(&out.join().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    writer.join().unwrap();
    let output = Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("panicked"), "{command:?}: {told}");
    assert!(
        matches!(output.status.code(), Some(0 | 3 | 4 | 5 | 6)),
        "{command:?} ended with {:?}: {}{told}",
        output.status,
        done(&output)
    );
    output
}
