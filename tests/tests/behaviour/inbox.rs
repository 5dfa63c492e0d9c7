//! The inbox: what was refused and what is in conflict, and what can be decided about it (I14; DESIGN section 9).

use crate::help::{Log, data, held, ids, kept, kind, model, record, rows, sent, serving, stored, three, value};
use landfall::{
    ChangeKind, DataSource, ErrorKind, Standing, Theirs, Verdict,
    storage::MemoryStorage,
    transport::{Fault, MockServer, Operation},
};

const ROWS: &str = r#"[{"id":1,"name":"a"},{"id":2,"name":"b"},{"id":3,"name":"c"}]"#;

/// Three rows read, and one change of the first that the service refused.
async fn refused(operation: Operation, status: u16) -> (MockServer, MemoryStorage, DataSource) {
    let server = three().fault(Fault::on(operation).fail(status).saying(value(r#"{"why":"because"}"#))).build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    match operation {
        Operation::Create => drop(source.add(record(r#"{"name":"n"}"#)).unwrap()),
        Operation::Update => source.set(source.at(0).unwrap(), "name", "A").unwrap(),
        _ => source.remove(source.at(0).unwrap()).unwrap(),
    }
    assert_eq!(source.sync().await.unwrap().failures().count(), 1);
    sent(&server);
    (server, storage, source)
}

/// The same data source after a restart.
async fn again(server: &MockServer, storage: &MemoryStorage) -> DataSource {
    let source = kept(server, storage.clone());
    source.restore().await.unwrap();
    source
}

#[tokio::test]
async fn i14_the_inbox_tells_what_happened_also_after_a_restart() {
    let (server, storage, source) = refused(Operation::Update, 422).await;
    for source in [source, again(&server, &storage).await] {
        let inbox = source.inbox();
        assert_eq!(inbox.len(), 1);
        let change = &inbox[0];
        assert_eq!((change.kind, change.standing, change.attempts), (ChangeKind::Update, Standing::Quarantined, 1));
        assert_eq!(change.record.to_json(), r#"{"id":1,"name":"A"}"#);
        assert_eq!(change.base.as_ref().unwrap().to_json(), r#"{"id":1,"name":"a"}"#);
        let failure = change.failure.as_ref().unwrap();
        assert_eq!((failure.status, failure.verdict), (Some(422), Verdict::Quarantine));
        assert_eq!(failure.body, Some(value(r#"{"why":"because"}"#)));
        assert!(failure.at.unwrap().millis() > 1_600_000_000_000);
        let text = change.explain();
        for part in ["update, quarantined, sent once, last at 20", "quarantine (status 422)", "because"] {
            assert!(text.contains(part), "{text}");
        }
        let exported = source.export_inbox().to_json();
        for part in
            [r#""kind":"update""#, r#""status":422"#, r#""said":{"why":"because"}"#, r#""verdict":"quarantine""#]
        {
            assert!(exported.contains(part), "{exported}");
        }
        landfall::Value::from_json(&exported).unwrap();
    }
}

#[tokio::test]
async fn i14_what_was_refused_is_decided_after_a_restart() {
    for (decision, here, there) in [("retry", "A", "A"), ("edit", "better", "better"), ("discard", "a", "a")] {
        let (server, storage, source) = refused(Operation::Update, 422).await;
        let key = source.inbox()[0].key.clone();
        drop(source);
        let source = again(&server, &storage).await;
        let uid = source.inbox()[0].uid;
        match decision {
            "retry" => assert_eq!(source.retry(uid).await.unwrap().done(), 1),
            "edit" => {
                let edited = source.edit_and_retry(uid, |record| drop(record.set("name", "better")));
                assert_eq!(edited.await.unwrap().done(), 1);
            }
            _ => source.discard(uid).await.unwrap(),
        }
        let sent: Vec<_> = server.take_requests().into_iter().filter_map(|request| request.key).collect();
        assert_eq!(sent.len(), usize::from(decision != "discard"));
        assert!(
            sent.iter().all(|other| (*other == key) == (decision == "retry")),
            "{decision}: another body, another key"
        );
        drop(source);
        let source = again(&server, &storage).await;
        assert!(source.inbox().is_empty() && source.pending().is_empty(), "{decision}");
        assert_eq!(data(&source)[0], format!(r#"{{"id":1,"name":"{here}"}}"#), "{decision}");
        assert_eq!(rows(&server)[0], format!(r#"{{"id":1,"name":"{there}"}}"#), "{decision}");
    }
}

#[tokio::test]
async fn i14_what_a_server_says_at_length_is_kept_in_part() {
    let long = landfall::Value::from("x".repeat(100_000));
    let server = three().fault(Fault::on(Operation::Update).fail(400).saying(long)).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    let body = source.inbox()[0].failure.clone().unwrap().body.unwrap();
    assert_eq!(body.as_str().unwrap().len(), 4096);
    assert!(source.storage_usage().await.unwrap() < 8192);
}

#[tokio::test]
async fn i14_retry_sends_that_change_only_and_accepts_no_other_draft() {
    let server = three().fault(Fault::on(Operation::Update).times(2).fail(422)).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    source.sync().await.unwrap();
    source.set(source.at(2).unwrap(), "name", "draft").unwrap();
    sent(&server);
    let inbox = source.inbox();
    assert_eq!(source.retry(inbox[1].uid).await.unwrap().done(), 1);
    assert_eq!(sent(&server), [r#"update {"id":2,"name":"B"}"#]);
    assert_eq!(ids(&source.updated()), ["1", "3"]);
    assert_eq!(source.inbox().len(), 1);
    assert!(!stored(&source).await.contains("draft"));
}

#[tokio::test]
async fn i14_edit_and_retry_sends_the_edited_values_under_another_key() {
    for parked in [false, true] {
        let (server, _, source) = refused(Operation::Update, 422).await;
        let change = source.inbox().remove(0);
        if parked {
            server.remove_row(1);
            source.read().await.unwrap();
            assert_eq!(source.len(), 2);
            server.set_row(1, record(r#"{"name":"back"}"#));
        }
        let report = source.edit_and_retry(change.uid, |record| drop(record.set("name", "better"))).await.unwrap();
        assert_eq!(report.done(), 1);
        let requests = server.requests();
        let last = requests.last().unwrap();
        assert_eq!(last.data.to_json(), r#"{"id":1,"name":"better"}"#);
        assert_ne!(last.key.as_ref().unwrap().as_str(), change.key.as_str());
        assert!(source.inbox().is_empty() && !source.has_changes());
        assert_eq!(server.row(1).unwrap().to_json(), r#"{"id":1,"name":"better"}"#);
    }
}

#[tokio::test]
async fn i14_discard_goes_back_to_what_the_server_said_and_is_stored() {
    for (operation, shown, pending) in [
        (Operation::Update, 3, r#"{"id":1,"name":"A"}"#),
        (Operation::Create, 4, r#"{"name":"n"}"#),
        (Operation::Destroy, 2, r#"{"id":1,"name":"a"}"#),
    ] {
        let (server, storage, source) = refused(operation, 422).await;
        assert_eq!((source.len(), source.total()), (shown, shown));
        let change = source.inbox().remove(0);
        assert!(change.record.to_json().contains(&pending[1..pending.len() - 1]), "{:?}", change.record);
        if operation == Operation::Update {
            source.set(change.uid, "name", "a draft on top").unwrap();
        }
        let log = Log::of(&source);
        source.discard(change.uid).await.unwrap();
        assert_eq!(log.take(), "change");
        for source in [source, again(&server, &storage).await] {
            assert_eq!(data(&source).join(","), ROWS[1..ROWS.len() - 1]);
            assert_eq!(source.total(), 3);
            assert!(source.inbox().is_empty() && !source.has_changes() && source.destroyed().is_empty());
            assert_eq!(stored(&source).await, ROWS);
            assert!(source.sync().await.unwrap().outcomes.is_empty());
        }
        assert_eq!(sent(&server), [""; 0]);
    }
}

#[tokio::test]
async fn i14_discard_of_a_row_that_is_gone_leaves_nothing() {
    let (server, _, source) = refused(Operation::Update, 422).await;
    server.remove_row(1);
    source.read().await.unwrap();
    let change = source.inbox().remove(0);
    assert_eq!(change.failure.as_ref().unwrap().theirs, Theirs::Gone);
    source.discard(change.uid).await.unwrap();
    assert!(!source.has_changes() && source.pending().is_empty());
    assert_eq!(stored(&source).await, r#"[{"id":2,"name":"b"},{"id":3,"name":"c"}]"#);
}

#[tokio::test]
async fn i14_what_cannot_be_decided_is_an_error_and_changes_nothing() {
    let (server, _, source) = refused(Operation::Update, 422).await;
    let change = source.inbox().remove(0);
    let other = source.at(1).unwrap();
    assert_eq!(kind(source.retry(&other).await), ErrorKind::NotFound);
    assert_eq!(kind(source.discard(&other).await), ErrorKind::NotFound);
    assert_eq!(kind(source.keep_mine(change.uid).await), ErrorKind::Invalid);
    assert_eq!(kind(source.take_theirs(change.uid).await), ErrorKind::Invalid);
    assert_eq!(kind(source.confirm(change.uid, None).await), ErrorKind::Invalid);
    server.set_holding(true);
    let sync = source.sync();
    held(&server, 1).await;
    assert_eq!(kind(source.discard(change.uid).await), ErrorKind::Invalid);
    server.set_holding(false);
    assert!(sync.await.unwrap().is_success());

    let (_, _, source) = refused(Operation::Destroy, 422).await;
    let change = source.inbox().remove(0);
    assert_eq!(kind(source.edit_and_retry(change.uid, |_| ()).await), ErrorKind::Invalid);
}

#[tokio::test]
async fn i14_a_decision_while_an_acceptance_is_being_stored_waits_for_it() {
    let (server, _, source) = refused(Operation::Update, 422).await;
    let change = source.inbox().remove(0);
    source.online(false).await.unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    let sync = source.sync();
    let discarded = source.discard(change.uid);
    sync.await.unwrap();
    discarded.await.unwrap();
    assert_eq!(ids(&source.updated()), ["2"]);
    source.online(true).await.unwrap();
    assert_eq!(sent(&server), [r#"update {"id":2,"name":"B"}"#]);
}

/// A conflict: the service has another name and another colour by now, and says so.
async fn conflict(operation: Operation, status: u16, body: &str) -> (MockServer, DataSource, landfall::Pending) {
    let server = serving(r#"[{"id":1,"name":"a","colour":"red"}]"#);
    let server = server.fault(Fault::on(operation).fail(status).saying(value(body))).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    server.set_row(1, record(r#"{"name":"theirs","colour":"blue"}"#));
    match operation {
        Operation::Update => source.set(source.at(0).unwrap(), "name", "mine").unwrap(),
        _ => source.remove(source.at(0).unwrap()).unwrap(),
    }
    source.sync().await.unwrap();
    sent(&server);
    let change = source.inbox().remove(0);
    assert_eq!(change.failure.as_ref().unwrap().verdict, Verdict::Conflict);
    (server, source, change)
}

const THEIRS: &str = r#"{"id":1,"name":"theirs","colour":"blue"}"#;

#[tokio::test]
async fn i12_a_conflict_shows_base_mine_and_theirs_and_mine_goes_on_top() {
    for status in [409, 412] {
        let (server, source, change) = conflict(Operation::Update, status, THEIRS).await;
        assert_eq!(change.base.as_ref().unwrap().to_json(), r#"{"id":1,"name":"a","colour":"red"}"#);
        assert_eq!(change.record.to_json(), r#"{"id":1,"name":"mine","colour":"red"}"#);
        assert_eq!(change.failure.as_ref().unwrap().theirs.record().unwrap().to_json(), THEIRS);
        assert_eq!(source.keep_mine(change.uid).await.unwrap().done(), 1);
        let both = r#"{"id":1,"name":"mine","colour":"blue"}"#;
        assert_eq!(sent(&server), [format!("update {both}")]);
        assert_eq!((rows(&server), data(&source)), (vec![both.to_owned()], vec![both.to_owned()]));
        assert!(!source.has_changes());
    }
}

#[tokio::test]
async fn i12_a_conflict_can_be_given_up_for_theirs() {
    for operation in [Operation::Update, Operation::Destroy] {
        let (server, source, change) = conflict(operation, 409, THEIRS).await;
        source.take_theirs(change.uid).await.unwrap();
        assert_eq!(data(&source), [THEIRS]);
        assert_eq!(stored(&source).await, format!("[{THEIRS}]"));
        assert!(!source.has_changes() && source.inbox().is_empty());
        assert_eq!(sent(&server), [""; 0]);
    }
}

#[tokio::test]
async fn i12_a_removal_in_conflict_can_be_insisted_on() {
    let (server, source, change) = conflict(Operation::Destroy, 412, THEIRS).await;
    assert_eq!(source.keep_mine(change.uid).await.unwrap().done(), 1);
    assert!(rows(&server).is_empty() && source.is_empty() && !source.has_changes());
}

#[tokio::test]
async fn i12_a_conflict_with_a_record_that_is_gone() {
    let (server, source, change) = conflict(Operation::Update, 410, "null").await;
    assert_eq!(change.failure.as_ref().unwrap().theirs, Theirs::Gone);
    server.remove_row(1);
    assert_eq!(source.keep_mine(change.uid).await.unwrap().done(), 1);
    assert_eq!(sent(&server), [r#"create {"id":1,"name":"mine","colour":"red"}"#]);
    assert_eq!(source.len(), 1);

    let (server, source, change) = conflict(Operation::Update, 410, "null").await;
    source.take_theirs(change.uid).await.unwrap();
    assert!(source.is_empty() && !source.has_changes());
    assert_eq!(source.total(), 0);
    assert_eq!(stored(&source).await, "[]");
    assert_eq!(sent(&server), [""; 0]);
}

#[tokio::test]
async fn i12_what_a_service_says_of_another_record_is_not_theirs() {
    for body in [r#"{"message":"edited meanwhile"}"#, r#"{"id":2,"name":"other"}"#, "null", r#""conflict""#] {
        let (_, source, change) = conflict(Operation::Update, 409, body).await;
        assert_eq!(change.failure.as_ref().unwrap().theirs, Theirs::Unknown);
        assert_eq!(kind(source.take_theirs(change.uid).await), ErrorKind::Invalid);
        assert_eq!(source.keep_mine(change.uid).await.unwrap().done(), 1, "sent again as it was");
    }
}

#[tokio::test]
async fn i12_theirs_survives_a_restart_and_is_read_by_the_schema() {
    let server = serving(r#"[{"id":1,"name":"a"}]"#);
    let body = r#"{"Data":[{"id":1,"name":"theirs"}]}"#;
    let server = server.wrap(landfall::transport::Wrap::data("Data"));
    let server = server.fault(Fault::on(Operation::Update).fail(409).saying(value(body))).build();
    let storage = MemoryStorage::new();
    let build = || {
        let schema = landfall::Schema::new().data("Data").with_model(model());
        let builder = DataSource::builder().transport(server.clone()).schema(schema);
        builder.storage(storage.clone(), "rows").build().unwrap()
    };
    let source: DataSource = build();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "mine").unwrap();
    source.sync().await.unwrap();
    drop(source);
    let source = build();
    source.restore().await.unwrap();
    let change = source.inbox().remove(0);
    source.take_theirs(change.uid).await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"theirs"}"#]);
}
