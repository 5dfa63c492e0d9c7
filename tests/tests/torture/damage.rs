//! Damaged files: a typed error that keeps the bytes, or a state that satisfies the rules as far as the undamaged part
//! proves it. Never silently empty.

use super::{
    STORAGES, chosen, done, dump, ended,
    model::{Fate, Workload},
    torture,
};
use std::{collections::BTreeMap, fs, path::Path};

type Files = BTreeMap<String, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}

/// A store with a few edits in it, as it is when the process dies, and the workload.
fn store(storage: &str, killed: bool) -> (Files, Workload) {
    let work = Workload::new(3, 9);
    let dir = tempfile::tempdir().unwrap();
    if killed {
        // Commands one by one, and then death: SQLite's log is still there.
        use std::io::{BufRead, BufReader, Write};
        let mut child = torture("run", storage, dir.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        child.stdin.as_mut().unwrap().write_all(work.input().as_bytes()).unwrap();
        for _ in 0..=work.0.len() {
            let line = lines.next().unwrap().unwrap();
            assert!(line.starts_with("ready ") || line.starts_with("ack "), "{line}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    } else {
        let out = ended(&mut torture("run", storage, dir.path()), &work.input());
        assert!(work.fates(&done(&out)).iter().all(|fate| *fate == Fate::Acked), "{}", done(&out));
    }
    (files(dir.path()), work)
}

/// Opens damaged files and judges; gives whether it was reported.
/// `around`: the damaged byte with those in front of it, and with those behind: where it is near the start of a line, the
/// other side stays where it was.
fn open(storage: &str, name: &str, broken: &Files, work: &Workload, what: &str, around: [&[u8]; 2]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in broken {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let out = ended(&mut torture("verify", storage, dir.path()), "");
    let text = done(&out);
    let left = files(dir.path());
    // What was damaged is kept, in place or aside; SQLite may carry its log over into its file.
    let kept = |name: &str| {
        let bytes = &broken[name];
        left.values().any(|other| contains(other, bytes))
            || contains(bytes, left.get(name).map_or(&[][..], |left| left))
    };
    match out.status.code() {
        Some(3) => {
            assert!(text.starts_with("err open corrupt"), "{storage}, {what}: {text}");
            assert!(kept(name), "{storage}, {what}: the damaged bytes are kept");
            // And an edit does not start anew.
            let add = r#"{"seq":1,"op":"add","key":"x","row":{"key":"x"}}"#;
            let run = ended(&mut torture("run", storage, dir.path()), add);
            assert_eq!(run.status.code(), Some(3), "{storage}, {what}: {}", done(&run));
            true
        }
        Some(0) => {
            // A state at some moment: the first commands, none of the others. Of a log that lost its end that is all
            // that can be known.
            let found = dump(&text);
            let ok = (0..=work.0.len()).rev().any(|count| {
                let fates: Vec<Fate> = (0..work.0.len())
                    .map(|at| if at < count { Fate::Acked } else { Fate::Refused("invalid".to_owned()) })
                    .collect();
                work.check(&fates, &found).is_ok()
            });
            assert!(ok, "{storage}, {what}: not a state that ever was: {text}");
            let whole = work.check(&vec![Fate::Acked; work.0.len()], &found).is_ok();
            assert!(
                whole || !found.is_empty() || storage == "file" && what.contains("cut"),
                "{storage}, {what}: empty"
            );
            if !whole {
                // What is not understood is kept also when others write on.
                let add = r#"{"seq":1,"op":"add","key":"x","row":{"key":"x"}}"#;
                let run = ended(&mut torture("run", storage, dir.path()), add);
                assert!(done(&run).contains("ack 1 x"), "{storage}, {what}: {}", done(&run));
                let left = files(dir.path());
                assert!(
                    left.values().any(|other| around.iter().any(|bytes| contains(other, bytes))),
                    "{storage}, {what}: the damaged bytes are kept"
                );
            }
            false
        }
        code => panic!("{storage}, {what}: {code:?}: {text}"),
    }
}

/// Every byte in turn with other values, every length, blocks zeroed and exchanged.
#[test]
fn a_damaged_file_is_reported_or_a_state_that_was() {
    for storage in STORAGES {
        let (mut tried, mut reported) = (0, 0);
        for killed in [false, true] {
            let (whole, work) = store(storage, killed);
            assert!(!open(storage, "", &whole, &work, "nothing", [b"", b""]), "{storage}");
            for (name, bytes) in whole.iter().filter(|(name, bytes)| !bytes.is_empty() && !name.ends_with("-shm")) {
                let mut damage = |at: Option<usize>, what: String, change: &dyn Fn(&mut Vec<u8>)| {
                    let mut broken = whole.clone();
                    let bytes = broken.get_mut(name).unwrap();
                    change(bytes);
                    let around = at.map_or([&[][..]; 2], |at| {
                        let bytes = &broken[name];
                        [
                            &bytes[at.saturating_sub(6)..=at],
                            &bytes[at.min(bytes.len().saturating_sub(7))..(at + 7).min(bytes.len())],
                        ]
                    });
                    if broken != whole {
                        tried += 1;
                        let what = format!("{name}: {what}");
                        reported += u32::from(open(storage, name, &broken, &work, &what, around));
                    }
                };
                for at in chosen(bytes.len(), 60) {
                    for flip in [1, 0x80, 0xFF, bytes[at] ^ b'0', bytes[at]].into_iter().skip(at % 4).step_by(4) {
                        damage(Some(at), format!("byte {at} ^ {flip}"), &|bytes| bytes[at] ^= flip);
                    }
                }
                for length in chosen(bytes.len(), 40) {
                    damage(None, format!("cut at {length}"), &|bytes| bytes.truncate(length));
                }
                for block in chosen(bytes.len().div_ceil(512), 8) {
                    let (from, to) = (block * 512, (block * 512 + 512).min(bytes.len()));
                    damage(None, format!("zeros at {from}"), &|bytes| bytes[from..to].fill(0));
                    damage(None, format!("{from} for the first block"), &|bytes| {
                        if from > 0 && to - from == 512 {
                            let (first, rest) = bytes.split_at_mut(from);
                            first[..512].swap_with_slice(&mut rest[..512]);
                        }
                    });
                    damage(None, format!("block at {from} twice"), &|bytes| {
                        let block = bytes[from..to].to_vec();
                        bytes.splice(from..from, block);
                    });
                    damage(None, format!("block at {from} gone"), &|bytes| drop(bytes.drain(from..to)));
                }
                damage(None, "junk behind".to_owned(), &|bytes| bytes.extend_from_slice(b"junk\n{}\n\0\0\0"));
                damage(None, "junk in front".to_owned(), &|bytes| drop(bytes.splice(..0, *b"\xEF\xBB\xBF")));
            }
        }
        eprintln!("{storage}: {tried} damaged files, {reported} reported, the others a state that was");
    }
}

/// Files that are not ours, where ours would be.
#[test]
fn a_foreign_file_is_refused_and_kept() {
    let deep = "[".repeat(100_000);
    for (storage, name) in [("file", "torture.jsonl"), ("sqlite", "landfall.sqlite")] {
        for bytes in [
            &b""[..],
            b"\0",
            b"\n",
            b"[]",
            b"{}\n",
            b"[{\"id\":1}]",
            b"SQLite format 3\0",
            &[b"SQLite format 3\0".as_slice(), &[0; 4080]].concat(),
            &[0; 4096],
            &[0xFF; 100],
            b"#!/bin/sh\necho no\n",
            deep.as_bytes(),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            for (mode, input) in [("verify", ""), ("run", r#"{"seq":1,"op":"add","key":"x","row":{"key":"x"}}"#)] {
                let out = ended(&mut torture(mode, storage, dir.path()), input);
                assert!(done(&out).starts_with("err open corrupt"), "{storage}, {bytes:.40?}: {}", done(&out));
                assert_eq!(out.status.code(), Some(3));
                assert_eq!(fs::read(&path).unwrap(), bytes, "{storage}: kept");
            }
        }
        // The other key's file under this one's name, and two stores exchanged.
        let dir = tempfile::tempdir().unwrap();
        let work = Workload::new(3, 4);
        let out = ended(torture("run", storage, dir.path()).args(["--key", "other"]), &work.input());
        assert_eq!(out.status.code(), Some(0));
        if storage == "file" {
            fs::rename(dir.path().join("other.jsonl"), dir.path().join(name)).unwrap();
            let found = ended(&mut torture("verify", storage, dir.path()), "");
            let bytes = fs::read(dir.path().join(name)).unwrap();
            assert_eq!(found.status.code(), Some(3), "{}", done(&found));
            assert_eq!(fs::read(dir.path().join(name)).unwrap(), bytes);
        }
    }
}
