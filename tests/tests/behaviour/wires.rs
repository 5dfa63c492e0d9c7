//! Over real connections: secrets that a server sends back (S9), and doubts that are looked up where no keys travel.

use crate::help::{model, record};
use landfall::{
    DataSource, Record, Standing,
    storage::{FileStorage, MemoryStorage},
    transport::{HttpTransport, dialect::rest::Rest},
};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// A server that answers one request per connection, with what the function makes of head and body; `None` closes the
/// connection without a word. Gives its address and the first lines of the requests.
pub(crate) async fn serving(answer: impl Fn(usize, &str) -> Option<(u16, String)> + Send + 'static) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            loop {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).await.unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) || count == 0 {
                    break;
                }
            }
            let number = {
                let mut log = log.lock().unwrap();
                log.push(text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned());
                log.len() - 1
            };
            if let Some((status, body)) = answer(number, &text) {
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        }
    });
    (url, seen)
}

fn row() -> String {
    r#"[{"id":1,"name":"a"}]"#.to_owned()
}

#[tokio::test]
async fn s9_secrets_that_a_server_echoes_are_neither_stored_nor_shown() {
    for status in [200, 401, 409, 422, 500] {
        let (url, _) = serving(move |_, request| {
            let echo = Record::from([("request", request)]).to_json();
            let body = if status == 200 { format!(r#"{{"errors":{echo}}}"#) } else { echo };
            Some(if request.starts_with("GET") { (200, row()) } else { (status, body) })
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let transport = HttpTransport::builder()
            .base_url(&url)
            .bearer("TOKEN-of-mine/1")
            .header("X-Api-Key", "APIKEY-of-mine")
            .secret_header("X-Tenant", "TENANT-of-mine")
            .header("X-Colour", "plainly-red")
            .build(Rest::new("rows?access_token=QUERY-of-mine"))
            .unwrap();
        let storage = FileStorage::open(folder.path()).unwrap();
        let builder = DataSource::builder().transport(transport).model(model());
        let source = builder.storage(storage, "rows").build().unwrap();
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        let report = source.sync().await.unwrap();
        let failure = report.failures().next().unwrap();
        let mut shown = format!("{report:?} {:?} {}", source.pending(), source.export_inbox().to_json());
        shown.push_str(&failure.result.as_ref().unwrap_err().body().unwrap().to_json());
        drop(source);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            shown.push_str(&String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()));
        }
        for secret in ["TOKEN-of", "APIKEY-of", "TENANT-of", "QUERY-of"] {
            assert!(!shown.contains(secret), "{status}: {secret} in {shown}");
        }
        assert!(shown.contains("plainly-red") && shown.contains("Bearer") | shown.contains("***"), "{status}: {shown}");
    }
}

#[tokio::test]
async fn g2_without_keys_an_answer_that_was_lost_is_looked_up_over_the_wire() {
    for (there, third) in [(r#"{"id":1,"name":"A"}"#, None), (r#"{"id":1,"name":"a"}"#, Some("PUT /rows/1"))] {
        let (url, seen) = serving(move |number, request| match number {
            0 => Some((200, row())),
            1 => None,
            _ if request.starts_with("GET") => Some((200, there.to_owned())),
            _ => Some((200, r#"{"id":1,"name":"A"}"#.to_owned())),
        })
        .await;
        let transport =
            HttpTransport::builder().base_url(&url).without_idempotency_key().build(Rest::new("rows")).unwrap();
        let builder = DataSource::builder().transport(transport).model(model());
        let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        source.sync().await.unwrap();
        assert_eq!(source.pending()[0].standing, Standing::InDoubt);
        assert_eq!(source.sync().await.unwrap().done(), 1);
        let mut expected = vec!["GET /rows", "PUT /rows/1", "GET /rows/1"];
        expected.extend(third);
        assert_eq!(*seen.lock().unwrap(), expected);
        assert_eq!(source.at(0).unwrap().record(), &record(r#"{"id":1,"name":"A"}"#));
        assert!(source.pending().is_empty());
    }
}

#[tokio::test]
async fn i12_a_version_that_is_not_the_servers_any_more_is_a_conflict_and_mine_goes_on_top() {
    let (url, seen) = serving(move |_, request| {
        let head = request.to_ascii_lowercase();
        let theirs = r#"{"id":1,"name":"a","colour":"blue","v":2}"#.to_owned();
        Some(match request.lines().next().unwrap_or_default() {
            "GET /rows HTTP/1.1" => (200, r#"[{"id":1,"name":"a","colour":"red","v":1}]"#.to_owned()),
            "GET /rows/1 HTTP/1.1" => (200, theirs),
            _ if head.contains("if-match: \"2\"") => {
                (200, request.split_once("\r\n\r\n").unwrap().1.replace(r#""v":2"#, r#""v":3"#))
            }
            _ => (412, String::new()),
        })
    })
    .await;
    let transport = HttpTransport::builder().base_url(&url).build(Rest::new("rows").version_field("v")).unwrap();
    let builder = DataSource::builder().transport(transport).model(model());
    let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "mine").unwrap();
    source.sync().await.unwrap();
    let conflict = source.inbox().remove(0);
    assert_eq!(conflict.failure.as_ref().unwrap().theirs.record().unwrap().get("v").unwrap().as_i64(), Some(2));
    assert_eq!(source.keep_mine(conflict.uid).await.unwrap().done(), 1);
    assert_eq!(source.at(0).unwrap().record(), &record(r#"{"id":1,"name":"mine","colour":"blue","v":3}"#));
    assert!(!source.has_changes());
    assert_eq!(*seen.lock().unwrap(), ["GET /rows", "PUT /rows/1", "GET /rows/1", "PUT /rows/1"]);
}
