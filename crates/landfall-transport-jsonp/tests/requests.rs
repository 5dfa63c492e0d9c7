//! What goes over the wire, and what is made of answers, over real HTTP on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]

use landfall_core::{ChangeKind, ErrorKind, OutgoingRow, Record, Request, Value};
use landfall_transport::{
    Transport,
    conformance::{Loopback, response},
};
use landfall_transport_http::HttpChannel;
use landfall_transport_jsonp::{JsonpConfig, JsonpTransport};

fn transport(server: &Loopback, config: JsonpConfig) -> JsonpTransport {
    JsonpTransport::over(HttpChannel::builder().base_url(server.url()).build_channel().unwrap(), config).unwrap()
}

fn answering(server: &Loopback, make: impl Fn(&str) -> String + Send + 'static) {
    server.push(move |stream, received| {
        let text = make(received.query("callback").unwrap_or_default());
        std::io::Write::write_all(stream, &response(200, &[("Content-Type", "text/javascript")], text.as_bytes()))
            .unwrap();
    });
}

fn create(batch: bool, rows: &[&str]) -> Request {
    let rows = rows.iter().map(|json| OutgoingRow {
        kind: ChangeKind::Create,
        record: Record::from_json(json).unwrap(),
        id: None,
        changed: Vec::new(),
        base: None,
    });
    Request {
        operation: ChangeKind::Create.into(),
        rows: rows.collect(),
        batch,
        key: Some("k/1".into()),
        ..Request::read(Record::new())
    }
}

#[tokio::test]
async fn the_parts_of_a_url_stand_in_order() {
    let server = Loopback::start();
    let config = JsonpConfig::new().read("service/Products?x=1").create("service/Products/Create").key_parameter("key");
    let transport = transport(&server, config);
    answering(&server, |name| format!("{name}([{{\"id\":1}}]);"));
    let params = Record::from_json(r#"{"take":2,"skip":0}"#).unwrap();
    let reply = transport.send(Request::read(params)).await.unwrap();
    assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), r#"[{"id":1}]"#);
    answering(&server, |name| format!("{name}([{{\"id\":9}},{{\"id\":10}}]);"));
    transport.send(create(true, &[r#"{"n":"a b"}"#, r#"{"n":"ü"}"#])).await.unwrap();

    let seen = server.requests();
    let name = seen[0].query("callback").unwrap();
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
    let stamp = seen[0].query("_").unwrap();
    assert_eq!(seen[0].target, format!("/service/Products?x=1&callback={name}&take=2&skip=0&_={stamp}"));
    assert_eq!((seen[0].method.as_str(), seen[0].header("accept")), ("GET", Some("*/*")));
    assert_eq!(seen[0].header("x-requested-with"), None);
    let (name, stamp) = (seen[1].query("callback").unwrap(), seen[1].query("_").unwrap());
    assert_ne!(Some(name), seen[0].query("callback"));
    let models = "%5B%7B%22n%22%3A%22a%20b%22%7D%2C%7B%22n%22%3A%22%C3%BC%22%7D%5D";
    assert_eq!(seen[1].target, format!("/service/Products/Create?callback={name}&models={models}&_={stamp}&key=k%2F1"));
}

#[tokio::test]
async fn single_rows_as_kendo_or_as_lists() {
    let server = Loopback::start();
    for (lists, expected) in [(false, "n=a&_="), (true, "models=%5B%7B%22n%22%3A%22a%22%7D%5D&_=")] {
        let transport = transport(&server, JsonpConfig::new().create("c").lists_only(lists));
        answering(&server, |name| format!("{name}({{}})"));
        transport.send(create(false, &[r#"{"n":"a"}"#])).await.unwrap();
        let target = server.requests().pop().unwrap().target;
        assert!(target.contains(expected), "{target}");
    }
}

#[tokio::test]
async fn nothing_but_the_call_is_an_answer() {
    let server = Loopback::start();
    let transport = transport(&server, JsonpConfig::new().create("c"));
    let answers: [fn(&str) -> String; 7] = [
        |_| "[1]".to_owned(),
        |_| "other([1]);".to_owned(),
        |name| format!("{name}([1]);alert(1)"),
        |name| format!("/* */{name}([1]);"),
        |name| format!("{name}([1]"),
        |name| format!("{name}({name}([1]))"),
        |_| "<!doctype html>".to_owned(),
    ];
    for make in answers {
        answering(&server, make);
        let error = transport.send(create(false, &["{}"])).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Undecodable);
        assert!(error.may_have_been_applied());
    }
}

#[tokio::test]
async fn what_does_not_fit_into_a_url_is_not_sent() {
    let server = Loopback::start();
    let transport = transport(&server, JsonpConfig::new().create("c").url_limit(300));
    let error = transport.send(create(true, &[&format!(r#"{{"n":"{}"}}"#, "x".repeat(300))])).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Limit);
    assert!(!error.may_have_been_applied());
    assert!(server.requests().is_empty());
}

#[test]
fn unusable_options_are_refused() {
    let channel = || HttpChannel::builder().build_channel().unwrap();
    let read = || JsonpConfig::new().read("http://h/p");
    for config in [
        JsonpConfig::new(),
        read().callback("alert(1)"),
        read().callback(""),
        read().callback_parameter("a&b"),
        read().callback_parameter(""),
    ] {
        assert_eq!(*JsonpTransport::over(channel(), config).unwrap_err().kind(), ErrorKind::Config);
    }
    let data = Record::from([("token", Value::from("secret"))]);
    let transport = JsonpTransport::over(channel(), JsonpConfig::new().read("http://u:secret@h/p?t=secret").data(data));
    assert!(!format!("{:?}", transport.unwrap()).contains("secret"));
}
