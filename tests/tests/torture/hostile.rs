//! Services that do not behave: one table of behaviours, each against `read` and against `sync`. Whatever they do, the
//! program ends in time with a code of its contract and a kind that says what happened; what was pending is pending or done;
//! no secret shows up anywhere; and a service that behaves then gets every change once.

use super::{STORAGES, done, dump, ended, torture};
use flate2::{Compression, write::GzEncoder};
use landfall::{Record, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const SECRET: &str = "s3cr3t-b4ut1ful-v4lue";
const TIMEOUT: Duration = Duration::from_millis(400);

/// A request as it came.
#[derive(Clone, Debug)]
struct Request {
    head: String,
    path: String,
    key: Option<String>,
    body: String,
}

type Behaviour = Box<dyn Fn(&mut TcpStream, &Request) -> std::io::Result<()> + Send + Sync>;

/// How something may end: kinds of the contract, or `ok`.
type Ends = &'static [&'static str];

struct Case {
    name: String,
    behaviour: Behaviour,
    read: Ends,
    write: Ends,
}

const TIMED_OUT: Ends = &["timeout"];
const CUT: Ends = &["net", "protocol"];
const LIMIT: Ends = &["limit"];
const PROTOCOL: Ends = &["protocol"];
const STATUS: Ends = &["status"];
/// Or a connection that was kept and is closed meanwhile.
const REDIRECT: Ends = &["redirect", "net"];
const FINE: Ends = &["ok"];
const FINE_OR_PROTOCOL: Ends = &["ok", "protocol", "conflict"];
const NOT_FINE: Ends = &["net", "protocol", "timeout", "limit", "status"];

/// A whole answer; the connection is not for further questions, and says so.
fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    kept(status, &format!("connection: close\r\n{headers}"), body)
}

/// As if the connection were for further questions.
fn kept(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

const JSON: &str = "content-type: application/json\r\n";

/// What a good service says.
fn good(request: &Request) -> String {
    if request.path.ends_with("/read") {
        return r#"[{"id":1,"key":"a","f":9},{"id":2,"key":"b","f":9},{"id":3,"key":"c","f":9}]"#.to_owned();
    }
    let mut row = Record::from_json(&request.body).unwrap();
    if request.path.ends_with("/create") {
        row.set("id", 77);
    }
    row.to_json()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Says the same to everything, and closes.
fn says(bytes: impl Into<Vec<u8>>) -> Behaviour {
    let bytes = bytes.into();
    Box::new(move |stream, _| stream.write_all(&bytes))
}

fn json(body: impl AsRef<[u8]>) -> Behaviour {
    says(answer("200 OK", JSON, body.as_ref()))
}

#[allow(clippy::unnecessary_wraps, reason = "the last thing that a behaviour does")]
fn silence() -> std::io::Result<()> {
    std::thread::sleep(TIMEOUT * 3);
    Ok(())
}

fn drip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(40));
    }
    Ok(())
}

fn flood(stream: &mut TcpStream, piece: &[u8], megabytes: usize) -> std::io::Result<()> {
    // An end, so that the test has one too.
    let piece = piece.repeat(65_536 / piece.len().max(1));
    for _ in 0..16 * megabytes {
        stream.write_all(&piece)?;
    }
    Ok(())
}

fn cases(elsewhere: &str) -> Vec<Case> {
    let mut out = Vec::new();
    let mut add = |name: &str, read: Ends, write: Ends, behaviour: Behaviour| {
        out.push(Case { name: name.to_owned(), behaviour, read, write });
    };
    // ---- connections
    add("closes at once", &["net"], &["net"], says(""));
    add(
        "resets",
        &["net"],
        &["net"],
        Box::new(|stream, _| {
            // Closing with something unread resets the connection.
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            stream.shutdown(Shutdown::Both)
        }),
    );
    add("says nothing", TIMED_OUT, TIMED_OUT, Box::new(|_, _| silence()));
    add(
        "half a head, then nothing",
        TIMED_OUT,
        TIMED_OUT,
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-")?;
            silence()
        }),
    );
    add("half a head, then closed", &["net"], &["net"], says("HTTP/1.1 200 OK\r\ncontent-"));
    add(
        "half a body, then nothing",
        TIMED_OUT,
        TIMED_OUT,
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[{\"id\":1")?;
            silence()
        }),
    );
    add("half a body, then closed", CUT, CUT, says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[{\"id\":1"));
    add(
        "a head byte by byte",
        TIMED_OUT,
        TIMED_OUT,
        Box::new(|stream, _| drip(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]")),
    );
    add(
        "a body byte by byte",
        TIMED_OUT,
        TIMED_OUT,
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n")?;
            drip(stream, &[b' '; 60])
        }),
    );
    // ---- sizes
    add(
        "a head without end",
        NOT_FINE,
        NOT_FINE,
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            flood(stream, b"x-filler: abcdefghijklmnopqrstuvwxyz\r\n", 256)
        }),
    );
    add(
        "one header without end",
        NOT_FINE,
        NOT_FINE,
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-filler: ")?;
            flood(stream, b"abcdefgh", 256)
        }),
    );
    add(
        "a status line without end",
        NOT_FINE,
        NOT_FINE,
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 ")?;
            flood(stream, b"abcdefgh", 256)
        }),
    );
    add(
        "a body without end",
        LIMIT,
        LIMIT,
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[")?;
            flood(stream, b"{\"id\":1},", 256)
        }),
    );
    add(
        "chunks without end",
        &["limit", "timeout"],
        &["limit", "timeout"],
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            flood(stream, b"8\r\n        \r\n", 256)
        }),
    );
    add(
        "an error without end",
        &["limit", "status"],
        &["limit", "status"],
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 400 No\r\n\r\n")?;
            flood(stream, b"no ", 256)
        }),
    );
    add(
        "ten terabytes announced",
        &["limit", "timeout"],
        &["limit", "timeout"],
        Box::new(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000000\r\n\r\n[")?;
            silence()
        }),
    );
    let bomb = gzip(&vec![b' '; 64 << 20]);
    add("a gzip bomb", LIMIT, LIMIT, says(answer("200 OK", "content-encoding: gzip\r\n", &bomb)));
    add(
        "a gzip bomb as an error",
        &["limit", "status"],
        &["limit", "status"],
        says(answer("500 No", "content-encoding: gzip\r\n", &bomb)),
    );
    add("gzip that is none", CUT, CUT, says(answer("200 OK", "content-encoding: gzip\r\n", b"[]")));
    add(
        "gzip cut short",
        CUT,
        CUT,
        says(answer("200 OK", "content-encoding: gzip\r\n", &gzip(b"[{\"id\":1,\"key\":\"a\"}]")[..20])),
    );
    add(
        "an encoding nobody asked for",
        PROTOCOL,
        PROTOCOL,
        says(answer("200 OK", "content-encoding: br\r\n", &[0x0b, 0x02, 0x80, b'[', b']', 3])),
    );
    // ---- lengths that do not fit
    add(
        "a length too short",
        PROTOCOL,
        PROTOCOL,
        says("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[{\"id\":1,\"key\":\"a\"}]"),
    );
    add("two lengths", CUT, CUT, says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\n[]   "));
    add(
        "length and chunks",
        FINE_OR_NET,
        &["net", "protocol", "conflict"],
        says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"),
    );
    add("a negative length", CUT, CUT, says("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n[]"));
    add("a length that is none", CUT, CUT, says("HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n[]"));
    add(
        "a chunk size that is none",
        CUT,
        CUT,
        says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n"),
    );
    add(
        "a chunk size beyond all",
        &["net", "protocol", "limit", "timeout"],
        &["net", "protocol", "limit", "timeout"],
        says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n[]\r\n0\r\n\r\n"),
    );
    add("chunks cut short", CUT, CUT, says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[{\"id"));
    // ---- not HTTP
    for (name, bytes) in [
        ("nonsense", &b"hello\r\n\r\n"[..]),
        ("zeros", &[0; 512]),
        ("TLS", b"\x15\x03\x01\x00\x02\x02\x28"),
        ("SSH", b"SSH-2.0-OpenSSH_9.0\r\n"),
        ("HTTP 0.9", b"[]"),
        ("HTTP 9", b"HTTP/9.9 200 OK\r\ncontent-length: 2\r\n\r\n[]"),
        ("HTTP 2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a status of four digits", b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\n[]"),
        ("a status of letters", b"HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\n[]"),
        ("a name with blanks", b"HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 2\r\n\r\n[]"),
        ("bytes in a header", b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\n[]"),
    ] {
        add(name, &["net", "protocol", "status"], &["net", "protocol", "status"], says(bytes));
    }
    add(
        "interim answers without end",
        &["timeout", "net"],
        &["timeout", "net"],
        Box::new(|stream, _| {
            for _ in 0..200 {
                stream.write_all(&b"HTTP/1.1 102 Processing\r\n\r\n".repeat(10))?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }),
    );
    add(
        "interim answers, then a good one",
        FINE,
        FINE,
        Box::new(|stream, request| {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")?;
            stream.write_all(&answer("200 OK", JSON, good(request).as_bytes()))
        }),
    );
    add(
        "another protocol",
        NOT_FINE,
        NOT_FINE,
        says("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n[]"),
    );
    // ---- bodies
    for (name, body) in [
        ("blanks", &b" \n "[..]),
        ("JSON cut short", b"[{\"id\":1,\"key\":\"a\""),
        ("two documents", b"[] []"),
        ("a web page", b"<!doctype html><html><body>Please log in</body></html>"),
        ("a number", b"5"),
        ("a text", b"\"ok\""),
        ("true", b"true"),
        ("null", b"null"),
        ("lists in a list", b"[[]]"),
        ("numbers in a list", b"[1,2,3]"),
        ("NaN", b"[{\"id\":1,\"key\":\"a\",\"f\":NaN}]"),
        ("Infinity", b"[{\"id\":1,\"key\":\"a\",\"f\":-Infinity}]"),
        ("a comment", b"[/* */]"),
        ("a comma too many", b"[{\"id\":1,\"key\":\"a\"},]"),
        ("half a surrogate", b"[{\"id\":1,\"key\":\"a\",\"f\":\"\\ud800\"}]"),
        ("bytes that are no UTF-8", b"[{\"id\":1,\"key\":\"a\",\"f\":\"\xff\xfe\"}]"),
        ("UTF-16", b"\xff\xfe[\0]\0"),
        ("a byte order mark", b"\xef\xbb\xbf[1]"),
    ] {
        add(name, PROTOCOL, PROTOCOL, json(body));
    }
    add("nothing at all", PROTOCOL, &["ok", "protocol"], json(""));
    add(
        "a web page of type HTML",
        PROTOCOL,
        PROTOCOL,
        says(answer("200 OK", "content-type: text/html\r\n", b"<html></html>")),
    );
    add("deep lists", &["protocol", "limit"], &["protocol", "limit"], json("[".repeat(30_000)));
    add(
        "a deep row",
        &["protocol", "limit"],
        &["protocol", "limit", "conflict"],
        json(format!("[{{\"id\":1,\"key\":\"a\",\"f\":{}{}}}]", "[".repeat(120), "]".repeat(120))),
    );
    add("an object for a list", PROTOCOL, &["conflict", "protocol"], json("{\"id\":1,\"key\":\"zzz\"}"));
    for (name, body) in [
        ("a number beyond all", r#"[{"id":1,"key":"a","f":1e999999}]"#.to_owned()),
        ("a number of 10,000 digits", format!(r#"[{{"id":1,"key":"a","f":{}}}]"#, "9".repeat(10_000))),
        ("an id beyond all", r#"[{"id":1e300,"key":"x"}]"#.to_owned()),
        ("an id of text", r#"[{"id":"<script>","key":"x"}]"#.to_owned()),
        ("an id that is a list", r#"[{"id":[1],"key":"x"}]"#.to_owned()),
        ("an id of 1.5", r#"[{"id":1.5,"key":"x"}]"#.to_owned()),
        ("a negative id", r#"[{"id":-7,"key":"x"}]"#.to_owned()),
        ("no ids", r#"[{"key":"x"},{"key":"y"},{"id":null,"key":"z"},{"id":0,"key":"w"}]"#.to_owned()),
        ("one id for all", r#"[{"id":1,"key":"x"},{"id":1,"key":"y"},{"id":1,"key":"z"}]"#.to_owned()),
        ("one row again and again", format!("[{}]", vec![r#"{"id":1,"key":"a","f":9}"#; 500].join(","))),
        ("members twice", r#"[{"id":1,"id":2,"key":"a","key":"q","f":1,"f":2}]"#.to_owned()),
        ("rows without a key", r#"[{"id":5},{"id":6,"key":7}]"#.to_owned()),
        ("empty rows", "[{},{},{}]".to_owned()),
        ("no rows", "[]".to_owned()),
        ("2,000 members", format!("[{{\"id\":1,\"key\":\"a\",{}}}]", (0..2_000).map(|n| format!("\"m{n}\":{n}")).collect::<Vec<_>>().join(","))),
        ("markers", r#"[{"id":1,"key":"a","__state__":"destroy","__landfall":{"key":"k"},"__proto__":{"x":1}},{"id":9,"key":"m","__state__":"create"}]"#.to_owned()),
    ] {
        add(name, FINE_OR_PROTOCOL, &["protocol", "conflict"], json(body));
    }
    // ---- answers for others
    for (name, body) in [
        ("another row", r#"{"id":50,"key":"somebody-else"}"#),
        ("a row without id", r#"{"key":"n"}"#),
        ("a row of id 0", r#"{"id":0,"key":"n"}"#),
        ("an empty object", "{}"),
    ] {
        add(name, PROTOCOL, &["ok", "conflict", "protocol"], json(body));
    }
    add(
        "the answer twice",
        FINE,
        FINE,
        Box::new(|stream, request| {
            let once = kept("200 OK", JSON, good(request).as_bytes());
            stream.write_all(&[once.clone(), once].concat())?;
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        }),
    );
    add(
        "an answer to nothing behind it",
        FINE,
        FINE,
        Box::new(|stream, request| {
            stream.write_all(&kept("200 OK", JSON, good(request).as_bytes()))?;
            stream.write_all(&kept("200 OK", JSON, br#"{"id":66,"key":"poison"}"#))?;
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        }),
    );
    add(
        "204 with a body",
        PROTOCOL,
        &["ok", "protocol"],
        says("HTTP/1.1 204 No Content\r\ncontent-length: 24\r\n\r\n{\"id\":66,\"key\":\"poison\"}"),
    );
    add("205", PROTOCOL, &["ok", "protocol"], says("HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"));
    add(
        "a part",
        FINE_OR_PROTOCOL,
        &["protocol", "conflict"],
        says(answer("206 Partial Content", "content-range: bytes 0-1/100\r\n", b"[]")),
    );
    // ---- statuses
    for status in [
        300, 304, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421,
        422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 599, 600, 999,
    ] {
        let write: Ends = match status {
            409 | 412 => &["conflict", "status"],
            404 | 410 => &["status", "ok", "conflict"],
            300 => &["redirect", "status"],
            _ => STATUS,
        };
        let read: Ends = if status == 300 { &["redirect", "status"] } else { STATUS };
        add(
            &format!("status {status}"),
            read,
            write,
            says(answer(&format!("{status} x"), JSON, b"{\"message\":\"no\"}")),
        );
    }
    for wait in [
        "-1",
        "0",
        "99999999999999999999999",
        "Wed, 21 Oct 2099 07:28:00 GMT",
        "Wed, 21 Oct 1999 07:28:00 GMT",
        "0.5",
        "soon",
        "",
        "1e9",
    ] {
        for status in [503, 429] {
            add(
                &format!("{status}, wait {wait:?}"),
                STATUS,
                STATUS,
                says(answer(&format!("{status} x"), &format!("retry-after: {wait}\r\n"), b"")),
            );
        }
    }
    add("409, still working", STATUS_OR_CONFLICT, STATUS_OR_CONFLICT, says(answer("409 x", "retry-after: 0\r\n", b"")));
    add(
        "403 that says a secret back",
        STATUS,
        STATUS,
        Box::new(|stream, request| {
            let head = Value::from(request.head.as_str()).to_json();
            stream.write_all(&answer("403 Forbidden", JSON, format!("{{\"you\":{head}}}").as_bytes()))
        }),
    );
    add(
        "400 that says a secret back as text",
        STATUS,
        STATUS,
        Box::new(|stream, request| {
            stream.write_all(&answer("400 No", "content-type: text/plain\r\n", request.head.as_bytes()))
        }),
    );
    // ---- redirects
    for status in [301, 302, 303, 307, 308] {
        for target in [
            format!("{elsewhere}/read"),
            "//127.0.0.2/".to_owned(),
            "file:///etc/passwd".to_owned(),
            "javascript:alert(1)".to_owned(),
            "data:application/json,[]".to_owned(),
            elsewhere.replace("http://", "http://a:b@"),
            elsewhere.replace("http://", "https://"),
            "http://[::1]:1/".to_owned(),
            "http://".to_owned(),
            String::new(),
            "x".repeat(20_000),
        ] {
            // All kinds once, and the others in turn.
            if status == 302 || target.starts_with(elsewhere) {
                let location = format!("location: {target}\r\n");
                let name = format!("{status} to {}", target.chars().take(30).collect::<String>());
                add(
                    &name,
                    &["redirect", "status", "net", "protocol", "timeout"],
                    &["redirect", "status", "net", "protocol", "timeout"],
                    says(answer(&format!("{status} x"), &location, b"")),
                );
            }
        }
    }
    add(
        "a redirect without an address",
        &["redirect", "status"],
        &["redirect", "status"],
        says(answer("302 x", "", b"")),
    );
    add(
        "redirects without end",
        REDIRECT,
        REDIRECT,
        Box::new(|stream, request| {
            let location = format!("location: {}x\r\n", request.path);
            stream.write_all(&answer("302 x", &location, b""))
        }),
    );
    add(
        "a redirect to itself",
        REDIRECT,
        REDIRECT,
        Box::new(|stream, request| stream.write_all(&answer("307 x", &format!("location: {}\r\n", request.path), b""))),
    );
    add(
        "a redirect in one's own house",
        FINE,
        REDIRECT,
        Box::new(|stream, request| {
            if request.path.contains("/moved/") {
                return stream.write_all(&answer(
                    "200 OK",
                    JSON,
                    good(&Request { path: "/read".to_owned(), ..request.clone() }).as_bytes(),
                ));
            }
            stream.write_all(&answer("301 x", "location: /moved/read\r\n", b""))
        }),
    );
    // ---- answers before the question
    add("413 at once", &["status", "net"], &["status", "net"], says(answer("413 x", "", b"")));
    out
}

const FINE_OR_NET: Ends = &["ok", "net", "protocol"];
const STATUS_OR_CONFLICT: Ends = &["status", "conflict"];

/// A loopback listener; gives its address and every request that came.
fn listen(case: Arc<Case>) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (case, log) = (Arc::clone(&case), Arc::clone(&log));
            std::thread::spawn(move || drop(converse(stream, &case.behaviour, &log)));
        }
    });
    (url, seen)
}

fn converse(stream: TcpStream, behaviour: &Behaviour, log: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let (mut head, mut key, mut length) = (String::new(), None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        head.push_str(&line);
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
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let request = Request { head, path, key, body: String::from_utf8(body).unwrap() };
    log.lock().unwrap().push(request.clone());
    behaviour(&mut stream, &request)?;
    // One question each: everything behind it is the next connection's.
    drop(stream.shutdown(Shutdown::Write));
    Ok(())
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn limited(mode: &str, storage: &str, dir: &Path, url: &str, timeout: &str) -> Command {
    let mut inner = torture(mode, storage, dir);
    inner.args(["--url", url, "--timeout-ms", timeout, "--retries", "2", "--backoff-ms", "5", "-v"]);
    inner.args(["--max-body-bytes", "65536", "--max-retry-after-ms", "200"]);
    inner.args(["--header", &format!("X-Odd: {SECRET}"), "--header", &format!("Authorization: Bearer {SECRET}2")]);
    let mut command = Command::new("sh");
    // Memory that has no bounds ends the program.
    command.args(["-c", "ulimit -v 2000000; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    command
}

/// No secret in outputs and files.
fn quiet(context: &str, out: &std::process::Output, dir: &Path) {
    let told = format!("{}{}", done(out), String::from_utf8_lossy(&out.stderr));
    assert!(!told.contains(SECRET), "{context}: a secret was told: {told}");
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{context}: a secret was stored in {}", path.display());
    }
}

fn judge(case: &Arc<Case>, storage: &str, store: &Path) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    copied(store, &dir);
    let (url, seen) = listen(Arc::clone(case));
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    for (mode, ends) in [("read", case.read), ("sync", case.write)] {
        let context = format!("{}, {storage}, {mode}", case.name);
        let began = Instant::now();
        let out = ended(&mut limited(mode, storage, &dir, &url, "400"), "");
        let took = began.elapsed();
        let text = done(&out);
        // Three tries of each of three changes at most, and what a busy machine adds.
        assert!(took < TIMEOUT * 9 + Duration::from_secs(8), "{context}: it took {took:?}");
        let mut kinds = BTreeSet::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some("ok" | "done"), _) => kinds.insert("ok".to_owned()),
                (Some("err"), _) => kinds.insert(words.next().unwrap().to_owned()),
                (Some("fail"), _) => {
                    // The row's key has no blanks.
                    kinds.insert(words.nth(1).unwrap().to_owned())
                }
                _ => true,
            };
        }
        let odd: Vec<_> = kinds.iter().filter(|kind| !ends.contains(&kind.as_str())).collect();
        assert!(odd.is_empty() && !kinds.is_empty(), "{context}: {odd:?} is none of {ends:?}\n{text}");
        let expected = if kinds.iter().all(|kind| kind == "ok") { 0 } else { 4 };
        assert_eq!(out.status.code(), Some(expected), "{context}: {text}");
        quiet(&context, &out, &dir);
        // The dump is whole, and what is said to be pending is.
        let rows = dump(&text);
        let pending = rows.values().filter(|(state, _)| state != "clean").count();
        if mode == "sync" {
            assert!(text.contains(&format!("pending {pending}\n")), "{context}: {text}");
            assert_eq!(pending, text.lines().filter(|line| line.starts_with("fail ")).count(), "{context}: {text}");
        } else {
            assert_eq!(pending, 3, "{context}: pending changes survive a read: {text}");
        }
        for (key, (_, record)) in &rows {
            assert!(!record.contains("__state__") && !record.contains("__landfall"), "{context}: {key}: {text}");
            assert_ne!(key, "poison", "{context}: {text}");
        }
        let found = ended(&mut torture("verify", storage, &dir), "");
        assert_eq!(found.status.code(), Some(0), "{context}: {}", done(&found));
        assert_eq!(dump(&done(&found)), rows, "{context}: what was shown is stored");
    }
    let mut bound = |requests: &[Request], context: &str| {
        for request in
            requests.iter().filter(|request| !request.path.contains("read") && request.head.starts_with("POST"))
        {
            let key = request.key.clone().unwrap_or_else(|| panic!("{context}: a write without a key"));
            let body = format!("{} {}", request.path, request.body);
            let known = keys.entry(key).or_insert_with(|| body.clone());
            assert_eq!(*known, body, "{context}: one key, two bodies");
        }
    };
    bound(&seen.lock().unwrap(), &case.name);
    // A service that behaves gets the rest.
    let well = Arc::new(Case {
        name: "good".to_owned(),
        read: FINE,
        write: FINE,
        behaviour: Box::new(|stream, request| stream.write_all(&answer("200 OK", JSON, good(request).as_bytes()))),
    });
    let (url, seen) = listen(well);
    let out = ended(&mut limited("sync", storage, &dir, &url, "10000"), "");
    assert_eq!(out.status.code(), Some(0), "{}, {storage}, afterwards: {}", case.name, done(&out));
    bound(&seen.lock().unwrap(), &case.name);
    assert!(done(&out).contains("pending 0\n"), "{}, {storage}: {}", case.name, done(&out));
}

#[test]
fn services_that_do_not_behave_do_no_harm() {
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = format!("http://{}", foreign.local_addr().unwrap());
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    std::thread::spawn(move || {
        for _stream in foreign.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let stores: Vec<(&str, tempfile::TempDir)> = STORAGES
        .iter()
        .map(|storage| {
            let dir = tempfile::tempdir().unwrap();
            let input = concat!(
                r#"{"seq":1,"op":"load","rows":[{"id":1,"key":"a","f":0},{"id":2,"key":"b","f":0}]}"#,
                "\n",
                r#"{"seq":2,"op":"set","key":"a","field":"f","value":1}"#,
                "\n",
                r#"{"seq":3,"op":"remove","key":"b"}"#,
                "\n",
                r#"{"seq":4,"op":"add","key":"n","row":{"key":"n","f":1}}"#,
                "\n",
            );
            let out = ended(&mut torture("run", storage, dir.path()), input);
            assert_eq!(done(&out).matches("ack ").count(), 4, "{}", done(&out));
            (*storage, dir)
        })
        .collect();
    let only = std::env::var("LANDFALL_CASE").ok();
    let cases: Vec<Arc<Case>> = cases(&elsewhere).into_iter().map(Arc::new).collect();
    let chosen: Vec<&Arc<Case>> =
        cases.iter().filter(|case| only.as_ref().is_none_or(|only| case.name.contains(only))).collect();
    let next = AtomicUsize::new(0);
    let problems: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = chosen.get(at) else { break };
                    let (storage, store) = &stores[at % stores.len()];
                    let judged =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(case, storage, store.path())));
                    if let Err(problem) = judged {
                        let text = problem.downcast_ref::<String>().cloned().unwrap_or_default();
                        problems.lock().unwrap().push(format!("{}: {text}", case.name));
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), chosen.len(), problems.join("\n"));
    assert_eq!(hits.load(Ordering::Relaxed), 0, "nothing is ever sent to another origin");
    eprintln!("{} bad behaviours, each against read and sync, 0 broken", chosen.len());
}
