//! What the channel guards, against raw servers that misbehave. Letters and numbers are those of the security checklist.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall_core::{ChangeKind, ErrorKind, OutgoingRow, Record, Request, Value};
use landfall_transport::{
    Channel, Error, Operation, Transport, WireRequest,
    conformance::{Loopback, response},
    dialect::{
        kendo::{Kendo, Settings},
        rest::Rest,
    },
};
use landfall_transport_http::{HttpBuilder, HttpChannel, HttpTransport};
use std::{
    fmt::Write as _,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn write(kind: ChangeKind, id: impl Into<Value>) -> Request {
    let record = Record::from([("name", "x")]);
    let row = OutgoingRow { kind, record, id: Some(id.into()), changed: vec!["name".into()], base: None };
    Request {
        operation: kind.into(),
        rows: vec![row],
        id_field: Some("id".into()),
        key: Some("key-1".into()),
        ..Request::read(Record::new())
    }
}

fn read() -> Request {
    Request::read(Record::new())
}

fn rest(server: &Loopback, options: impl FnOnce(HttpBuilder) -> HttpBuilder) -> HttpTransport {
    options(HttpTransport::builder().base_url(server.url())).build(Rest::new("p")).unwrap()
}

fn get(url: &str) -> WireRequest {
    WireRequest::new(Operation::Read, "GET", url)
}

fn redirect(server: &Loopback, status: u16, to: &str) {
    server.push_bytes(response(status, &[("Location", to)], b""));
}

/// The error and everything that it would show in a log.
fn shown(error: &Error) -> String {
    let mut out = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        write!(out, " {inner} {inner:?}").unwrap();
        source = inner.source();
    }
    out
}

#[tokio::test]
async fn s1_a_redirect_to_another_origin_is_not_followed() {
    let (server, other) = (Loopback::start(), Loopback::start());
    let transport = rest(&server, |builder| builder.bearer("secret-token").header("X-Api-Key", "secret-key"));
    for status in [301, 302, 303, 307, 308] {
        for to in [other.url().to_owned(), other.url().replace("http:", ""), "https://127.0.0.1/".to_owned()] {
            redirect(&server, status, &to);
            let error = transport.send(read()).await.unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Redirect, "{status} {to}");
        }
    }
    redirect(&server, 302, "file:///etc/passwd");
    assert_eq!(*transport.send(read()).await.unwrap_err().kind(), ErrorKind::Redirect);
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn s1_a_read_may_be_redirected_within_its_origin() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder.bearer("token"));
    redirect(&server, 307, "/elsewhere?x=1");
    redirect(&server, 302, "again");
    server.push_bytes(response(200, &[JSON], b"[1]"));
    let reply = transport.send(read()).await.unwrap();
    assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), "[1]");
    let seen = server.requests();
    let targets: Vec<&str> = seen.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/p", "/elsewhere?x=1", "/again"]);
    assert!(seen.iter().all(|request| request.header("authorization") == Some("Bearer token")));

    for _ in 0..20 {
        redirect(&server, 302, "/round");
    }
    let error = transport.send(read()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Redirect);
    assert!(server.requests().len() <= 3 + 11);
}

#[tokio::test]
async fn s1_a_write_is_never_redirected() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder);
    for (status, doubt) in [(301, true), (302, true), (303, true), (307, false), (308, false)] {
        for kind in [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy] {
            redirect(&server, status, "/p/elsewhere");
            let before = server.requests().len();
            let error = transport.send(write(kind, 1)).await.unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Redirect);
            assert_eq!(error.may_have_been_applied(), doubt, "{status}");
            assert_eq!(server.requests().len(), before + 1);
        }
    }
    // A write that some dialect sends by GET is a GET to HTTP, and may be redirected within the origin.
}

#[tokio::test]
async fn s1_secrets_go_to_their_own_origin_only() {
    let (server, other) = (Loopback::start(), Loopback::start());
    let channel = HttpChannel::builder()
        .base_url(server.url())
        .bearer("secret-token")
        .header("X-Api-Key", "secret-key")
        .build_channel()
        .unwrap();
    channel.exchange(&get("here")).await.unwrap();
    channel.exchange(&get(other.url())).await.unwrap();
    let (own, foreign) = (&server.requests()[0], &other.requests()[0]);
    assert_eq!(own.header("authorization"), Some("Bearer secret-token"));
    assert_eq!(own.header("x-api-key"), Some("secret-key"));
    assert!(foreign.header("authorization").is_none() && foreign.header("x-api-key").is_none());
    let homeless = HttpChannel::builder().bearer("t").build_channel().unwrap_err();
    assert_eq!(*homeless.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn s4_control_characters_are_refused_before_anything_is_sent() {
    let server = Loopback::start();
    let channel = HttpChannel::builder().base_url(server.url()).build_channel().unwrap();
    for evil in ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"] {
        let mut keyed = WireRequest::new(Operation::Create, "POST", "p");
        keyed.key = Some(evil.into());
        let requests = [
            get("p").with_header("X-Name", evil),
            get("p").with_header(evil, "x"),
            get(&format!("p/{evil}")),
            WireRequest::new(Operation::Read, evil, "p"),
            keyed,
        ];
        for request in requests {
            let error = channel.exchange(&request).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Config), "{error:?}");
            assert!(!error.may_have_been_applied());
        }
        assert!(HttpChannel::builder().header("X-Name", evil).build_channel().is_err());
        let token = HttpChannel::builder().base_url(server.url()).bearer(evil).build_channel().unwrap();
        assert!(token.exchange(&get("p")).await.is_err());
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn s4_s5_ids_stay_one_segment_of_one_request() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder);
    let ids = ["a/b", "a?b=1", "a#b", "a\r\nX-Evil: 1", "a b", "%2e%2e", "é/..", "..%2f", "\\..\\x", ";x", "\u{0}"];
    for id in ids {
        server.push_bytes(response(204, &[], b""));
        transport.send(write(ChangeKind::Destroy, id)).await.unwrap();
    }
    let seen = server.requests();
    assert_eq!(seen.len(), ids.len());
    for (request, id) in seen.iter().zip(ids) {
        assert!(request.header("x-evil").is_none());
        let segment = request.target.strip_prefix("/p/").unwrap_or_else(|| panic!("{}", request.target));
        assert!(!segment.contains(['/', '?', '#', ' ', '\\']), "{segment}");
        assert_eq!(decoded(segment), id);
    }
    for id in ["..", ".", ""] {
        let error = transport.send(write(ChangeKind::Destroy, id)).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(server.requests().len(), ids.len());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn s4_s5_any_text_makes_one_request_or_none(id in "\\PC{0,12}|[\\x00-\\x20/%?#.\\\\;:@&=]{0,8}", key in "\\PC{0,12}|[\\x00-\\x7f]{0,8}") {
        let server = Loopback::start();
        let transport = rest(&server, |builder| builder);
        let mut request = write(ChangeKind::Destroy, id.as_str());
        request.key = Some(key.as_str().into());
        server.push_bytes(response(204, &[], b""));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sent = runtime.block_on(transport.send(request));
        let seen = server.requests();
        match sent {
            Ok(_) => {
                assert_eq!(seen.len(), 1);
                assert_eq!(decoded(seen[0].target.strip_prefix("/p/").unwrap()), id);
                assert_eq!(seen[0].header("idempotency-key").map(str::trim), Some(key.trim()));
            }
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::Invalid, "{error:?}");
                assert!(seen.is_empty());
            }
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn s9_secrets_are_shown_nowhere() {
    let server = Loopback::start();
    let url = server.url().replace("http://", "http://user:secret-pw@");
    let builder = HttpTransport::builder()
        .base_url(format!("{url}?k=secret-base"))
        .bearer("secret-token")
        .header("X-Api-Key", "secret-key")
        .timeout(Duration::from_millis(200));
    assert!(!format!("{builder:?}").contains("secret"), "{builder:?}");
    let settings = Settings::url("/p?key=secret-query")
        .headers([("X-Secret", "secret-header")])
        .data(Record::from([("password", "secret-data")]))
        .json();
    let transport = builder.build(Kendo::new().read(settings)).unwrap();
    assert!(!format!("{transport:?}").contains("secret"), "{transport:?}");
    server.push_bytes(response(500, &[], b"no"));
    server.push(|_, _| {});
    server.push(|_, _| std::thread::sleep(Duration::from_millis(400)));
    server.push_bytes(response(200, &[("Content-Type", "text/html")], b"<p>"));
    server.push_bytes(response(302, &[("Location", "http://u:secret-pw@127.0.0.1:1/?secret=1")], b""));
    for _ in 0..5 {
        let error = transport.send(read()).await.unwrap_err();
        assert!(!shown(&error).contains("secret"), "{}", shown(&error));
    }
    drop(server);
    let error = transport.send(read()).await.unwrap_err();
    assert!(!shown(&error).contains("secret"), "{}", shown(&error));
}

#[tokio::test]
async fn s10_bodies_are_limited_after_decoding() {
    let server = Loopback::start();
    let limit = 64 * 1024;
    let transport = rest(&server, |builder| builder.body_limit(limit).timeout(Duration::from_secs(20)));
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2)).into_bytes();
    let fits = usize::try_from(limit).unwrap();

    server.push_bytes(response(200, &[JSON], &text(fits)));
    assert!(transport.send(read()).await.is_ok());
    let expect_limit = |error: Error| assert_eq!(*error.kind(), ErrorKind::Limit, "{error:?}");
    // A length that says so is refused at once.
    server.push_bytes(response(200, &[JSON], &text(fits + 1)));
    expect_limit(transport.send(read()).await.unwrap_err());
    // A body without an end.
    server.push(|stream, _| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = [b"1000\r\n".as_slice(), &[b'['; 4096], b"\r\n"].concat();
        if stream.write_all(head).is_ok() {
            while stream.write_all(&chunk).is_ok() {}
        }
    });
    expect_limit(transport.send(read()).await.unwrap_err());
    // 256 MiB of blanks in about one MiB; packed before anybody waits.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let blanks = vec![b' '; 1024 * 1024];
    for _ in 0..256 {
        packed.write_all(&blanks).unwrap();
    }
    server.push_bytes(response(200, &[JSON, ("Content-Encoding", "gzip")], &packed.finish().unwrap()));
    expect_limit(transport.send(read()).await.unwrap_err());
    // None of that was ever in memory. (All tests of this file together stay far below, where this can be asked.)
    if let Some(peak) = peak_memory() {
        assert!(peak < 200 * 1024, "{peak} KiB");
    }
    // A write that was answered at too great a length may have been applied.
    server.push_bytes(response(200, &[JSON], &text(fits + 1)));
    let error = transport.send(write(ChangeKind::Create, 1)).await.unwrap_err();
    assert!(error.may_have_been_applied());
    expect_limit(error);
    // A failure is a failure, however long its explanation.
    server.push_bytes(response(409, &[JSON], &text(fits + 1)));
    assert_eq!(transport.send(write(ChangeKind::Create, 1)).await.unwrap_err().status(), Some(409));
}

/// The most memory that this process ever had, in KiB; on Linux.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[tokio::test]
async fn gzip_is_decoded() {
    let server = Loopback::start();
    server.push(|stream, received| {
        assert!(received.header("accept-encoding").unwrap().contains("gzip"));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(b"[\"packed\"]").unwrap();
        let bytes = response(200, &[JSON, ("Content-Encoding", "gzip")], &packed.finish().unwrap());
        stream.write_all(&bytes).unwrap();
    });
    let reply = rest(&server, |builder| builder).send(read()).await.unwrap();
    assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), "[\"packed\"]");
}

#[tokio::test]
async fn s10_a_slow_drip_ends_at_the_deadline() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder.timeout(Duration::from_millis(300)));
    let drip = |head: &'static [u8], byte: &'static [u8]| {
        server.push(move |stream, _| {
            let started = Instant::now();
            let mut alive = stream.write_all(head).is_ok();
            while alive && started.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(20));
                alive = stream.write_all(byte).is_ok();
            }
        });
    };
    let chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[";
    for (head, byte) in
        [(&chunked[..], &b" "[..]), (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")]
    {
        for request in [read(), write(ChangeKind::Update, 1)] {
            let is_write = request.operation != Operation::Read;
            drip(head, byte);
            let started = Instant::now();
            let error = transport.send(request).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Transport), "{error:?}");
            assert_eq!(error.may_have_been_applied(), is_write);
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
    }
    // The deadline is one for all hops together.
    for _ in 0..8 {
        server.push(|stream, _| {
            std::thread::sleep(Duration::from_millis(100));
            drop(stream.write_all(&response(302, &[("Location", "/p")], b"")));
        });
    }
    let error = transport.send(read()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn s10_a_flood_of_headers_is_an_error() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder.timeout(Duration::from_secs(5)));
    server.push(|stream, _| {
        let mut alive = stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok();
        for number in 0..200_000 {
            alive = alive && stream.write_all(format!("X-{number}: {}\r\n", "y".repeat(100)).as_bytes()).is_ok();
        }
    });
    let error = transport.send(read()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Transport, "{error:?}");
}

#[tokio::test]
async fn s11_deep_nesting_and_odd_numbers_are_survived() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder);
    server.push_bytes(response(200, &[JSON], "[".repeat(200_000).as_bytes()));
    let error = transport.send(write(ChangeKind::Create, 1)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Undecodable);
    server.push_bytes(response(200, &[JSON], "[".repeat(200_000).as_bytes()));
    let reply = transport.send(read()).await.unwrap();
    assert!(reply.body.decode().is_err());
    server.push_bytes(response(200, &[JSON], br#"{"a":123456789012345678901234567890,"b":1e308}"#));
    assert!(transport.send(write(ChangeKind::Create, 1)).await.is_ok());
    server.push_bytes(response(200, &[JSON], br#"{"a":1e999}"#));
    drop(transport.send(write(ChangeKind::Create, 1)).await);
}

#[tokio::test]
async fn s13_a_captive_portal_is_not_the_service() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder);
    for body in ["<!doctype html><title>Wi-Fi</title>", "[]", "{}"] {
        for request in [read(), write(ChangeKind::Create, 1), write(ChangeKind::Destroy, 1)] {
            server.push_bytes(response(200, &[("Content-Type", "text/html; charset=utf-8")], body.as_bytes()));
            let error = transport.send(request).await.unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Undecodable, "{body}");
        }
    }
}

#[tokio::test]
async fn s14_broken_framing_is_an_error_and_taints_no_later_answer() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder.timeout(Duration::from_millis(500)));
    let answers: [&[u8]; 6] = [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"id\":1}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 8\r\n\r\n{\"id\":1}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"id\":1}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{\"id\":1}\r\n0\r\n\r\n",
        b"HTTP/9.9 banana\r\n\r\n",
        b"\0\x01\x02garbage\r\n\r\n",
    ];
    for answer in answers {
        server.push_bytes(answer);
        let error = transport.send(write(ChangeKind::Create, 1)).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Transport, "{error:?}");
        assert!(error.may_have_been_applied(), "{error:?}");
        server.push_bytes(response(200, &[JSON], b"[7]"));
        let reply = transport.send(read()).await.unwrap();
        assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), "[7]");
    }
    // A second answer that nobody asked for is not taken for the next request's.
    server.push_bytes(
        [
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]".as_slice(),
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n[\"no\"]",
        ]
        .concat(),
    );
    assert_eq!(transport.send(read()).await.unwrap().body.decode().unwrap().unwrap().to_json(), "[1]");
    server.push_bytes(response(200, &[JSON], b"[2]"));
    assert_eq!(transport.send(read()).await.unwrap().body.decode().unwrap().unwrap().to_json(), "[2]");
}

#[tokio::test]
async fn the_idempotency_key_travels_with_writes_only() {
    let server = Loopback::start();
    let plain = rest(&server, |builder| builder);
    let named = rest(&server, |builder| builder.idempotency_header("X-Request-Id"));
    let off = rest(&server, HttpBuilder::without_idempotency_key);
    for transport in [&plain, &named, &off] {
        let mut read = read();
        read.key = Some("never".into());
        transport.send(read).await.unwrap();
        transport.send(write(ChangeKind::Create, 1)).await.unwrap();
    }
    let keys: Vec<_> = server
        .requests()
        .iter()
        .map(|request| {
            (request.header("idempotency-key").map(str::to_owned), request.header("x-request-id").map(str::to_owned))
        })
        .collect();
    let key = || Some("key-1".to_owned());
    assert_eq!(keys, [(None, None), (key(), None), (None, None), (None, key()), (None, None), (None, None)]);
}

#[tokio::test]
async fn a_token_is_asked_for_again_once_after_a_401() {
    let server = Loopback::start();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let transport = rest(&server, |builder| {
        builder.bearer_with(move |refused| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!(refused.is_some(), number % 2 == 1);
                Ok(Some(format!("token-{number}")))
            }
        })
    });
    server.push_bytes(response(401, &[], b""));
    server.push_bytes(response(201, &[JSON], br#"{"id":5}"#));
    let reply = transport.send(write(ChangeKind::Create, 1)).await.unwrap();
    assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), r#"{"id":5}"#);
    let seen = server.requests();
    assert_eq!(seen[0].header("authorization"), Some("Bearer token-0"));
    assert_eq!(seen[1].header("authorization"), Some("Bearer token-1"));
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));

    // A second 401 stands, and so does one when there is no other token.
    server.push_bytes(response(401, &[], b""));
    server.push_bytes(response(401, &[], b""));
    assert_eq!(transport.send(read()).await.unwrap_err().status(), Some(401));
    assert_eq!((asked.load(Ordering::SeqCst), server.requests().len()), (4, 4));
    let fixed = rest(&server, |builder| builder.bearer("t"));
    server.push_bytes(response(401, &[], b""));
    assert_eq!(fixed.send(read()).await.unwrap_err().status(), Some(401));
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn hooks_may_fail_and_panic() {
    let server = Loopback::start();
    let failing = rest(&server, |builder| {
        builder.bearer_with(|_| async { Err(Error::new(ErrorKind::Cancelled, "not logged in")) })
    });
    let error = failing.send(write(ChangeKind::Create, 1)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert!(!error.may_have_been_applied());
    let panicking = rest(&server, |builder| builder.headers_with(|_| panic!("no headers today")));
    let error = panicking.send(read()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Callback);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn headers_come_from_functions_of_the_request_too() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| {
        builder.headers_with(|request| vec![("X-Operation".to_owned(), request.operation.to_string())])
    });
    transport.send(write(ChangeKind::Update, 1)).await.unwrap();
    assert_eq!(server.requests()[0].header("x-operation"), Some("update"));
}

#[test]
fn what_cannot_work_is_refused_when_it_is_built() {
    let refused = |builder: HttpBuilder| *builder.build_channel().unwrap_err().kind() == ErrorKind::Config;
    for url in ["", "/relative", "ftp://h/", "http://", "file:///x", "h:80"] {
        assert!(refused(HttpChannel::builder().base_url(url)), "{url:?}");
    }
    assert!(refused(HttpChannel::builder().header("bad name", "x")));
    assert!(refused(HttpChannel::builder().idempotency_header("a b")));
    assert!(refused(HttpChannel::builder().base_url("http://h/").https_only(true)));
    assert!(HttpTransport::builder().base_url("http://h/").build(Rest::new("")).is_err());
}

#[tokio::test]
async fn https_without_tls_says_what_to_do() {
    if cfg!(any(feature = "tls", feature = "native-tls")) {
        return;
    }
    let channel = HttpChannel::builder().base_url("https://127.0.0.1:1/").build_channel().unwrap();
    let error = channel.exchange(&get("p")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.message().contains("tls"), "{error}");
}

#[tokio::test]
async fn a_finished_client_keeps_its_own_redirects() {
    let server = Loopback::start();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let channel = HttpChannel::builder().base_url(server.url()).client_with_unchecked_redirects(client);
    redirect(&server, 302, "/x");
    let reply = channel.build_channel().unwrap().exchange(&get("p")).await.unwrap();
    assert_eq!(reply.status, 302);
    // The policy of a builder is replaced.
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(5));
    let transport = rest(&server, |options| options.client(builder));
    redirect(&server, 302, "http://127.0.0.2:1/x");
    assert_eq!(*transport.send(read()).await.unwrap_err().kind(), ErrorKind::Redirect);
}

#[tokio::test]
async fn requests_that_are_refused_together_ask_for_one_token() {
    let server = Loopback::start();
    let renewals = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&renewals);
    let transport = rest(&server, |builder| {
        builder.bearer_with(move |refused| {
            let renewed = refused.as_ref().map(|_| count.fetch_add(1, Ordering::SeqCst) + 1);
            async move {
                // A log-in takes a while.
                tokio::time::sleep(Duration::from_millis(if renewed.is_some() { 50 } else { 0 })).await;
                Ok(Some(renewed.map_or_else(|| "old".to_owned(), |number| format!("new-{number}"))))
            }
        })
    });
    let together = Arc::new(std::sync::Barrier::new(4));
    let refuse_four = || {
        for _ in 0..4 {
            let together = Arc::clone(&together);
            server.push(move |stream, received| {
                assert_eq!(received.header("authorization"), Some("Bearer old"));
                together.wait();
                drop(stream.write_all(&response(401, &[], b"")));
            });
        }
    };
    refuse_four();
    let four = || async {
        tokio::join!(transport.send(read()), transport.send(read()), transport.send(read()), transport.send(read()))
    };
    let (a, b, c, d) = four().await;
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert_eq!(renewals.load(Ordering::SeqCst), 1);
    let again = server.requests().split_off(4);
    assert_eq!(again.len(), 4);
    assert!(again.iter().all(|request| request.header("authorization") == Some("Bearer new-1")));
    // A later refusal of the same token is a new reason to ask.
    refuse_four();
    let (a, ..) = four().await;
    assert!(a.is_ok());
    assert_eq!(renewals.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_dropped_request_lets_its_connection_go() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder);
    for request in [read(), write(ChangeKind::Update, 1)] {
        let (told, closed) = std::sync::mpsc::channel();
        server.push(move |stream, _| {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            // The client has said all it had to say: what comes next can only be its end.
            let ended = std::io::Read::read(stream, &mut [0]);
            told.send(ended.map_or_else(|e| e.kind() != std::io::ErrorKind::WouldBlock, |read| read == 0)).unwrap();
        });
        let before = server.requests().len();
        {
            let mut sending = std::pin::pin!(transport.send(request));
            while server.requests().len() == before {
                let pause = tokio::time::sleep(Duration::from_millis(5));
                tokio::select! { reply = &mut sending => panic!("{reply:?}"), () = pause => {} }
            }
        }
        // Closing is the connection's task's to do.
        let ended = tokio::task::spawn_blocking(move || closed.recv_timeout(Duration::from_secs(10)));
        assert_eq!(ended.await.unwrap(), Ok(true));
    }
    assert!(transport.send(read()).await.is_ok());
}

#[tokio::test]
async fn a_template_is_filled_with_escaped_values() {
    let server = Loopback::start();
    let settings = Settings::template("/shop/{Name}/products/{ID}?by={By}").method("PUT").json();
    let transport = HttpTransport::builder().base_url(server.url()).build(Kendo::new().update(settings)).unwrap();
    let update = |value: &str| {
        let mut request = write(ChangeKind::Update, 1);
        request.rows[0].record = Record::from([("Name", value), ("ID", value), ("By", value)]);
        request
    };
    let values = [
        "../..",
        "a/b",
        "a?b=1",
        "a#b",
        "a\r\nX-Evil: 1",
        "a&b=c",
        "%2e%2e%2f",
        "\\..\\",
        "ünï ☃",
        "{ID}",
        "a b",
        "\u{0}",
    ];
    for value in values {
        server.push_bytes(response(204, &[], b""));
        transport.send(update(value)).await.unwrap();
    }
    let seen = server.requests();
    assert_eq!(seen.len(), values.len());
    for (request, value) in seen.iter().zip(values) {
        assert!(request.header("x-evil").is_none());
        let (path, query) = request.target.split_once('?').unwrap();
        let segments: Vec<&str> = path.split('/').collect();
        assert_eq!((segments.len(), segments[1], segments[3]), (5, "shop", "products"), "{}", request.target);
        assert_eq!((decoded(segments[2]), decoded(segments[4])), (value.to_owned(), value.to_owned()));
        assert_eq!(decoded(query.strip_prefix("by=").unwrap()), value);
        assert!(!query.contains('&'), "{query}");
    }
    for value in [".", ".."] {
        let error = transport.send(update(value)).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Invalid, "{value:?}");
    }
    assert_eq!(server.requests().len(), values.len());
}

#[tokio::test]
async fn s9_what_a_server_echoes_is_kept_apart_from_what_is_shown() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder.bearer("secret-token"));
    for status in [400, 401, 409, 500, 502] {
        server.push(move |stream, received| {
            let said = format!("{:?} {}", received.headers, String::from_utf8_lossy(&received.body));
            let fields = [("X-Echo", "secret-token"), ("Retry-After", "1")];
            drop(stream.write_all(&response(status, &fields, said.as_bytes())));
        });
        let mut request = write(ChangeKind::Update, "secret-id");
        request.rows[0].record.set("name", "secret-name");
        let error = transport.send(request).await.unwrap_err();
        let said = error.body().unwrap().to_text();
        assert!(said.contains("secret-name") && !said.contains("secret-token"), "{said}");
        let text = shown(&error).replace("p/secret-id", "");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_clients_proxy_and_settings_are_used() {
    let (proxy, server) = (Loopback::start(), Loopback::start());
    proxy.push_bytes(response(200, &[JSON], b"[\"by proxy\"]"));
    let client = reqwest::Client::builder().proxy(reqwest::Proxy::http(proxy.url()).unwrap()).user_agent("shop/1");
    let reply = rest(&server, |builder| builder.client(client)).send(read()).await.unwrap();
    assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), "[\"by proxy\"]");
    assert!(server.requests().is_empty());
    let seen = &proxy.requests()[0];
    assert_eq!(seen.target, format!("{}p", server.url()));
    assert_eq!(seen.header("user-agent"), Some("shop/1"));

    // A proxy that is not there: nothing was sent, and nothing goes around it.
    let gone = proxy.url().to_owned();
    drop(proxy);
    let client = reqwest::Client::builder().proxy(reqwest::Proxy::http(gone).unwrap());
    let error = rest(&server, |builder| builder.client(client)).send(write(ChangeKind::Create, 1)).await.unwrap_err();
    assert!(!error.may_have_been_applied() && error.is_no_network(), "{error:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn s2_no_address_that_a_server_gives_is_followed_but_a_redirect() {
    let (server, other) = (Loopback::start(), Loopback::start());
    let place = other.url().to_owned();
    let odata = landfall_transport::dialect::odata::OData::v4("p").guid_keys();
    let transport = HttpTransport::builder().base_url(server.url()).bearer("t").build(odata).unwrap();
    let body = format!(
        r#"{{"@odata.nextLink":"{place}next","@odata.context":"{place}c","value":[{{"@odata.id":"{place}id","@odata.editLink":"{place}edit","id":1}}]}}"#
    );
    let fields = [JSON, ("Location", place.as_str()), ("Content-Location", place.as_str()), ("Link", "<x>; rel=next")];
    server.push_bytes(response(200, &fields, body.as_bytes()));
    assert!(transport.send(read()).await.is_ok());
    server.push_bytes(response(201, &fields, br#"{"id":1}"#));
    assert!(transport.send(write(ChangeKind::Create, 1)).await.is_ok());
    let mut update = write(ChangeKind::Update, 1);
    update.rows[0].base = Some(Record::from([("@odata.editLink", format!("{place}edit"))]));
    transport.send(update).await.unwrap();
    assert_eq!(server.requests().last().unwrap().target, "/p(1)");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn s12_names_that_come_twice_and_names_of_ours_mean_nothing() {
    let server = Loopback::start();
    let transport = rest(&server, |builder| builder);
    let answer = br#"{"id":1,"id":2,"__state__":"destroy","__proto__":{"id":9},"constructor":1}"#;
    server.push_bytes(response(200, &[JSON], answer));
    let reply = transport.send(write(ChangeKind::Create, 1)).await.unwrap();
    let row = reply.body.decode().unwrap().unwrap();
    assert_eq!(row.as_object().unwrap().get("id").and_then(Value::as_i64), Some(2));
    let schema = landfall_core::Schema::new().with_model(landfall_core::Model::new().id("id"));
    let rows = schema.write_answer(Some(row)).unwrap().rows.unwrap();
    assert!(rows.iter().all(|row| !row.contains("__state__")), "{rows:?}");
}
