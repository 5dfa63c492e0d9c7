//! Directories and files as one finds them: full, read-only, somebody else's, links, left-overs; and keys of every kind.

use super::{
    STORAGES, chosen, done, dump, ended,
    model::{Fate, Workload},
    torture,
};
use std::{
    fmt::Write,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

const ADD: &str = r#"{"seq":1,"op":"add","key":"x","row":{"key":"x","v":1}}"#;

fn file_of(storage: &str) -> &'static str {
    if storage == "file" { "torture.jsonl" } else { "landfall.sqlite" }
}

/// Runs the program in a shell that sets limits or masks first; the program itself is the same.
fn shelled(before: &str, mode: &str, storage: &str, dir: &Path) -> Command {
    let inner = torture(mode, storage, dir);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(inner.get_program()).args(inner.get_args());
    command
}

/// Somebody whom the rights of files bind, when this process is root's.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0)
}

/// Files no longer than so many blocks of 512 bytes, with every limit in turn: what fits is taken, what does not is refused,
/// and without the limit everything works.
#[test]
fn a_full_medium_refuses_and_keeps() {
    let work = Workload::new(11, 16);
    for storage in STORAGES {
        let most = if storage == "file" { 90 } else { 200 };
        let mut refused = 0;
        for blocks in chosen(most, 14) {
            let dir = tempfile::tempdir().unwrap();
            // A write beyond the limit is a signal unless it is ignored; then it is an error.
            let before = format!("trap '' XFSZ; ulimit -f {blocks}");
            let place = dir.path().join("store");
            let out = ended(&mut shelled(&before, "run", storage, &place), &work.input());
            let text = done(&out);
            let fates = work.fates(&text);
            if text.starts_with("err open ") {
                assert!(text.starts_with("err open full ") || text.starts_with("err open io "), "{storage}: {text}");
                assert_eq!(out.status.code(), Some(6));
            } else {
                assert_eq!(out.status.code(), Some(0), "{storage}, {blocks}: {text}");
                for fate in &fates {
                    match fate {
                        Fate::Acked => {}
                        Fate::Refused(kind) => {
                            assert!(
                                matches!(kind.as_str(), "full" | "invalid") || storage == "sqlite" && kind == "io",
                                "{storage}, {blocks}: {text}"
                            );
                            refused += 1;
                        }
                        Fate::Open => panic!("{storage}, {blocks}: {text}"),
                    }
                }
            }
            let found = ended(&mut torture("verify", storage, &place), "");
            assert_eq!(found.status.code(), Some(0), "{storage}, {blocks}: {}", done(&found));
            if let Err(problem) = work.check(&fates, &dump(&done(&found))) {
                panic!("{storage}, {blocks}: {problem}\n{text}\n{}", done(&found));
            }
            let more = ended(&mut torture("run", storage, &place), ADD);
            assert!(done(&more).contains("ack 1 x"), "{storage}, {blocks}: {}", done(&more));
        }
        assert!(refused > 0, "{storage}: the limits were too wide");
    }
}

/// Directories and files without the rights to write, or to read.
#[test]
fn what_may_not_be_written_can_be_read() {
    let humble = |mut command: Command| {
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    if humble(Command::new(env!("CARGO_BIN_EXE_torture"))).output().is_err() {
        eprintln!("skipped: root may write everything, and nobody else may run the program");
        return;
    }
    let torture = |mode: &str, storage: &str, dir: &Path| humble(torture(mode, storage, dir));
    for storage in STORAGES {
        let dir = tempfile::tempdir().unwrap();
        if is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let place = dir.path().join("store");
        let work = Workload::new(2, 8);
        assert_eq!(ended(&mut torture("run", storage, &place), &work.input()).status.code(), Some(0));
        let whole = dump(&done(&ended(&mut torture("verify", storage, &place), "")));
        let file = place.join(file_of(storage));
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (file_mode, dir_mode) in [(0o400, 0o500), (0o400, 0o700), (0o600, 0o500), (0o000, 0o700)] {
            set(&file, file_mode);
            set(&place, dir_mode);
            for (mode, input) in [("verify", ""), ("run", ADD)] {
                let out = ended(&mut torture(mode, storage, &place), input);
                let text = done(&out);
                match out.status.code() {
                    Some(0) if mode == "verify" => {
                        assert_eq!(dump(&text), whole, "{storage} {file_mode:o} {dir_mode:o}");
                    }
                    Some(0) => assert!(
                        text.contains("err 1 readonly") || text.contains("ack 1"),
                        "{storage} {file_mode:o} {dir_mode:o}: {text}"
                    ),
                    Some(6) => assert!(
                        text.starts_with("err open readonly") || text.starts_with("err open io"),
                        "{storage} {file_mode:o} {dir_mode:o}: {text}"
                    ),
                    code => panic!("{storage} {file_mode:o} {dir_mode:o}: {code:?} {text}"),
                }
            }
            set(&place, 0o700);
            set(&file, 0o600);
            let again = dump(&done(&ended(&mut torture("verify", storage, &place), "")));
            assert!(whole.iter().all(|(key, row)| again.get(key) == Some(row)), "{storage} {file_mode:o} {dir_mode:o}");
        }
    }
}

/// Everything that is made is for its owner only, whatever is masked, and stays usable.
#[test]
fn files_are_private_whatever_the_mask() {
    for storage in STORAGES {
        for mask in ["000", "022", "077", "777"] {
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join("a").join("store");
            let work = Workload::new(4, 12);
            let out = ended(&mut shelled(&format!("umask {mask}"), "run", storage, &place), &work.input());
            assert!(
                work.fates(&done(&out)).iter().all(|fate| *fate == Fate::Acked),
                "{storage} {mask}: {}",
                done(&out)
            );
            for (path, mode) in [(place.parent().unwrap().to_owned(), 0o700), (place.clone(), 0o700)] {
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{storage} {mask} {path:?}");
            }
            for entry in fs::read_dir(&place).unwrap() {
                let path = entry.unwrap().path();
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{storage} {mask} {path:?}");
            }
        }
    }
}

/// Something else in the place of a file or of the directory: an error, and it is left alone.
#[test]
fn what_is_no_file_is_refused_and_left() {
    for storage in STORAGES {
        let refused = |what: &str, prepare: &dyn Fn(&Path), left: &dyn Fn(&Path) -> bool| {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().join("store");
            fs::create_dir(&dir).unwrap();
            prepare(&dir);
            for (mode, input) in [("verify", ""), ("run", ADD)] {
                let out = ended(&mut torture(mode, storage, &dir), input);
                let text = done(&out);
                let fine = match out.status.code() {
                    Some(3 | 6) => text.starts_with("err open "),
                    Some(0) if mode == "run" => !text.contains("ack 1"),
                    _ => false,
                };
                assert!(fine, "{storage}, {what}, {mode}: {:?} {text}", out.status.code());
                assert!(left(&dir), "{storage}, {what}, {mode}: {text}");
            }
        };
        let file = file_of(storage);
        refused("a directory", &|dir| fs::create_dir(dir.join(file)).unwrap(), &|dir| dir.join(file).is_dir());
        refused(
            "a file in place of the directory",
            &|dir| {
                fs::remove_dir(dir).unwrap();
                fs::write(dir, "mine").unwrap();
            },
            &|dir| fs::read(dir).is_ok_and(|bytes| bytes == b"mine"),
        );
        if storage == "file" {
            let target = |dir: &Path| dir.parent().unwrap().join("target");
            refused(
                "a link to a file",
                &|dir| {
                    fs::write(target(dir), "mine").unwrap();
                    symlink(target(dir), dir.join(file)).unwrap();
                },
                &|dir| fs::read(target(dir)).is_ok_and(|bytes| bytes == b"mine"),
            );
            refused("a link to nothing", &|dir| symlink(target(dir), dir.join(file)).unwrap(), &|dir| {
                !target(dir).exists()
            });
        }
        // Links where temporary files are made are never followed.
        let home = tempfile::tempdir().unwrap();
        let (dir, target) = (home.path().join("store"), home.path().join("target"));
        fs::create_dir(&dir).unwrap();
        fs::write(&target, "mine").unwrap();
        for name in
            [format!("{file}.tmp"), format!("{file}.torn"), format!("{file}-wal.torn"), format!("{file}.new-1-0")]
        {
            symlink(&target, dir.join(name)).unwrap();
        }
        let work = Workload::new(6, 12);
        let out = ended(&mut torture("run", storage, &dir), &work.input());
        assert!(work.fates(&done(&out)).iter().all(|fate| *fate == Fate::Acked), "{storage}: {}", done(&out));
        assert_eq!(fs::read(&target).unwrap(), b"mine", "{storage}");
    }
}

/// Names that are no names: every key has its own state, all of it under the directory.
#[test]
fn every_key_has_a_state_of_its_own_under_the_directory() {
    let long = "k".repeat(300);
    let longer = format!("{long}2");
    let wide = "ü".repeat(150);
    let keys = [
        "torture",
        "Torture",
        "TORTURE",
        "-",
        "--dir",
        "-rf",
        ".",
        "..",
        "../x",
        "../../../x",
        "/",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "a%2fb",
        "%",
        "%2e",
        " ",
        "  ",
        " x",
        "x ",
        "\t",
        "\n",
        "\u{1}",
        "\u{7f}",
        "\u{85}",
        "a\u{0301}",
        "á",
        "ﬁ",
        "fi",
        "\u{202e}",
        "\u{feff}",
        "😀",
        "con",
        "NUL",
        "aux.txt",
        "landfall.lock",
        "landfall",
        "x.tmp",
        "x.jsonl",
        "'; DROP TABLE states; --",
        "\"",
        "$(id)",
        "*",
        "?",
        "~",
        "~root",
        &long,
        &longer,
        &wide,
        "0",
        "00",
    ];
    for storage in STORAGES {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("deep").join("store");
        let run =
            |mode: &str, key: &str, input: &str| ended(torture(mode, storage, &dir).arg(format!("--key={key}")), input);
        for (at, key) in keys.iter().enumerate() {
            let add = format!(r#"{{"seq":1,"op":"add","key":"r{at}","row":{{"key":"r{at}"}}}}"#);
            let out = run("run", key, &add);
            assert!(done(&out).starts_with("ready 0 0\nack 1 "), "{storage} {key:?}: {}", done(&out));
        }
        for (at, key) in keys.iter().enumerate() {
            let found = dump(&done(&run("verify", key, "")));
            assert_eq!(found.keys().collect::<Vec<_>>(), [&format!("r{at}")], "{storage} {key:?}");
        }
        let around: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(around, ["deep"], "{storage}");
        let beside: Vec<_> =
            fs::read_dir(dir.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside, ["store"], "{storage}");
    }
}

/// What dead processes left half written is removed, and nothing else is.
#[test]
fn left_overs_are_swept() {
    for storage in STORAGES {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("store");
        fs::create_dir(&dir).unwrap();
        let work = Workload::new(8, 6);
        let stale = if storage == "file" { "torture.jsonl.tmp" } else { "landfall.sqlite.new-1-0" };
        fs::write(dir.join(stale), "half").unwrap();
        let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        fs::File::options().write(true).open(dir.join(stale)).unwrap().set_modified(hour_ago).unwrap();
        fs::write(dir.join("notes.txt"), "mine").unwrap();
        fs::write(dir.join("mine.tmp"), "mine").unwrap();
        let out = ended(&mut torture("run", storage, &dir), &work.input());
        assert!(work.fates(&done(&out)).iter().all(|fate| *fate == Fate::Acked), "{storage}: {}", done(&out));
        assert!(!dir.join(stale).exists(), "{storage}");
        assert!(dir.join("notes.txt").exists() && dir.join("mine.tmp").exists(), "{storage}");
    }
}

/// Edits of one row again and again: files are not much longer than what they hold.
#[test]
fn files_do_not_grow_for_ever() {
    for storage in STORAGES {
        let dir = tempfile::tempdir().unwrap();
        let mut input = format!("{ADD}\n");
        let edits = if std::env::var_os("LANDFALL_FAULTS").is_some() { 20_000 } else { 1_500 };
        for seq in 2..edits {
            let pad = "p".repeat(seq % 700);
            let _infallible =
                writeln!(input, "{{\"seq\":{seq},\"op\":\"set\",\"key\":\"x\",\"field\":\"v\",\"value\":\"{pad}\"}}");
        }
        let out = ended(shelled("ulimit -n 40", "run", storage, dir.path()).arg("--key=torture"), &input);
        assert_eq!(done(&out).lines().filter(|line| line.starts_with("ack ")).count(), edits - 1, "{storage}");
        let size: u64 = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= 3 * 2_000 + 1024 * 1024, "{storage}: {size} bytes");
    }
}
