//! What a sync does with refusals, missing operations and automatic syncs (reference 5; DESIGN section 4).

use crate::help::{
    Log, calm, data, failures, held, ids, kept, keys, kind, model, online, record, rows, sent, serving, stored, three,
    view,
};
use landfall::{
    ChangeKind, DataSource, ErrorKind, EventKind, Field, Filter, Model, Record, Standing, Value,
    storage::MemoryStorage,
    transport::{Fault, MockServer, Operation},
};

#[tokio::test]
async fn c50_a_removal_of_what_is_gone_is_done() {
    for status in [404, 410] {
        let source = kept(&three().fault(Fault::on(Operation::Destroy).fail(status)).build(), MemoryStorage::new());
        source.read().await.unwrap();
        source.remove(source.at(0).unwrap()).unwrap();
        let log = Log::of(&source);
        assert!(source.sync().await.unwrap().is_success());
        assert_eq!(log.take(), "start:destroy progress end:destroy change:sync sync");
        assert!(!source.has_changes() && source.pending().is_empty());
    }
}

#[tokio::test]
async fn c50_an_update_of_what_is_gone_fails() {
    let server = three().build();
    let source = online(&server);
    source.read().await.unwrap();
    server.remove_row(1);
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    assert_eq!(failures(&source.sync().await.unwrap()), [ErrorKind::Status(404)]);
}

/// R5.12.
#[tokio::test]
async fn c30_a_missing_operation_is_told_before_anything_is_sent() {
    let server = three().offers([Operation::Read, Operation::Create, Operation::Update]).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
    server.take_requests();
    let error = source.sync().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
    assert!(error.context().any(|(name, value)| name == "operation" && value == "destroy"), "{error}");
    assert_eq!(server.requests().len(), 0);
    source.cancel_changes().unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    assert!(source.sync().await.unwrap().is_success(), "what is offered goes on working");
}

#[tokio::test]
async fn a_service_without_reads_is_a_config_error() {
    assert_eq!(kind(online(&three().offers([Operation::Create]).build()).read().await), ErrorKind::Config);
}

/// Follows every edit with a sync.
fn automatic(server: &MockServer, storage: MemoryStorage) -> DataSource {
    let builder = DataSource::builder().transport(server.clone()).model(model());
    builder.auto_sync(true).storage(storage, "rows").build().unwrap()
}

#[tokio::test]
async fn i14_what_is_refused_for_good_is_offered_again_only_by_an_explicit_sync() {
    for status in [400, 409, 422] {
        let server = three().fault(Fault::on(Operation::Update).fail(status)).build();
        let source = automatic(&server, MemoryStorage::new());
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        source.idle().await.unwrap();
        let pending = source.pending();
        assert_eq!(pending.len(), 1);
        assert_eq!(pending[0].standing, Standing::Quarantined);
        assert_eq!(pending[0].failure.as_ref().unwrap().status, Some(status));
        assert!(source.has_changes());
        sent(&server);
        source.set(source.at(1).unwrap(), "name", "B").unwrap();
        source.idle().await.unwrap();
        assert_eq!(sent(&server), [r#"update {"id":2,"name":"B"}"#], "it blocks only itself");
        assert!(source.sync().await.unwrap().is_success());
        assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
        assert!(!source.has_changes());
    }
}

#[tokio::test]
async fn i14_a_quarantined_change_survives_a_restart_and_going_online_offers_it() {
    let server = three().fault(Fault::on(Operation::Update).fail(422)).build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    drop(source);
    let source = automatic(&server, storage);
    source.restore().await.unwrap();
    assert_eq!(source.pending()[0].standing, Standing::Quarantined);
    sent(&server);
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    source.idle().await.unwrap();
    assert_eq!(sent(&server), [r#"update {"id":2,"name":"B"}"#]);
    source.online(false).await.unwrap();
    assert!(source.online(true).await.unwrap().is_success());
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
}

#[tokio::test]
async fn an_edit_of_a_quarantined_record_is_a_new_change() {
    let server = three().fault(Fault::on(Operation::Update).fail(422)).build();
    let source = automatic(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.idle().await.unwrap();
    let refused = keys(&server);
    source.set(source.at(0).unwrap(), "name", "AA").unwrap();
    source.idle().await.unwrap();
    assert_ne!(keys(&server), refused);
    assert!(source.pending().is_empty());
}

#[tokio::test]
async fn r5_48_c23_q36_auto_sync_shows_every_edit_at_once() {
    let server = three().fault(Fault::on(Operation::Create).fail(500)).build();
    let source = DataSource::builder().transport(server).model(model()).auto_sync(true).build().unwrap();
    source.read().await.unwrap();
    let log = Log::of(&source);
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    assert_eq!((view(&source).len(), source.total()), (4, 4));
    source.idle().await.unwrap();
    assert_eq!(log.take(), "start:create progress end error");
    assert_eq!((view(&source).len(), source.total()), (4, 4));
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.idle().await.unwrap();
    assert_eq!(
        log.take(),
        "start:create progress start:update progress end:create end:update change:sync sync",
        "what failed goes along with the next"
    );
}

#[tokio::test]
async fn c47_with_auto_sync_the_total_is_the_number_of_rows_that_pass_the_filter() {
    let source = automatic(&three().build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.filter(Filter::neq("name", "b")).await.unwrap();
    let counts = || (source.total(), view(&source).len());
    assert_eq!(counts(), (2, 2));
    let other = source.add(record(r#"{"name":"b"}"#)).unwrap();
    source.idle().await.unwrap();
    assert_eq!((counts(), source.len()), ((2, 2), 4));
    let seen = source.add(record(r#"{"name":"d"}"#)).unwrap();
    source.idle().await.unwrap();
    assert_eq!(counts(), (3, 3));
    source.remove(seen).unwrap();
    source.idle().await.unwrap();
    assert_eq!(counts(), (2, 2));
    source.remove(other).unwrap();
    source.idle().await.unwrap();
    assert_eq!(counts(), (2, 2));
    source.set(source.at(0).unwrap(), "name", "b").unwrap();
    source.idle().await.unwrap();
    assert_eq!(counts(), (1, 1));
    source.filter(None).await.unwrap();
    assert_eq!(source.total(), 3);
}

#[tokio::test]
async fn r5_50_c39_pushes_start_no_sync() {
    let server = three().build();
    let source = automatic(&server, MemoryStorage::new());
    source.read().await.unwrap();
    server.take_requests();
    source.push_update([record(r#"{"id":1,"name":"pushed"}"#)]).unwrap();
    source.push_create([record(r#"{"id":9,"name":"new"}"#)]).unwrap();
    source.push_destroy([record(r#"{"id":2}"#)]).unwrap();
    source.idle().await.unwrap();
    assert_eq!(server.requests().len(), 0);
    assert_eq!(ids(&source.data()), ["1", "3", "9"]);
}

#[tokio::test]
async fn r5_51_auto_sync_offline_stores_every_edit() {
    let source = automatic(&three().build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.idle().await.unwrap();
    assert!(stored(&source).await.contains(r#""name":"A","__state__":"update""#));
}

/// R4.15.
#[tokio::test]
async fn q28_a_record_that_is_removed_and_added_again_is_not_destroyed() {
    let server = three().build();
    let source = online(&server);
    source.read().await.unwrap();
    let first = source.at(0).unwrap();
    source.remove(&first).unwrap();
    source.add(first.record().clone()).unwrap();
    assert!(source.destroyed().is_empty() && source.created().is_empty());
    server.take_requests();
    source.sync().await.unwrap();
    assert!(sent(&server).is_empty());
    assert_eq!(rows(&server).len(), 3);
}

#[tokio::test]
async fn r4_13_created_and_removed_leaves_no_trace() {
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    let uid = source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.sync().await.unwrap();
    source.remove(uid).unwrap();
    source.sync().await.unwrap();
    assert!(!stored(&source).await.contains("__state__"));
    server.take_requests();
    source.online(true).await.unwrap();
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn r5_53_c49_rows_given_inline() {
    let given = [record(r#"{"id":1,"name":"a"}"#), record(r#"{"id":2,"name":"b"}"#)];
    let source = DataSource::builder().data(given).model(model()).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#, r#"{"name":"n","id":""}"#]);
    assert_eq!(source.created().len(), 1);
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#, r#"{"id":2,"name":"b"}"#]);
}

/// R0.14: objects are merged.
#[tokio::test]
async fn r4_38_c49_rows_given_inline_follow_pushed_updates() {
    let model = Model::new().id("key").field(Field::new("key").from("Key")).field(Field::new("name").from("Name"));
    let given = [record(r#"{"Key":1,"Name":"a","o":{"x":1,"y":2}}"#), record(r#"{"Key":2,"Name":"b"}"#)];
    let source = DataSource::builder().data(given).model(model).strict_fields(false).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(1).unwrap(), "name", "mine").unwrap();
    let pushed = [
        record(r#"{"key":"1","name":"A","o":{"y":3}}"#),
        record(r#"{"key":2,"name":"theirs","more":true}"#),
        record(r#"{"key":9,"name":"new"}"#),
    ];
    source.push_update(pushed).unwrap();
    assert_eq!(source.at(1).unwrap().get("name"), Some(&Value::from("mine")), "C21: the edit stays on top");
    source.read().await.unwrap();
    let rows: Vec<Record> = source.data().iter().map(|row| row.record().clone()).collect();
    let member = |row: usize, name: &str| rows[row].get(name).map(Value::to_json);
    assert_eq!(rows.len(), 2, "what was new is not remembered, as with creates");
    assert_eq!((member(0, "name"), member(0, "o")), (Some(r#""A""#.into()), Some(r#"{"x":1,"y":3}"#.into())));
    assert_eq!((member(1, "name"), member(1, "more")), (Some(r#""theirs""#.into()), Some("true".into())));
}

#[tokio::test]
async fn g3_outcomes_are_told_change_by_change_in_the_order_they_were_sent() {
    let source = online(&three().fault(Fault::on(Operation::Update).fail(400)).build());
    source.read().await.unwrap();
    let new = source.add(record(r#"{"name":"n"}"#)).unwrap();
    let (first, second) = (source.at(0).unwrap(), source.at(1).unwrap());
    source.set(&first, "name", "A").unwrap();
    source.remove(&second).unwrap();
    let report = source.sync().await.unwrap();
    let outcomes: Vec<_> = report.outcomes.iter().map(|one| (one.uid, one.kind, one.result.is_ok())).collect();
    let expected = [
        (new, ChangeKind::Create, true),
        (first.uid(), ChangeKind::Update, false),
        (second.uid(), ChangeKind::Destroy, true),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(report.outcomes[0].record.to_json(), r#"{"name":"n","id":4}"#);
    assert_eq!(ids(&source.updated()), ["1"]);
}

/// R6.1, R6.21.
#[tokio::test]
async fn r3_18_r6_6_renamed_fields_are_the_servers_on_the_wire_and_in_the_store() {
    let server = serving(r#"[{"ID":1,"Name":"a"}]"#).id("ID").build();
    let model =
        Model::new().id("id").field(Field::new("id").number().from("ID")).field(Field::new("name").from("Name"));
    let builder = DataSource::builder().transport(server.clone()).model(model);
    let source: DataSource = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"a"}"#]);
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.online(false).await.unwrap();
    source.sync().await.unwrap();
    assert_eq!(stored(&source).await, r#"[{"ID":1,"Name":"A","__state__":"update"}]"#);
    source.read().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#]);
    source.online(true).await.unwrap();
    assert_eq!(sent(&server), [r#"update {"ID":1,"Name":"A"}"#]);
}

#[tokio::test]
async fn a_sync_can_be_cancelled_between_requests_and_says_how_far_it_has_got() {
    let server = serving("[]").holding(true).build();
    let storage = MemoryStorage::new();
    let source = DataSource::builder().transport(server.clone()).model(model()).max_in_flight(2);
    let source = source.storage(storage.clone(), "rows").build().unwrap();
    let told = Log::default();
    let log = told.clone();
    source.on(EventKind::Outcome, move |event| {
        let progress = event.progress.unwrap();
        log.add(format!("{}/{}", progress.done, progress.total));
    });
    assert!(!source.cancel_sync() && source.sync_progress().is_none());
    source.online(false).await.unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        source.add(record(&format!(r#"{{"name":"{name}"}}"#))).unwrap();
    }
    source.sync().await.unwrap();
    let going = source.online(true);
    held(&server, 2).await;
    server.release_next();
    held(&server, 2).await;
    let progress = source.sync_progress().unwrap();
    assert_eq!((progress.done, progress.total), (1, 5));
    assert!(source.cancel_sync());
    calm().await;
    assert_eq!(server.held(), 2, "nothing more is sent");
    server.set_holding(false);
    server.release_all();
    let report = going.await.unwrap();
    // Three were sent and are done; two were not, and are as they were.
    assert_eq!((report.done(), failures(&report)), (3, vec![ErrorKind::Cancelled, ErrorKind::Cancelled]));
    assert_eq!(rows(&server).len(), 3);
    assert!(source.pending().iter().all(|pending| pending.standing == Standing::Queued && pending.attempts == 0));
    assert_eq!(source.pending().len(), 2);
    assert_eq!(told.take().split(' ').next_back(), Some("5/5"));
    assert!(source.sync_progress().is_none() && !source.cancel_sync());
    let keys: Vec<_> = source.pending().iter().map(|pending| pending.key.clone()).collect();
    sent(&server);
    assert!(source.sync().await.unwrap().is_success());
    let again: Vec<_> = server.take_requests().into_iter().filter_map(|request| request.key).collect();
    assert_eq!(again, keys, "the next sync goes on, with the same keys");
    assert_eq!(rows(&server).len(), 5);
}

#[tokio::test]
async fn what_waits_behind_a_doubt_is_not_sent_by_a_cancelled_sync() {
    let server = three().fault(Fault::on(Operation::Update).lost()).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "AA").unwrap();
    server.set_holding(true);
    let going = source.sync();
    held(&server, 1).await;
    source.cancel_sync();
    server.set_holding(false);
    server.release_all();
    let report = going.await.unwrap();
    assert_eq!((report.done(), failures(&report)), (1, vec![ErrorKind::Cancelled]));
    assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
    assert_eq!(source.pending().len(), 1);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(rows(&server)[0], r#"{"id":1,"name":"AA"}"#);
}
