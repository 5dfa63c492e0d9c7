//! The mock server seen from its client: what each setting, fault and hold makes of requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use futures_executor::block_on;
use landfall_core::{ChangeKind, Error, ErrorKind, Operation, OutgoingRow, Record, Reply, Request, Result, Value};
use landfall_transport::Transport;
use landfall_transport_mock::{Fault, MockServer, ReplyStyle, Wrap};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

fn record(json: &str) -> Record {
    Record::from_json(json).unwrap()
}

fn row(kind: ChangeKind, json: &str) -> OutgoingRow {
    OutgoingRow { kind, record: record(json), id: None, changed: Vec::new(), base: None }
}

fn read(params: &str) -> Request {
    Request::read(record(params))
}

fn write(kind: ChangeKind, json: &str) -> Request {
    Request { operation: kind.into(), rows: vec![row(kind, json)], ..read("{}") }
}

fn create(json: &str) -> Request {
    write(ChangeKind::Create, json)
}

fn update(json: &str) -> Request {
    write(ChangeKind::Update, json)
}

fn destroy(json: &str) -> Request {
    write(ChangeKind::Destroy, json)
}

fn batch(kind: ChangeKind, rows: &[&str]) -> Request {
    let rows = rows.iter().map(|json| row(kind, json)).collect();
    Request { operation: kind.into(), rows, batch: true, ..read("{}") }
}

/// The answer in one word: the body's JSON, `-` for none, or the failure.
fn word(answer: Result<Reply>) -> String {
    match answer {
        Ok(reply) => match reply.body.decode() {
            Ok(body) => body.map_or_else(|| "-".to_owned(), |body| body.to_json()),
            Err(error) => failure(&error),
        },
        Err(error) => failure(&error),
    }
}

fn failure(error: &Error) -> String {
    format!("{:?}{}", error.kind(), if error.may_have_been_applied() { " maybe" } else { "" })
}

/// Sends and expects an answer at the first poll.
fn now(server: &MockServer, request: Request) -> Result<Reply> {
    let mut future = pin!(server.send(request));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the answer was not ready at the first poll"),
    }
}

fn check(server: &MockServer, request: Request, expected: &str) {
    let what = format!("{} {}", request.operation, request.data().to_json());
    assert_eq!(word(now(server, request)), expected, "{what}");
}

fn rows_are(server: &MockServer, expected: &str) {
    assert_eq!(Value::array(server.rows().into_iter().map(Value::from)).to_json(), expected);
}

fn of(json: &str) -> MockServer {
    MockServer::from_value(&Value::from_json(json).unwrap()).unwrap()
}

const THREE: &str = r#""rows":[{"id":1,"n":"c"},{"id":2,"n":"a"},{"id":3,"n":"b"}]"#;

#[test]
fn plain_operations_answer_with_the_row_as_it_now_is() {
    let server = of(&format!("{{{THREE}}}"));
    check(&server, read("{}"), r#"[{"id":1,"n":"c"},{"id":2,"n":"a"},{"id":3,"n":"b"}]"#);
    check(&server, create(r#"{"n":"d","uid":"u","__state__":"create"}"#), r#"{"n":"d","id":4}"#);
    check(&server, update(r#"{"id":2,"x":1}"#), r#"{"id":2,"n":"a","x":1}"#);
    check(&server, update(r#"{"id":"2","x":2}"#), r#"{"id":"2","n":"a","x":2}"#);
    check(&server, destroy(r#"{"id":1}"#), r#"{"id":1,"n":"c"}"#);
    rows_are(&server, r#"[{"id":"2","n":"a","x":2},{"id":3,"n":"b"},{"n":"d","id":4}]"#);
}

#[test]
fn ids_are_never_given_twice() {
    let server = of(r#"{"id":"Key","rows":[{"Key":7}]}"#);
    check(&server, create(r#"{"Key":0}"#), r#"{"Key":8}"#);
    check(&server, destroy(r#"{"Key":8}"#), r#"{"Key":8}"#);
    check(&server, create("{}"), r#"{"Key":9}"#);
    check(&of("{}"), create("{}"), r#"{"id":1}"#);
    let server = of(r#"{"idPrefix":"N","nextId":5}"#);
    check(&server, create("{}"), r#"{"id":"N5"}"#);
    check(&server, create("{}"), r#"{"id":"N6"}"#);
}

#[test]
fn a_missing_row_fails_the_whole_request() {
    let server = of(&format!("{{{THREE}}}"));
    check(&server, destroy(r#"{"id":9}"#), "Status(404)");
    check(&server, update("{}"), "Status(404)");
    check(&server, update(r#"{"id":null}"#), "Status(404)");
    check(&server, batch(ChangeKind::Update, &[r#"{"id":1,"n":"x"}"#, r#"{"id":9}"#]), "Status(404)");
    check(&server, batch(ChangeKind::Destroy, &[r#"{"id":1}"#, r#"{"id":9}"#]), "Status(404)");
    rows_are(&server, r#"[{"id":1,"n":"c"},{"id":2,"n":"a"},{"id":3,"n":"b"}]"#);
}

#[test]
fn batches_large_and_small() {
    let server = of(&format!("{{{THREE}}}"));
    check(&server, batch(ChangeKind::Create, &["{}", "{}"]), r#"[{"id":4},{"id":5}]"#);
    check(&server, batch(ChangeKind::Destroy, &[r#"{"id":5}"#]), r#"[{"id":5}]"#);
    let many: Vec<String> = (0..100).map(|n| format!(r#"{{"k":{n}}}"#)).collect();
    now(&server, batch(ChangeKind::Create, &many.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    let ids: Vec<String> = (6..106).rev().map(|id| format!(r#"{{"id":{id},"k":-1}}"#)).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    now(&server, batch(ChangeKind::Update, &ids)).unwrap();
    assert_eq!(server.row(50).unwrap().to_json(), r#"{"k":-1,"id":50}"#);
    now(&server, batch(ChangeKind::Destroy, &ids)).unwrap();
    rows_are(&server, r#"[{"id":1,"n":"c"},{"id":2,"n":"a"},{"id":3,"n":"b"},{"id":4}]"#);
}

#[test]
fn reply_styles() {
    let server = of(r#"{"rows":[{"id":1,"n":"a"}],"reply":{"create":"id","update":"empty","destroy":"id"}}"#);
    check(&server, create(r#"{"n":"b"}"#), r#"{"id":2}"#);
    check(&server, batch(ChangeKind::Create, &["{}"]), r#"[{"id":3}]"#);
    check(&server, update(r#"{"id":1}"#), "-");
    check(&server, batch(ChangeKind::Update, &[r#"{"id":1}"#]), "-");
    check(&server, destroy(r#"{"id":1}"#), r#"{"id":1}"#);
    let server = of(r#"{"arrayReplies":true}"#);
    check(&server, create("{}"), r#"[{"id":1}]"#);
}

#[test]
fn wrapping() {
    let server =
        of(&format!(r#"{{{THREE},"paging":true,"wrap":{{"data":"d.list","total":"d.n"}},"static":{{"ok":true}}}}"#));
    check(&server, read(r#"{"take":1,"skip":1}"#), r#"{"d":{"list":[{"id":2,"n":"a"}],"n":3},"ok":true}"#);
    check(&server, create("{}"), r#"{"d":{"list":[{"id":4}]}}"#);
    let bare = MockServer::builder().wrap(Wrap::data("Data")).wrap_writes(false).build();
    check(&bare, create("{}"), r#"{"id":1}"#);
    check(&bare, read("{}"), r#"{"Data":[{"id":1}]}"#);
}

#[test]
fn sorting_is_stable_with_null_first() {
    let server = of(
        r#"{"sorting":true,"rows":[{"id":1,"n":"b"},{"id":2},{"id":3,"n":"B"},{"id":4,"n":null},{"id":5,"n":"b"}]}"#,
    );
    let ids = |params: &str| {
        let body = now(&server, read(params)).unwrap().body.decode().unwrap().unwrap();
        body.as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_object().unwrap().get("id").unwrap().to_json())
            .collect::<String>()
    };
    assert_eq!(ids(r#"{"sort":[{"field":"n","dir":"asc"}]}"#), "24315");
    assert_eq!(ids(r#"{"sort":[{"field":"n","dir":"desc"}]}"#), "15324");
    assert_eq!(ids(r#"{"sort":[{"field":"n","dir":"asc"},{"field":"id","dir":"desc"}]}"#), "42351");
    assert_eq!(ids("{}"), "12345");
}

#[test]
fn grouping_nests_and_paging_counts_all() {
    let rows = r#""rows":[{"id":1,"a":"y","b":1},{"id":2,"a":"x","b":1},{"id":3,"b":2},{"id":4,"a":"y","b":2}]"#;
    let server = of(&format!("{{{rows},\"grouping\":true}}"));
    let one = |value: &str, items: &str| {
        format!(r#"{{"field":"a","value":{value},"hasSubgroups":false,"aggregates":{{}},"items":[{items}]}}"#)
    };
    let y = one(r#""y""#, r#"{"id":1,"a":"y","b":1},{"id":4,"a":"y","b":2}"#);
    let x = one(r#""x""#, r#"{"id":2,"a":"x","b":1}"#);
    let none = one("null", r#"{"id":3,"b":2}"#);
    check(&server, read(r#"{"group":[{"field":"a","dir":"desc"}]}"#), &format!("[{y},{x},{none}]"));
    let nested = word(now(&server, read(r#"{"group":[{"field":"b"},{"field":"a"}]}"#)));
    assert!(nested.starts_with(
        r#"[{"field":"b","value":1,"hasSubgroups":true,"aggregates":{},"items":[{"field":"a","value":"x""#
    ));
    let server = of(&format!(r#"{{{rows},"grouping":true,"wrap":{{"data":"D","groups":"G","total":"T"}}}}"#));
    check(&server, read(r#"{"group":[{"field":"a"}]}"#), &format!(r#"{{"G":[{none},{x},{y}],"T":4}}"#));
}

#[test]
fn override_and_counter() {
    let server = of(r#"{"counter":"rev","override":{"create":{"by":"server"},"update":{"n":"!"}}}"#);
    check(&server, create(r#"{"n":"a"}"#), r#"{"n":"a","id":1,"by":"server","rev":1}"#);
    check(&server, update(r#"{"id":1,"n":"b"}"#), r#"{"n":"!","id":1,"by":"server","rev":2}"#);
}

#[test]
fn submit_answers_kind_by_kind() {
    let server = of(r#"{"submit":true,"rows":[{"id":1}],"faults":[{"op":"submit","nth":2,"fail":409}]}"#);
    assert!(server.offers(Operation::Submit) && !of("{}").offers(Operation::Submit));
    let rows = || vec![row(ChangeKind::Create, "{}"), row(ChangeKind::Update, r#"{"id":9}"#)];
    let submit = || Request { operation: Operation::Submit, rows: rows(), ..read("{}") };
    let reply = now(&server, submit()).unwrap();
    let parts: Vec<String> = reply
        .parts
        .into_iter()
        .map(|(kind, part)| format!("{kind} {}", word(part.map(|body| Reply { body, ..Reply::default() }))))
        .collect();
    assert_eq!(parts, ["create [{\"id\":2}]", "update Status(404)"]);
    assert_eq!(word(now(&server, submit())), "Status(409)");
    server.set_down(true);
    assert_eq!(word(now(&server, submit())), "Status(503)");
    rows_are(&server, r#"[{"id":1},{"id":2}]"#);
}

#[test]
fn faults_by_number_and_by_times() {
    let server =
        of(r#"{"rows":[{"id":1}],"faults":[{"op":"update","nth":2,"fail":500},{"op":"*","times":2,"errors":["no"]},
            {"op":"read","reply":{"x":1}}],"errorsField":"Problems"}"#);
    check(&server, read("{}"), r#"{"Problems":["no"]}"#);
    server.set_down(true);
    check(&server, read("{}"), "Status(503)");
    server.set_down(false);
    check(&server, update(r#"{"id":1}"#), r#"{"Problems":["no"]}"#);
    check(&server, update(r#"{"id":1}"#), "Status(500)");
    check(&server, update(r#"{"id":1}"#), r#"{"id":1}"#);
    check(&server, read("{}"), r#"{"x":1}"#);
    check(&server, read("{}"), r#"[{"id":1}]"#);
    assert_eq!((server.count(Operation::Read), server.count(Operation::Update)), (4, 3));
}

#[test]
fn what_a_fault_leaves_behind() {
    let after = |fault: Fault| {
        let server = MockServer::builder().fault(fault).build();
        let answer = word(now(&server, create("{}")));
        (answer, server.rows().len())
    };
    let on = || Fault::on(Operation::Create);
    let is = |fault, answer: &str, rows| assert_eq!(after(fault), (answer.to_owned(), rows));
    is(on(), "Status(500)", 0);
    is(on().fail(504), "Status(504) maybe", 0);
    is(on().fail(502).apply(true), "Status(502) maybe", 1);
    is(on().lost(), "Transport maybe", 1);
    is(on().lost().apply(false), "Transport maybe", 0);
    is(on().timed_out(), "TimedOut maybe", 1);
    is(on().refused(), "Transport", 0);
    is(on().refused().apply(true), "Transport", 0);
    is(on().unreadable("<html>"), "Undecodable", 1);
    is(on().reply(Record::from([("id", 70)])), r#"{"id":70}"#, 0);
    is(Fault::on(Operation::Read), r#"{"id":1}"#, 1);
}

#[test]
fn a_failure_carries_its_pause_and_body() {
    let fault = Fault::any().fail(429).retry_after(Duration::from_secs(7)).saying("slow down");
    let server = MockServer::builder().fault(fault).build();
    let error = now(&server, read("{}")).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.body().and_then(Value::as_str), Some("slow down"));
    assert_eq!(error.operation(), "read");
}

#[test]
fn no_network_is_a_refused_connection() {
    let server = MockServer::builder().fault(Fault::any().fail(400)).no_network(true).build();
    let error = now(&server, create("{}")).unwrap_err();
    assert!(error.is_no_network() && !error.may_have_been_applied());
    server.set_no_network(false);
    check(&server, create("{}"), "Status(400)");
    check(&server, create("{}"), r#"{"id":1}"#);
}

#[test]
fn what_is_not_offered_is_refused() {
    let server = of(r#"{"ops":["read","update"]}"#);
    assert!(server.offers(Operation::Update) && !server.offers(Operation::Create));
    check(&server, create("{}"), "Unsupported");
    assert!(server.rows().is_empty());
}

#[test]
fn the_log_keeps_everything_in_order() {
    let server = of(r#"{"down":true}"#);
    let mut request = create(r#"{"n":1}"#);
    request.rows[0].record.set("when", landfall_core::Date::from_millis(0));
    request.key = Some("k1".into());
    now(&server, request).unwrap_err();
    server.set_down(false);
    now(&server, read(r#"{"page":1}"#)).unwrap();
    let seen: Vec<String> = server
        .requests()
        .iter()
        .map(|one| format!("{} {} {:?}", one.operation, one.data.to_json(), one.key.as_deref()))
        .collect();
    assert_eq!(seen, [r#"create {"n":1,"when":"1970-01-01T00:00:00.000Z"} Some("k1")"#, r#"read {"page":1} None"#,]);
    assert_eq!(server.take_requests().len(), 2);
    assert!(server.requests().is_empty());
}

#[test]
fn keys_are_remembered_when_asked() {
    let keyed = |key: &str, json: &str| Request { key: Some(key.into()), ..create(json) };
    let server = MockServer::builder()
        .idempotency(true)
        .fault(Fault::on(Operation::Create).lost())
        .fault(Fault::on(Operation::Create).nth(4).fail(500))
        .build();
    check(&server, keyed("a", r#"{"n":1}"#), "Transport maybe");
    check(&server, keyed("a", r#"{"n":1}"#), r#"{"n":1,"id":1}"#);
    check(&server, keyed("a", r#"{"n":2}"#), "Status(422)");
    check(&server, keyed("b", r#"{"n":2}"#), "Status(500)");
    check(&server, keyed("b", r#"{"n":2}"#), r#"{"n":2,"id":2}"#);
    assert_eq!(server.rows().len(), 2);
    let forgetful = MockServer::builder().build();
    check(&forgetful, keyed("a", "{}"), r#"{"id":1}"#);
    check(&forgetful, keyed("a", "{}"), r#"{"id":2}"#);
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn held_replies_wait_for_the_test() {
    let server = MockServer::builder().holding(true).build();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let mut futures: Vec<_> = (0..4).map(|_| server.send(create("{}"))).collect();
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    // They are carried out on arrival; only the replies wait.
    assert_eq!((server.rows().len(), server.held()), (4, 4));
    let mut done = |place: usize| match futures[place].as_mut().poll(&mut context) {
        Poll::Ready(answer) => word(answer),
        Poll::Pending => "pending".to_owned(),
    };
    assert!(server.release_next());
    assert_eq!((done(0).as_str(), done(1).as_str()), (r#"{"id":1}"#, "pending"));
    assert!(server.release_at(1));
    assert_eq!((done(1).as_str(), done(2).as_str()), ("pending", r#"{"id":3}"#));
    assert_eq!(count.0.load(Ordering::SeqCst), 2);
    drop(futures.pop());
    assert_eq!(server.held(), 1);
    assert_eq!(server.release_all(), 1);
    assert!(!server.release_next() && !server.release_at(0));
    server.set_holding(false);
    check(&server, read("{}"), r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#);
}

#[test]
fn latency_delays_the_answer_and_not_the_work() {
    let pause = Duration::from_millis(30);
    let server = MockServer::builder().fault(Fault::on(Operation::Create).slow(pause)).build();
    let start = Instant::now();
    let mut slow = server.send(create("{}"));
    assert!(slow.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(server.rows().len(), 1);
    assert_eq!(word(block_on(slow)), r#"{"id":1}"#);
    assert!(start.elapsed() >= pause);
    let server = MockServer::builder().latency(pause).build();
    let start = Instant::now();
    assert_eq!(word(block_on(server.send(read("{}")))), "[]");
    assert!(start.elapsed() >= pause);
}

#[test]
fn rows_change_behind_the_clients_back() {
    let server = of(r#"{"rows":[{"id":1,"n":"a"}],"counter":"rev"}"#);
    let other = server.clone();
    other.set_row(1, [("n", "b")]);
    other.set_row("9", [("n", "c")]);
    rows_are(&server, r#"[{"id":1,"n":"b"},{"id":"9","n":"c"}]"#);
    assert_eq!(server.remove_row(9).unwrap().to_json(), r#"{"id":"9","n":"c"}"#);
    assert_eq!((server.remove_row(9), server.row(9)), (None, None));
    check(&server, create("{}"), r#"{"id":2,"rev":1}"#);
}

#[test]
fn nonsense_is_refused() {
    for json in [
        "[]",
        r#"{"rwos":[]}"#,
        r#"{"rows":[1]}"#,
        r#"{"reply":{"read":"id"}}"#,
        r#"{"reply":{"create":"ids"}}"#,
        r#"{"ops":["reed"]}"#,
        r#"{"faults":[{"op":"read"}]}"#,
        r#"{"faults":[{"fail":500}]}"#,
        r#"{"faults":[{"op":"read","fail":70000}]}"#,
        r#"{"faults":[{"op":"read","fail":500,"times":-1}]}"#,
        r#"{"override":{"destroy":{}}}"#,
    ] {
        let error = MockServer::from_value(&Value::from_json(json).unwrap()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Config, "{json}");
    }
}

#[test]
fn the_builder_says_the_same_as_the_json() {
    let built = MockServer::builder()
        .id("K")
        .rows([record(r#"{"K":1,"g":"x"}"#)])
        .next_id(5)
        .id_prefix("P")
        .offers([Operation::Read, Operation::Create])
        .submit(true)
        .wrap(Wrap::data("D").total("T").groups("G"))
        .array_replies(true)
        .reply_members(record(r#"{"s":1}"#))
        .reply(ChangeKind::Create, ReplyStyle::Id)
        .override_create(record(r#"{"o":1}"#))
        .override_update(record(r#"{"o":2}"#))
        .counter("rev")
        .paging(true)
        .sorting(true)
        .grouping(true)
        .errors_field("E")
        .fault(Fault::on(Operation::Read).errors("e"))
        .build();
    let read_back =
        of(r#"{"id":"K","rows":[{"K":1,"g":"x"}],"nextId":5,"idPrefix":"P","ops":["read","create"],"submit":true,
            "wrap":{"data":"D","total":"T","groups":"G"},"arrayReplies":true,"static":{"s":1},
            "reply":{"create":"id"},"override":{"create":{"o":1},"update":{"o":2}},"counter":"rev","paging":true,
            "sorting":true,"grouping":true,"errorsField":"E","faults":[{"op":"read","errors":"e"}]}"#);
    let requests = || {
        [
            read("{}"),
            read(r#"{"group":[{"field":"g"}]}"#),
            create("{}"),
            update(r#"{"K":1}"#),
            read(r#"{"sort":{"field":"K","dir":"desc"},"take":1}"#),
        ]
    };
    for (a, b) in requests().into_iter().zip(requests()) {
        assert_eq!(word(now(&built, a)), word(now(&read_back, b)));
    }
    assert_eq!(built.rows(), read_back.rows());
    assert_eq!(built.row("P5").unwrap().to_json(), r#"{"K":"P5","o":1,"rev":1}"#);
}
