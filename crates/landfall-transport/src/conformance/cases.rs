//! The cases. Each is named after what it shows.

use super::{Behaviour, Case, Stage, both, poll_once};
use crate::{ErrorKind, Operation, OutgoingRow, Reply, Request, Result, Transport};
use landfall_core::{ChangeKind, Record, Value};
use std::{sync::Arc, time::Duration};

/// Every case by its name, in the order of the macro's list.
pub(super) const CASES: &[(&str, Case)] = &[
    ("a_read_gives_the_rows", a_read_gives_the_rows),
    ("a_write_gives_its_answer", a_write_gives_its_answer),
    ("a_success_without_a_body_is_empty", a_success_without_a_body_is_empty),
    ("a_refusing_status_was_not_applied", a_refusing_status_was_not_applied),
    ("a_gateway_status_leaves_a_doubt", a_gateway_status_leaves_a_doubt),
    ("what_the_server_said_is_kept", what_the_server_said_is_kept),
    ("a_requested_pause_is_kept", a_requested_pause_is_kept),
    ("a_cut_connection_leaves_a_doubt", a_cut_connection_leaves_a_doubt),
    ("a_cut_body_leaves_a_doubt", a_cut_body_leaves_a_doubt),
    ("a_refused_connection_was_not_applied", a_refused_connection_was_not_applied),
    ("silence_times_out_and_leaves_a_doubt", silence_times_out_and_leaves_a_doubt),
    ("a_web_page_is_no_answer", a_web_page_is_no_answer),
    ("broken_json_leaves_a_write_in_doubt", broken_json_leaves_a_write_in_doubt),
    ("a_failed_read_leaves_no_doubt", a_failed_read_leaves_no_doubt),
    ("nothing_is_sent_twice", nothing_is_sent_twice),
    ("calls_overlap", calls_overlap),
    ("a_dropped_call_harms_no_other", a_dropped_call_harms_no_other),
    ("what_is_not_offered_is_not_sent", what_is_not_offered_is_not_sent),
    ("an_error_names_its_operation", an_error_names_its_operation),
];

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

fn read() -> Request {
    Request::read(Record::new())
}

fn write(kind: ChangeKind) -> Request {
    let id = (kind != ChangeKind::Create).then(|| Value::from(1));
    let mut record = Record::from([("name", "Chai")]);
    if let Some(id) = &id {
        record.set("id", id.clone());
    }
    let row = OutgoingRow { kind, record: record.clone(), id, changed: vec!["name".into()], base: Some(record) };
    Request {
        operation: kind.into(),
        rows: vec![row],
        key: Some("key-1".into()),
        id_field: Some("id".into()),
        ..Request::read(Record::new())
    }
}

const WRITES: [ChangeKind; 3] = [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy];

/// Arms the stage; says so when it cannot.
fn armed(stage: &dyn Stage, behaviour: Behaviour) -> bool {
    let text = format!("{behaviour:?}");
    let can = stage.arm(behaviour);
    if !can {
        println!("this stage cannot play {text}");
    }
    can
}

/// Sends one request and hands its outcome to a check.
fn sending(stage: &dyn Stage, request: Request, check: impl FnOnce(Result<Reply>) + Send) {
    let transport = stage.transport();
    stage.run(Box::pin(async move { check(transport.send(request).await) }));
}

fn rows(reply: Result<Reply>) -> Value {
    reply.expect("a success").body.decode().expect("a readable body").expect("a body")
}

fn a_read_gives_the_rows(stage: &dyn Stage) {
    let answer = json(r#"[{"id":1,"name":"Chai","big":9007199254740993},{"id":2,"name":"Чай"}]"#);
    if armed(stage, Behaviour::answer(200, answer.clone())) {
        sending(stage, read(), |reply| assert_eq!(rows(reply).to_json(), answer.to_json()));
        assert_eq!(stage.seen(), 1);
    }
}

fn a_write_gives_its_answer(stage: &dyn Stage) {
    for kind in [ChangeKind::Create, ChangeKind::Update] {
        let answer = json(r#"{"id":7,"name":"Chai","stored":true}"#);
        if armed(stage, Behaviour::answer(200, answer.clone())) {
            sending(stage, write(kind), |reply| assert_eq!(rows(reply), answer));
        }
    }
}

fn a_success_without_a_body_is_empty(stage: &dyn Stage) {
    for kind in WRITES {
        if armed(stage, Behaviour::Answer(204, Vec::new(), None)) {
            sending(stage, write(kind), |reply| assert!(reply.expect("a success").body.is_absent()));
        }
    }
}

fn a_refusing_status_was_not_applied(stage: &dyn Stage) {
    for status in [400, 401, 403, 404, 409, 410, 412, 422, 429, 500, 503] {
        if !armed(stage, Behaviour::answer(status, json("{}"))) {
            return;
        }
        sending(stage, write(ChangeKind::Update), |reply| {
            let error = reply.expect_err("a failure");
            assert_eq!(error.status(), Some(status), "{error}");
            assert!(!error.may_have_been_applied(), "{error}");
        });
    }
}

fn a_gateway_status_leaves_a_doubt(stage: &dyn Stage) {
    for status in [502, 504] {
        if !armed(stage, Behaviour::answer(status, json("{}"))) {
            return;
        }
        sending(stage, write(ChangeKind::Create), |reply| {
            let error = reply.expect_err("a failure");
            assert_eq!(error.status(), Some(status), "{error}");
            assert!(error.may_have_been_applied(), "{error}");
        });
    }
}

fn what_the_server_said_is_kept(stage: &dyn Stage) {
    let said = json(r#"{"errors":{"name":["taken"]}}"#);
    if armed(stage, Behaviour::answer(409, said.clone())) {
        sending(stage, write(ChangeKind::Create), |reply| {
            assert_eq!(reply.expect_err("a failure").body(), Some(&said));
        });
    }
}

fn a_requested_pause_is_kept(stage: &dyn Stage) {
    let pause = vec![("Retry-After".to_owned(), "7".to_owned())];
    for status in [429, 503] {
        if armed(stage, Behaviour::Answer(status, pause.clone(), Some(json("{}")))) {
            sending(stage, write(ChangeKind::Update), |reply| {
                assert_eq!(reply.expect_err("a failure").retry_after(), Some(Duration::from_secs(7)));
            });
        }
    }
}

/// A failure of this kind that leaves each kind of write in doubt.
fn doubtful(stage: &dyn Stage, behaviour: &Behaviour, kinds: &[ErrorKind]) {
    for kind in WRITES {
        if !armed(stage, behaviour.clone()) {
            return;
        }
        sending(stage, write(kind), |reply| {
            let error = reply.expect_err("a failure");
            assert!(kinds.contains(error.kind()), "{error:?}");
            assert!(error.may_have_been_applied(), "{error:?}");
        });
    }
}

fn a_cut_connection_leaves_a_doubt(stage: &dyn Stage) {
    doubtful(stage, &Behaviour::CutBeforeAnswer, &[ErrorKind::Transport]);
}

fn a_cut_body_leaves_a_doubt(stage: &dyn Stage) {
    doubtful(stage, &Behaviour::CutInBody, &[ErrorKind::Transport, ErrorKind::Undecodable]);
}

fn a_refused_connection_was_not_applied(stage: &dyn Stage) {
    if armed(stage, Behaviour::Gone) {
        for kind in WRITES {
            sending(stage, write(kind), |reply| {
                let error = reply.expect_err("a failure");
                assert_eq!(*error.kind(), ErrorKind::Transport, "{error:?}");
                assert!(!error.may_have_been_applied(), "{error:?}");
                assert!(error.is_no_network() && error.is_retryable(), "{error:?}");
            });
        }
    }
}

fn silence_times_out_and_leaves_a_doubt(stage: &dyn Stage) {
    doubtful(stage, &Behaviour::Silence, &[ErrorKind::TimedOut]);
}

fn a_web_page_is_no_answer(stage: &dyn Stage) {
    if armed(stage, Behaviour::WebPage) {
        sending(stage, read(), |reply| {
            assert_eq!(*reply.expect_err("a failure").kind(), ErrorKind::Undecodable);
        });
    }
    doubtful(stage, &Behaviour::WebPage, &[ErrorKind::Undecodable]);
}

fn broken_json_leaves_a_write_in_doubt(stage: &dyn Stage) {
    doubtful(stage, &Behaviour::BrokenData, &[ErrorKind::Undecodable]);
}

fn a_failed_read_leaves_no_doubt(stage: &dyn Stage) {
    for behaviour in [Behaviour::CutBeforeAnswer, Behaviour::answer(504, json("{}")), Behaviour::WebPage] {
        if armed(stage, behaviour) {
            sending(stage, read(), |reply| assert!(!reply.expect_err("a failure").may_have_been_applied()));
        }
    }
}

fn nothing_is_sent_twice(stage: &dyn Stage) {
    let failures = [
        Behaviour::answer(500, json("{}")),
        Behaviour::answer(503, json("{}")),
        Behaviour::answer(429, json("{}")),
        Behaviour::CutBeforeAnswer,
        Behaviour::CutInBody,
    ];
    for behaviour in failures {
        let before = stage.seen();
        if armed(stage, behaviour.clone()) {
            sending(stage, write(ChangeKind::Create), |reply| drop(reply.expect_err("a failure")));
            assert_eq!(stage.seen() - before, 1, "{behaviour:?}");
        }
    }
}

fn calls_overlap(stage: &dyn Stage) {
    if !armed(stage, Behaviour::Held(json(r#"[{"id":1}]"#))) || !armed(stage, Behaviour::Held(json(r#"[{"id":1}]"#))) {
        return;
    }
    let transport = stage.transport();
    stage.run(Box::pin(async move {
        let one = transport.send(read());
        let other = async {
            let mut other = transport.send(read());
            loop {
                assert!(poll_once(&mut other).await.is_none(), "no answer before both requests were sent");
                if stage.seen() == 2 {
                    break;
                }
                yield_briefly().await;
            }
            stage.release();
            other.await
        };
        let (one, other) = both(one, other).await;
        assert_eq!(rows(one), rows(other));
    }));
}

/// Lets everything else go on for a moment.
async fn yield_briefly() {
    std::thread::sleep(Duration::from_millis(1));
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

fn a_dropped_call_harms_no_other(stage: &dyn Stage) {
    if !armed(stage, Behaviour::Held(json("[]"))) || !armed(stage, Behaviour::answer(200, json(r#"{"id":9}"#))) {
        return;
    }
    let transport = stage.transport();
    stage.run(Box::pin(async move {
        let mut dropped = transport.send(write(ChangeKind::Create));
        while stage.seen() == 0 {
            assert!(poll_once(&mut dropped).await.is_none());
            yield_briefly().await;
        }
        drop(dropped);
        stage.release();
        assert_eq!(rows(transport.send(write(ChangeKind::Create)).await).to_json(), r#"{"id":9}"#);
        assert_eq!(stage.seen(), 2);
    }));
}

fn what_is_not_offered_is_not_sent(stage: &dyn Stage) {
    let transport = stage.transport();
    for operation in [Operation::Read, Operation::Create, Operation::Update, Operation::Destroy] {
        assert!(transport.offers(operation), "{operation}");
    }
    let Some(transport): Option<Arc<dyn Transport>> = stage.read_only_transport() else {
        println!("this stage has no transport that offers reads alone");
        return;
    };
    assert!(transport.offers(Operation::Read));
    for kind in WRITES {
        assert!(!transport.offers(kind.into()), "{kind}");
        let transport = Arc::clone(&transport);
        stage.run(Box::pin(async move {
            let error = transport.send(write(kind)).await.expect_err("a failure");
            assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Config), "{error:?}");
            assert!(!error.may_have_been_applied());
        }));
    }
    assert_eq!(stage.seen(), 0);
}

fn an_error_names_its_operation(stage: &dyn Stage) {
    if armed(stage, Behaviour::answer(500, json("{}"))) {
        sending(stage, write(ChangeKind::Destroy), |reply| {
            let error = reply.expect_err("a failure");
            assert_eq!(error.operation(), "destroy");
            assert_eq!(error.to_string().lines().count(), 1);
        });
    }
}
