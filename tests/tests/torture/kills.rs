//! Processes that are killed while they edit and while they sync, and two at once.

use super::{Rows, STORAGES, any, done, dump, kills, plain, torture, verify};
use landfall::{Record, Value};
use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the rows must be after a command.
#[derive(Clone, Default, PartialEq, Debug)]
struct Expected(BTreeMap<String, Record>);

impl Expected {
    fn apply(&mut self, command: &Record) {
        let text = |name: &str| command.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = text("key");
        match text("op").as_str() {
            "add" => {
                self.0.insert(key, command.get("row").and_then(Value::as_object).unwrap().clone());
            }
            "set" => {
                self.0.get_mut(&key).unwrap().set(text("field"), command.get("value").unwrap().clone());
            }
            "remove" => {
                self.0.remove(&key);
            }
            "batch" => {
                for op in command.get("ops").and_then(Value::as_array).unwrap() {
                    self.apply(op.as_object().unwrap());
                }
            }
            other => panic!("{other}"),
        }
    }

    fn is(&self, found: &Rows) -> bool {
        let found: BTreeMap<&String, Record> = found
            .iter()
            .filter(|(_, (state, _))| state != "destroy")
            .map(|(key, (_, record))| (key, plain(record)))
            .collect();
        found.len() == self.0.len() && self.0.iter().all(|(key, record)| found.get(key) == Some(&plain(record)))
    }
}

/// Edits in a process that is killed at a random moment, again and again; after each kill the store holds what was
/// acknowledged, and the command under way as a whole or not at all. Gives how many edits were acknowledged.
fn killed_while_it_edits(storage: &str, rounds: Range<u64>) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut certain = Expected::default();
    let mut acks = 0;
    for round in rounds {
        let mut child = torture("run", storage, dir.path())
            .args(["--seed", &(round + 1).to_string(), "--ops", "100000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line}");
        let pid = Arc::new(Mutex::new(child));
        let killer = Arc::clone(&pid);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(any(60_000)));
            killer.lock().unwrap().kill().unwrap();
        });
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        thread.join().unwrap();
        pid.lock().unwrap().wait().unwrap();
        let rest = String::from_utf8_lossy(&rest);
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        let mut under_way = None;
        let mut loaded = false;
        for line in whole.lines() {
            if let Some(command) = line.strip_prefix("try ") {
                let command = Record::from_json(command).unwrap();
                loaded |= command.get("op").and_then(Value::as_str) == Some("load");
                under_way = Some(command);
            } else if line.starts_with("ack ") && !loaded {
                certain.apply(&under_way.take().unwrap());
                acks += 1;
            } else if line.starts_with("err ") && !loaded {
                // An edit that could not be made, such as of a row that an earlier refused command was to add.
                assert!(line.contains(" invalid "), "{line}");
                under_way = None;
            }
            if loaded {
                break;
            }
        }
        let found = verify(storage, dir.path());
        if loaded {
            // What a load leaves is not modelled here; only that the store is whole.
            certain.0 = found
                .iter()
                .filter(|(_, (state, _))| state != "destroy")
                .map(|(key, (_, record))| (key.clone(), record.clone()))
                .collect();
            continue;
        }
        let mut perhaps = certain.clone();
        if let Some(command) = &under_way {
            perhaps.apply(command);
        }
        assert!(
            certain.is(&found) || perhaps.is(&found),
            "{storage}, round {round}\nexpected {certain:?}\nor after {under_way:?}\nfound {found:?}"
        );
        if perhaps.is(&found) {
            certain = perhaps;
        }
    }
    acks
}

fn editing(storage: &str) {
    let mut acks = 0;
    for rounds in in_fresh_places(kills()) {
        let end = rounds.end;
        acks += killed_while_it_edits(storage, rounds);
        eprintln!("{storage}: {end} kills while editing, {acks} acks, 0 lost");
    }
}

#[test]
fn a_process_killed_while_it_edits_a_file_loses_nothing() {
    editing("file");
}

#[test]
fn a_process_killed_while_it_edits_with_sqlite_loses_nothing() {
    editing("sqlite");
}

/// Rounds in portions, each in a place of its own: what was removed lingers, and makes every round longer.
fn in_fresh_places(rounds: u64) -> impl Iterator<Item = Range<u64>> {
    (0..rounds).step_by(250).map(move |first| first..rounds.min(first + 250))
}

/// A service that honours keys, over plain sockets; slow enough to be interrupted.
#[derive(Default)]
struct Service {
    rows: BTreeMap<i64, Record>,
    memory: HashMap<String, (String, Vec<u8>)>,
    problems: Vec<String>,
    requests: u64,
}

impl Service {
    fn answer(&mut self, path: &str, key: Option<&str>, body: &str) -> (u16, Vec<u8>) {
        self.requests += 1;
        if path.ends_with("/read") {
            return (200, Value::array(self.rows.values().cloned().map(Value::from)).to_json().into_bytes());
        }
        let Some(key) = key else {
            self.problems.push("a write without a key".to_owned());
            return (400, Vec::new());
        };
        let whole = format!("{path} {body}");
        if let Some((known, answer)) = self.memory.get(key) {
            if *known != whole {
                self.problems.push(format!("key {key} with {known} and with {whole}"));
                return (422, Vec::new());
            }
            return (200, answer.clone());
        }
        let mut row = Record::from_json(body).unwrap();
        let name = row.get("key").cloned().unwrap_or_default();
        let id = row.get("id").and_then(Value::as_i64).unwrap_or(0);
        let answer = if path.ends_with("/create") {
            if self.rows.values().any(|other| other.get("key") == Some(&name)) {
                self.problems.push(format!("{} was created twice", name.to_json()));
            }
            let id = i64::try_from(self.memory.len()).unwrap() + 1000;
            row.set("id", id);
            self.rows.insert(id, row.clone());
            row.to_json()
        } else if path.ends_with("/update") {
            if self.rows.insert(id, row.clone()).is_none() {
                self.problems.push(format!("update of {} before its create", name.to_json()));
            }
            row.to_json()
        } else {
            if self.rows.remove(&id).is_none() {
                self.problems.push(format!("removal of {} before its create", name.to_json()));
            }
            "{}".to_owned()
        };
        self.memory.insert(key.to_owned(), (whole, answer.clone().into_bytes()));
        (200, answer.into_bytes())
    }
}

fn serve(service: Arc<Mutex<Service>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let service = Arc::clone(&service);
            std::thread::spawn(move || drop(talk(stream, &service)));
        }
    });
    url
}

fn talk(stream: TcpStream, service: &Mutex<Service>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut key, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => key = Some(value.to_owned()),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        std::thread::sleep(Duration::from_micros(any(3000)));
        let (status, answer) = service.lock().unwrap().answer(&path, key.as_deref(), &String::from_utf8(body).unwrap());
        std::thread::sleep(Duration::from_micros(any(3000)));
        // One answer in ten is lost.
        if any(10) == 0 {
            return Ok(());
        }
        write!(
            stream,
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        )?;
        stream.write_all(&answer)?;
    }
}

/// Edits, then a sync that is killed, again and again; nothing is created twice, nothing is lost, and in the end both
/// sides hold the same. Gives how many requests came.
fn killed_while_it_syncs(storage: &str, rounds: Range<u64>) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let service = Arc::new(Mutex::new(Service::default()));
    let url = serve(Arc::clone(&service));
    for round in rounds {
        let run = torture("run", storage, dir.path())
            .args(["--seed", &(1000 + round).to_string(), "--ops", "12"])
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", done(&run));
        let mut child =
            torture("sync", storage, dir.path()).args(["--url", &url]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(any(80_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        verify(storage, dir.path());
        let problems = service.lock().unwrap().problems.clone();
        // Loaded rows were never on this server, so an update of one is no surprise.
        let problems: Vec<_> = problems.into_iter().filter(|problem| !problem.contains("\"base-")).collect();
        assert!(problems.is_empty(), "{storage}, round {round}: {problems:?}");
    }
    let mut last = None;
    for _ in 0..12 {
        let out = torture("sync", storage, dir.path()).args(["--url", &url, "--retries", "5"]).output().unwrap();
        let text = done(&out);
        if out.status.code() == Some(0) {
            last = Some(text);
            break;
        }
        assert_eq!(out.status.code(), Some(4), "{text}");
    }
    let synced = dump(&last.expect("the faults are rare enough"));
    assert!(synced.values().all(|(state, _)| state == "clean"), "{synced:?}");
    // A load drops clean rows that it does not name; a read brings them back.
    let read = torture("read", storage, dir.path()).args(["--url", &url, "--retries", "9"]).output().unwrap();
    let ours = dump(&done(&read));
    assert_eq!(read.status.code(), Some(0), "{}", done(&read));
    for key in synced.keys().filter(|key| !key.starts_with("base-")) {
        assert!(ours.contains_key(key), "{storage}: {key} was synced and the service does not have it");
    }
    let service = service.lock().unwrap();
    let theirs: BTreeMap<String, Record> = service
        .rows
        .values()
        .map(|row| (row.get("key").and_then(Value::as_str).unwrap().to_owned(), plain(row)))
        .collect();
    for (key, row) in &theirs {
        assert_eq!(ours.get(key).map(|(_, record)| plain(record)).as_ref(), Some(row), "{storage}: {key}");
    }
    let made_here = ours.keys().filter(|key| !key.starts_with("base-")).count();
    assert_eq!(theirs.keys().filter(|key| !key.starts_with("base-")).count(), made_here, "{storage}");
    service.requests
}

fn syncing(storage: &str) {
    let mut requests = 0;
    for rounds in in_fresh_places(kills() / 2) {
        let end = rounds.end;
        requests += killed_while_it_syncs(storage, rounds);
        eprintln!("{storage}: {end} kills while syncing, {requests} requests, 0 duplicates, 0 lost");
    }
}

#[test]
fn a_process_killed_while_it_syncs_a_file_neither_repeats_nor_loses() {
    syncing("file");
}

#[test]
fn a_process_killed_while_it_syncs_with_sqlite_neither_repeats_nor_loses() {
    syncing("sqlite");
}

/// Two processes on one store: the second is refused, or both keep what they acknowledged.
#[test]
fn two_processes_on_one_store_lose_nothing() {
    for storage in STORAGES {
        for _ in 0..kills() / 10 {
            let dir = tempfile::tempdir().unwrap();
            drop(verify(storage, dir.path()));
            let start = |name: &str| {
                let mut child =
                    torture("run", storage, dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                let mut input = child.stdin.take().unwrap();
                for n in 0..10 {
                    let line =
                        format!(r#"{{"seq":{n},"op":"add","key":"{name}{n}","row":{{"key":"{name}{n}","v":{n}}}}}"#);
                    if writeln!(input, "{line}").is_err() {
                        break;
                    }
                }
                (child, input)
            };
            let (one, two) = (start("a"), start("b"));
            drop((one.1, two.1));
            let (one, two) = (one.0.wait_with_output().unwrap(), two.0.wait_with_output().unwrap());
            let found = verify(storage, dir.path());
            let mut worked = 0;
            for out in [&one, &two] {
                match out.status.code() {
                    Some(0) => worked += 1,
                    Some(5) => assert!(done(out).starts_with("err open locked"), "{}", done(out)),
                    other => panic!("{other:?} {}", done(out)),
                }
                for line in done(out).lines().filter(|line| line.starts_with("ack ")) {
                    let key = line.split(' ').nth(2).unwrap();
                    assert!(found.contains_key(key), "{storage}: {key} was acknowledged and is gone");
                }
            }
            assert!(worked > 0);
        }
    }
}

/// Two processes at work on the same rows in turn: each later acknowledgement stands, whoever made it.
#[test]
fn a_later_edit_of_another_process_is_not_undone() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let mut child =
            torture("run", "sqlite", dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready "), "{ready}");
        (child, input, out)
    };
    let ask = |who: &mut (std::process::Child, std::process::ChildStdin, BufReader<std::process::ChildStdout>),
               command: &str| {
        writeln!(who.1, "{command}").unwrap();
        let mut answer = String::new();
        who.2.read_line(&mut answer).unwrap();
        assert!(answer.starts_with("ack "), "{command}: {answer}");
    };
    let mut one = start();
    ask(&mut one, r#"{"seq":1,"op":"load","rows":[{"id":1,"key":"a","f":0,"g":0},{"id":2,"key":"b"}]}"#);
    ask(&mut one, r#"{"seq":2,"op":"add","key":"n","row":{"key":"n","f":0}}"#);
    let mut two = start();
    ask(&mut one, r#"{"seq":3,"op":"set","key":"a","field":"f","value":1}"#);
    ask(&mut one, r#"{"seq":4,"op":"set","key":"n","field":"f","value":1}"#);
    ask(&mut two, r#"{"seq":5,"op":"set","key":"a","field":"f","value":2}"#);
    ask(&mut two, r#"{"seq":6,"op":"set","key":"n","field":"f","value":2}"#);
    ask(&mut one, r#"{"seq":7,"op":"set","key":"a","field":"g","value":7}"#);
    ask(&mut one, r#"{"seq":8,"op":"remove","key":"b"}"#);
    ask(&mut two, r#"{"seq":9,"op":"add","key":"m","row":{"key":"m"}}"#);
    ask(&mut two, r#"{"seq":10,"op":"remove","key":"m"}"#);
    ask(&mut one, r#"{"seq":11,"op":"add","key":"o","row":{"key":"o"}}"#);
    for who in [one, two] {
        let (mut child, input, _) = who;
        drop(input);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let found = verify("sqlite", dir.path());
    let field = |key: &str, name: &str| found[key].1.get(name).map(Value::to_json);
    assert_eq!((field("a", "f").as_deref(), field("a", "g").as_deref()), (Some("2"), Some("7")), "{found:?}");
    assert_eq!(field("n", "f").as_deref(), Some("2"), "{found:?}");
    assert_eq!(found["b"].0, "destroy");
    assert!(!found.contains_key("m") && found.contains_key("o"), "{found:?}");
}
