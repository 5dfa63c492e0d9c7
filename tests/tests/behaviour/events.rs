//! Events: order and payload (reference 5.3, 5.5, 9.2, 9.4).

use crate::help::{Log, calm, data, failures, held, ids, kept, online, record, three, value};
use landfall::{
    Action, DataSource, ErrorKind, Event, EventKind, Field, Filter, Item, Model, Record, Schema, Sort, Value,
    storage::MemoryStorage,
    transport::{Fault, Operation},
};
use std::sync::{Arc, Mutex};

async fn three_changes(source: &DataSource) {
    source.read().await.unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
}

#[tokio::test]
async fn r5_11_r5_14_r5_15_creates_then_updates_then_destroys_then_their_ends_then_one_change() {
    let source = online(&three().build());
    three_changes(&source).await;
    let log = Log::of(&source);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(
        log.take(),
        "start:create progress start:update progress start:destroy progress \
         end:create end:update end:destroy change:sync sync"
    );
}

#[tokio::test]
async fn r5_15_r5_16_ends_come_in_the_order_of_the_starts_whatever_the_order_of_the_answers() {
    let server = three().build();
    let source = online(&server);
    three_changes(&source).await;
    server.set_holding(true);
    let log = Log::of(&source);
    let sync = source.sync();
    held(&server, 3).await;
    for _ in 0..3 {
        server.release_at(server.held() - 1);
        calm().await;
    }
    sync.await.unwrap();
    assert!(log.take().ends_with("progress end:create end:update end:destroy change:sync sync"));
}

#[tokio::test]
async fn r5_33_v3_a_failure_that_is_ready_is_told_before_the_next_request_starts() {
    let source = online(&three().fault(Fault::on(Operation::Update).times(2).fail(400)).build());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    let log = Log::of(&source);
    let report = source.sync().await.unwrap();
    assert_eq!(failures(&report), [ErrorKind::Status(400), ErrorKind::Status(400)]);
    assert_eq!(log.take(), "start:update progress end error start:update progress end error");
}

/// R5.14, R5.34.
#[tokio::test]
async fn c01_what_worked_beside_a_failure_gets_its_end_and_one_change_but_no_sync() {
    let source = online(&three().fault(Fault::on(Operation::Update).nth(1).fail(400)).build());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    let changed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&changed);
    source.on(EventKind::Change, move |event| {
        let items: Vec<Record> = event.changed.iter().flatten().map(|item: &Item| item.record.clone()).collect();
        seen.lock().unwrap().extend(items);
    });
    let log = Log::of(&source);
    let report = source.sync().await.unwrap();
    assert_eq!((report.done(), failures(&report).len()), (1, 1));
    assert_eq!(
        log.take(),
        "start:update progress end error start:update progress end:update change:sync",
        "no sync event: not all was acknowledged (C04)"
    );
    let changed: Vec<String> = changed.lock().unwrap().iter().map(Record::to_json).collect();
    assert_eq!(changed, [r#"{"id":2,"name":"B"}"#]);
    assert_eq!(report.into_result().unwrap_err().kind(), &ErrorKind::Status(400));
}

#[tokio::test]
async fn r5_36_c04_errors_in_an_answer_are_no_sync() {
    let source = online(&three().fault(Fault::on(Operation::Update).errors(record(r#"{"name":"bad"}"#))).build());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    let log = Log::of(&source);
    let report = source.sync().await.unwrap();
    assert_eq!(failures(&report), [ErrorKind::Rejected]);
    assert_eq!(log.take(), "start:update progress end:update error");
    assert!(source.has_changes());
}

#[tokio::test]
async fn r5_7_v1_a_sync_of_nothing_tells_all_the_same() {
    let server = three().build();
    let source = online(&server);
    let log = Log::of(&source);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(log.take(), "change:sync sync");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn r5_2_v2_without_a_model_a_sync_does_nothing() {
    let server = three().build();
    let source: DataSource = DataSource::builder().transport(server.clone()).build().unwrap();
    source.read().await.unwrap();
    source.remove(source.at(0).unwrap()).unwrap();
    server.take_requests();
    let log = Log::of(&source);
    source.sync().await.unwrap();
    assert_eq!(log.take(), "");
    assert_eq!(server.requests().len(), 0);
    assert!(source.has_changes(), "R5.52");
}

#[tokio::test]
async fn r5_45_an_offline_sync_is_one_change() {
    let source = kept(&three().build(), MemoryStorage::new());
    three_changes(&source).await;
    source.online(false).await.unwrap();
    let log = Log::of(&source);
    let report = source.sync().await.unwrap();
    assert_eq!(log.take(), "change:sync");
    assert_eq!(report.stored, 3);
    assert_eq!(ids(&source.created()), ["\"\""], "R5.47: still pending");
    assert_eq!((ids(&source.updated()), ids(&source.destroyed())), (vec!["1".to_owned()], vec!["2".to_owned()]));
}

/// R9.18.
#[tokio::test]
async fn r9_13_r9_19_local_queries() {
    let source = online(&three().build());
    source.read().await.unwrap();
    let log = Log::of(&source);
    source.filter(Filter::eq("name", "a")).await.unwrap();
    assert_eq!(log.take(), "reset start:read progress end:read change");
    source.sort([Sort::desc("name")]).await.unwrap();
    assert_eq!(log.take(), "sort start:read progress end:read change");
    source.page_size(2).await.unwrap();
    assert_eq!(log.take(), "start:read progress end:read change");
    source.once(EventKind::RequestStart, Event::prevent_default);
    source.filter(None).await.unwrap();
    assert_eq!(log.take(), "reset start:read");
    assert!(source.query_state().filter.is_some(), "R9.13: prevented, nothing changes");
}

/// R9.34.
#[tokio::test]
async fn r9_33_payloads_of_edits() {
    type Seen = (Option<Action>, Option<String>, Option<usize>, Vec<String>);
    let source = online(&three().build());
    source.read().await.unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    source.on(EventKind::Change, move |event| {
        let items = event.items.iter().flatten().map(|item| item.record.to_json()).collect();
        let field = event.field.as_ref().map(|field| field.as_str().to_owned());
        log.lock().unwrap().push((event.action, field, event.index, items));
    });
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.insert(1, record(r#"{"name":"n"}"#)).unwrap();
    source.remove(source.at(3).unwrap()).unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    let item = |json: &str| vec![json.to_owned()];
    let expected: [Seen; 3] = [
        (Some(Action::ItemChange), Some("name".to_owned()), None, item(r#"{"id":1,"name":"A"}"#)),
        (Some(Action::Add), None, Some(1), item(r#"{"name":"n","id":""}"#)),
        (Some(Action::Remove), None, Some(3), item(r#"{"id":3,"name":"c"}"#)),
    ];
    assert_eq!(*seen.lock().unwrap(), expected, "R2.23: an equal value is no change");
}

#[tokio::test]
async fn q61_a_number_pairs_the_end_of_a_failed_request_with_its_start() {
    type Seen = (bool, Option<u64>);
    let source = online(&three().fault(Fault::on(Operation::Update).nth(1).fail(400)).build());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.set(source.at(1).unwrap(), "name", "B").unwrap();
    let numbers: Arc<Mutex<Vec<Seen>>> = Arc::default();
    for kind in [EventKind::RequestStart, EventKind::RequestEnd] {
        let numbers = Arc::clone(&numbers);
        source.on(kind, move |event| {
            numbers.lock().unwrap().push((kind == EventKind::RequestStart, event.request));
        });
    }
    source.sync().await.unwrap();
    let numbers = numbers.lock().unwrap();
    let of = |start: bool| -> Vec<u64> {
        numbers.iter().filter(|(is, _)| *is == start).map(|(_, number)| number.unwrap()).collect()
    };
    assert_eq!(of(true).len(), 2);
    assert_eq!(of(true), of(false));
}

#[tokio::test]
async fn r9_6_the_end_of_a_read_carries_the_raw_answer() {
    let server = three().fault(Fault::on(Operation::Read).reply(value(r#"{"d":[{"ID":"1"}]}"#))).build();
    let model = Model::new().id("id").field(Field::new("id").number().from("ID"));
    let schema = Schema::new().data("d").with_model(model);
    let source: DataSource = DataSource::builder().transport(server).schema(schema).build().unwrap();
    let raw: Arc<Mutex<Option<Value>>> = Arc::default();
    let seen = Arc::clone(&raw);
    source.on(EventKind::RequestEnd, move |event| seen.lock().unwrap().clone_from(&event.response));
    source.read().await.unwrap();
    assert_eq!(raw.lock().unwrap().as_ref().unwrap().to_json(), r#"{"d":[{"ID":"1"}]}"#);
    assert_eq!(data(&source), [r#"{"id":1}"#]);
}

#[tokio::test]
async fn r0_17_handlers_in_order_once_and_unbound() {
    let source = online(&three().build());
    let log = Log::default();
    for name in ["first", "second"] {
        let log = log.clone();
        source.on(EventKind::Sync, move |_| log.add(name));
    }
    let once = log.clone();
    source.once(EventKind::Sync, move |_| once.add("once"));
    let gone = log.clone();
    let gone = source.on(EventKind::Sync, move |_| gone.add("gone"));
    assert!(source.off(gone) && !source.off(gone));
    let mut stream = source.events();
    source.sync().await.unwrap();
    assert_eq!(log.take(), "first second once");
    source.sync().await.unwrap();
    assert_eq!(log.take(), "first second");
    let kinds: Vec<EventKind> = std::iter::from_fn(|| stream.try_next()).map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Change, EventKind::Sync, EventKind::Change, EventKind::Sync]);
}

/// R4.41.
#[tokio::test]
async fn r4_43_r9_36_c20_pushes() {
    let source = online(&three().build());
    source.read().await.unwrap();
    let log = Log::of(&source);
    source.push_create([record(r#"{"id":7}"#), record(r#"{"id":8}"#)]).unwrap();
    assert_eq!(log.take(), "change:add change:add push:create");
    source.push_update([record(r#"{"id":7,"name":"x"}"#)]).unwrap();
    assert_eq!(log.take(), "change:itemchange push:update");
    source.push_destroy([record(r#"{"id":7}"#), record(r#"{"id":8}"#)]).unwrap();
    assert_eq!(log.take(), "change:remove push:destroy");
    assert!(!source.has_changes());
}
