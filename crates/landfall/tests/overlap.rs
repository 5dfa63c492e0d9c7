//! Reads, syncs, restarts and other data sources that meet a change on its way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall::{
    ChangeKind, DataSource, Model, Record, Standing, Value,
    storage::{MemoryStorage, Storage},
    transport::{Fault, MockServer, MockServerBuilder, Operation},
};
use std::time::Duration;

fn server(rows: i64) -> MockServerBuilder {
    let row = |id| Record::from_iter([("id", Value::from(id)), ("name", Value::from(format!("n{id}")))]);
    MockServer::builder().rows((1..=rows).map(row)).idempotency(true)
}

fn over(server: &MockServer, storage: impl Storage) -> DataSource {
    DataSource::builder()
        .transport(server.clone())
        .storage(storage, "products")
        .model(Model::new().id("id"))
        .build()
        .unwrap()
}

fn texts(rows: impl IntoIterator<Item = Record>) -> Vec<String> {
    rows.into_iter().map(|row| row.to_json()).collect()
}

fn shown(source: &DataSource) -> Vec<String> {
    texts(source.rows().iter().map(|entry| entry.record().clone()))
}

async fn stored(source: &DataSource) -> String {
    source.offline_data().await.unwrap().to_json()
}

/// Waits until the server holds this many replies back.
async fn until_held(server: &MockServer, count: usize) {
    while server.held() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_dead_program_had_sent_is_settled_once() {
    let server = server(3).build();
    let storage = MemoryStorage::new();
    let first = over(&server, storage.clone());
    first.fetch().await.unwrap();
    first.set(first.at(0).unwrap(), "name", "X").unwrap();
    first.add(Record::from([("name", "new")])).unwrap();
    server.set_holding(true);
    drop(first.sync());
    until_held(&server, 2).await;
    // The program ends and waits for no answer any more; the service has carried out what it got.
    drop(first);
    while server.held() > 0 {
        tokio::task::yield_now().await;
    }
    server.set_holding(false);

    let second = over(&server, storage);
    second.read().await.unwrap();
    let standing: Vec<_> = second.pending().iter().map(|pending| (pending.kind, pending.standing)).collect();
    assert_eq!(standing, [(ChangeKind::Update, Standing::InDoubt), (ChangeKind::Create, Standing::InDoubt)]);

    // The read brought the new record already. It is one record still, and each change went out once more, with its key.
    let report = second.sync().await.unwrap();
    assert!(report.is_success());
    assert_eq!(report.done(), 2);
    let wanted =
        [r#"{"id":1,"name":"X"}"#, r#"{"id":2,"name":"n2"}"#, r#"{"id":3,"name":"n3"}"#, r#"{"name":"new","id":4}"#];
    assert_eq!(shown(&second), wanted);
    assert_eq!((second.total(), second.has_changes()), (4, false));
    assert_eq!(texts(server.rows()), wanted);
    assert_eq!(stored(&second).await, format!("[{}]", wanted.join(",")));
    assert_eq!((server.count(Operation::Create), server.count(Operation::Update)), (2, 2));
}

#[tokio::test]
async fn a_read_that_overtakes_the_answer_to_a_create_leaves_one_record() {
    for with_storage in [true, false] {
        let server = server(2).fault(Fault::on(Operation::Create).slow(Duration::from_millis(100))).build();
        let builder = DataSource::builder().transport(server.clone()).model(Model::new().id("id"));
        let builder = if with_storage { builder.storage(MemoryStorage::new(), "products") } else { builder };
        let source: DataSource = builder.build().unwrap();
        source.fetch().await.unwrap();
        source.add(Record::from([("name", "new")])).unwrap();
        let sync = source.sync();
        while server.rows().len() < 3 {
            tokio::task::yield_now().await;
        }
        source.read().await.unwrap();
        assert_eq!(source.len(), 4, "the new record, and what the read brought");
        assert_eq!(sync.await.unwrap().done(), 1);
        let wanted = [r#"{"id":1,"name":"n1"}"#, r#"{"id":2,"name":"n2"}"#, r#"{"name":"new","id":3}"#];
        assert_eq!(shown(&source), wanted);
        assert_eq!(source.total(), 3);
        source.cancel_changes().unwrap();
        assert_eq!((shown(&source).len(), source.total()), (3, 3));
    }
}

#[tokio::test]
async fn the_total_follows_when_failed_changes_are_cancelled_after_a_read() {
    let server =
        server(3).fault(Fault::on(Operation::Create).fail(500)).fault(Fault::on(Operation::Destroy).fail(500)).build();
    let source = over(&server, MemoryStorage::new());
    source.fetch().await.unwrap();
    source.add(Record::from([("name", "one")])).unwrap();
    source.sync().await.unwrap();
    source.read().await.unwrap();
    assert_eq!((source.len(), source.total()), (4, 4));
    source.remove(source.at(0).unwrap()).unwrap();
    source.sync().await.unwrap();
    source.read().await.unwrap();
    source.cancel_changes().unwrap();
    assert_eq!((source.len(), source.total()), (source.rows().len(), source.rows().len()));
}

#[tokio::test]
async fn a_push_under_a_tried_change_makes_another_body_with_another_key() {
    let server = server(2).fault(Fault::on(Operation::Update).fail(503).apply(true)).build();
    let source = over(&server, MemoryStorage::new());
    source.fetch().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "X").unwrap();
    assert!(!source.sync().await.unwrap().is_success());
    source.push_update([Record::from([("id", Value::from(1)), ("colour", Value::from("red"))])]).unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(server.row(1).unwrap().to_json(), r#"{"id":1,"name":"X","colour":"red"}"#);
    let keys: Vec<_> = server.requests().into_iter().filter_map(|request| request.key).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn cancelling_goes_back_to_the_accepted_values_and_keeps_what_was_pushed() {
    let server = server(1).build();
    let source = over(&server, MemoryStorage::new());
    source.fetch().await.unwrap();
    source.online(false).await.unwrap();
    let first = source.at(0).unwrap().uid();
    source.set(first, "name", "accepted").unwrap();
    source.sync().await.unwrap();
    source.push_update([Record::from([("id", Value::from(1)), ("colour", Value::from("red"))])]).unwrap();
    source.set(first, "name", "draft").unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(shown(&source), [r#"{"id":1,"name":"accepted","colour":"red"}"#]);
    assert_eq!(source.online(true).await.unwrap().done(), 1);
    assert_eq!(server.row(1).unwrap().to_json(), r#"{"id":1,"name":"accepted","colour":"red"}"#);
}

#[tokio::test]
async fn a_connectivity_that_is_down_counts_before_the_first_request() {
    let (_switch, connectivity) = landfall::connectivity::Connectivity::manual(false);
    let server = server(1).build();
    let source: DataSource = DataSource::builder()
        .transport(server.clone())
        .storage(MemoryStorage::new(), "products")
        .model(Model::new().id("id"))
        .connectivity(connectivity)
        .build()
        .unwrap();
    assert!(!source.is_online());
    source.fetch().await.unwrap();
    assert_eq!((source.len(), server.count(Operation::Read)), (0, 0));
}

#[tokio::test]
async fn what_another_data_source_on_the_key_has_settled_is_not_sent_again() {
    // A server without idempotency keys: a repetition would be a duplicate.
    let row = Record::from([("id", Value::from(1)), ("name", Value::from("one"))]);
    let server = MockServer::builder().row(row).build();
    let storage = MemoryStorage::new();
    let a = over(&server, storage.clone());
    a.fetch().await.unwrap();
    a.online(false).await.unwrap();
    a.add(Record::from([("name", "new")])).unwrap();
    a.set(a.at(0).unwrap(), "name", "edited").unwrap();
    a.sync().await.unwrap();
    let b = over(&server, storage);
    assert_eq!(b.sync().await.unwrap().done(), 2);
    // A draft made meanwhile is this data source's own and is sent; the rest is settled.
    a.set(a.at(0).unwrap(), "name", "later").unwrap();
    let report = a.online(true).await.unwrap();
    assert!(report.is_success(), "{report:?}");
    assert_eq!(server.count(Operation::Create), 1);
    assert_eq!(texts(server.rows()), [r#"{"id":1,"name":"later"}"#, r#"{"name":"new","id":2}"#]);
    assert_eq!(shown(&a), texts(server.rows()));
    assert!(!a.has_changes());
}
