//! Taking back, each layer on its own (reference 4.4; DESIGN section 8).

use crate::help::{Log, calm, data, held, ids, kept, model, online, record, rows, sent, serving, stored, three};
use async_trait::async_trait;
use landfall::{
    DataSource, Error, Filter, QueryOptions, Schema,
    storage::{Capability, Delta, MemoryStorage, Storage, StoredState},
    transport::{Fault, MockServer, Operation, Wrap},
};

async fn offline(server: &MockServer) -> DataSource {
    let source = kept(server, MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source
}

const THREE: [&str; 3] = [r#"{"id":1,"name":"a"}"#, r#"{"id":2,"name":"b"}"#, r#"{"id":3,"name":"c"}"#];

#[tokio::test]
async fn r4_22_v11_cancelling_brings_back_order_and_values() {
    let source = online(&three().build());
    source.read().await.unwrap();
    source.insert(0, record(r#"{"name":"n"}"#)).unwrap();
    source.remove(source.get(2).unwrap()).unwrap();
    source.set(source.get(1).unwrap(), "name", "A").unwrap();
    let log = Log::of(&source);
    source.cancel_changes().unwrap();
    assert_eq!(log.take(), "change");
    assert_eq!(data(&source), THREE);
    assert!(!source.has_changes());
    assert_eq!(source.total(), 3);
}

/// R6.20, R6.23.
#[tokio::test]
async fn g1_c17_what_was_accepted_offline_is_what_cancelling_goes_back_to() {
    let server = three().build();
    let source = offline(&server).await;
    let row = source.at(0).unwrap();
    source.set(&row, "name", "A").unwrap();
    let new = source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
    source.sync().await.unwrap();
    let accepted = stored(&source).await;
    source.set(&row, "name", "AA").unwrap();
    source.set(new, "name", "N").unwrap();
    source.remove(source.get(3).unwrap()).unwrap();
    source.add(record(r#"{"name":"m"}"#)).unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#, THREE[2], r#"{"name":"n","id":""}"#]);
    assert_eq!(ids(&source.destroyed()), ["2"], "the removal stays");
    assert_eq!(stored(&source).await, accepted);
    assert_eq!(source.total(), 3);
    sent(&server);
    assert!(source.online(true).await.unwrap().is_success());
    assert_eq!(
        sent(&server),
        [r#"create {"name":"n","id":""}"#, r#"update {"id":1,"name":"A"}"#, r#"destroy {"id":2,"name":"b"}"#]
    );
}

/// What the service took for refused is a create again, also in what cancelling goes back to.
#[tokio::test]
async fn a_refused_create_is_still_one_when_a_later_edit_of_it_is_taken_back() {
    let faults = [Fault::on(Operation::Create).timed_out().apply(false), Fault::on(Operation::Create).nth(2).fail(400)];
    let [doubted, refused] = faults;
    let server = serving("[]").fault(doubted).fault(refused).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    let new = source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.sync().await.unwrap();
    source.online(false).await.unwrap();
    source.set(new, "name", "N").unwrap();
    source.sync().await.unwrap();
    source.online(true).await.unwrap();
    source.set(new, "name", "draft").unwrap();
    source.cancel_changes_of(new).unwrap();
    sent(&server);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(sent(&server), [r#"create {"name":"N","id":""}"#]);
    assert_eq!(rows(&server), [r#"{"name":"N","id":1}"#]);
}

/// What is on its way cannot be taken back; once it is refused, cancelling goes back to what was accepted offline.
#[tokio::test]
async fn g5_cancelling_while_a_change_is_on_its_way_keeps_it_and_what_is_below_it() {
    let server = three().fault(Fault::on(Operation::Update).fail(400)).build();
    let source = offline(&server).await;
    let row = source.at(0).unwrap();
    source.set(&row, "name", "A").unwrap();
    source.sync().await.unwrap();
    source.set(&row, "name", "AA").unwrap();
    server.set_holding(true);
    let sync = source.online(true);
    held(&server, 1).await;
    source.cancel_changes().unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"AA"}"#);
    server.set_holding(false);
    assert!(!sync.await.unwrap().is_success());
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"AA"}"#);
    source.cancel_changes().unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#);
    sent(&server);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
}

/// Commits take their time.
#[derive(Debug)]
struct Slow(MemoryStorage);

#[async_trait]
impl Storage for Slow {
    async fn load(&self, key: &str) -> Result<StoredState, Error> {
        self.0.load(key).await
    }
    async fn commit(&self, key: &str, expected: u64, delta: Delta) -> Result<u64, Error> {
        calm().await;
        self.0.commit(key, expected, delta).await
    }
    async fn remove(&self, key: &str) -> Result<(), Error> {
        self.0.remove(key).await
    }
    async fn keys(&self) -> Result<Vec<String>, Error> {
        self.0.keys().await
    }
    async fn usage(&self, key: Option<&str>) -> Result<u64, Error> {
        self.0.usage(key).await
    }
    fn capability(&self) -> Capability {
        self.0.capability()
    }
}

/// A sync that has nothing else to do tells success when it is stored that something was taken back.
#[tokio::test]
async fn g1_what_was_taken_back_before_a_sync_is_stored_when_that_has_ended() {
    let storage = MemoryStorage::new();
    let server = three().build();
    let source = kept(&server, Slow(storage.clone()));
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    server.set_down(true);
    assert!(!source.sync().await.unwrap().is_success());
    let pending = async || storage.load("rows").await.unwrap().rows.iter().filter(|row| row.state.is_some()).count();
    assert_eq!(pending().await, 1);
    source.cancel_changes().unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(pending().await, 0);
}

/// R5.38.
#[tokio::test]
async fn c36_q16_what_was_accepted_online_and_failed_is_withdrawn() {
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
    server.set_down(true);
    let report = source.sync().await.unwrap();
    server.set_down(false);
    assert_eq!(report.failures().count(), 3);
    assert_eq!(source.pending().len(), 3);
    source.cancel_changes().unwrap();
    source.idle().await.unwrap();
    assert_eq!(data(&source), THREE);
    assert!(!source.has_changes() && source.pending().is_empty());
    assert_eq!(stored(&source).await, format!("[{}]", THREE.join(",")));
    assert_eq!(source.total(), 3);
    sent(&server);
    source.sync().await.unwrap();
    assert!(sent(&server).is_empty());
}

#[tokio::test]
async fn the_offline_values_under_a_failed_online_edit_come_back() {
    let server = three().fault(Fault::on(Operation::Update).times(2).fail(500)).build();
    let source = offline(&server).await;
    let row = source.at(0).unwrap();
    source.set(&row, "name", "A").unwrap();
    source.sync().await.unwrap();
    source.online(true).await.unwrap();
    source.set(&row, "name", "AA").unwrap();
    source.sync().await.unwrap();
    source.cancel_changes().unwrap();
    source.idle().await.unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#, "the failed online edit goes, the offline one stays");
    sent(&server);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
}

#[tokio::test]
async fn a_sync_while_offline_turns_online_into_offline() {
    let source = kept(&three().fault(Fault::on(Operation::Update).fail(500)).build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    source.online(false).await.unwrap();
    source.sync().await.unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#);
    assert!(source.has_changes());
}

#[tokio::test]
async fn r4_24_cancelling_one_item_leaves_the_others() {
    let source = online(&three().build());
    source.read().await.unwrap();
    let (first, second) = (source.at(0).unwrap(), source.at(1).unwrap());
    source.set(&first, "name", "A").unwrap();
    source.set(&second, "name", "B").unwrap();
    let new = source.add(record(r#"{"name":"n"}"#)).unwrap();
    let log = Log::of(&source);
    source.cancel_changes_of(&first).unwrap();
    assert_eq!(log.take(), "", "no change event");
    assert_eq!(data(&source)[..2], [THREE[0], r#"{"id":2,"name":"B"}"#]);
    source.cancel_changes_of(new).unwrap();
    assert_eq!(log.take(), "change:remove");
    assert_eq!(source.len(), 3);
    source.remove(&second).unwrap();
    source.cancel_changes_of(&second).unwrap();
    assert_eq!(source.len(), 2, "a removed item is not brought back");
    assert_eq!(ids(&source.destroyed()), ["2"]);
}

/// R4.25.
#[tokio::test]
async fn c34_q18_a_field_that_was_not_there_goes_away_again() {
    let source = online(&three().build());
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "extra", 5).unwrap();
    source.cancel_changes_of(&row).unwrap();
    assert_eq!(data(&source)[0], THREE[0]);
}

/// R6.31.
#[tokio::test]
async fn c18_q39_after_an_offline_read_a_new_item_goes_back_to_its_accepted_values() {
    let source = offline(&serving("[]").build()).await;
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.sync().await.unwrap();
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "name", "N").unwrap();
    source.cancel_changes_of(&row).unwrap();
    assert_eq!(data(&source), [r#"{"name":"n","id":""}"#]);
    assert_eq!(source.created().len(), 1);
}

#[tokio::test]
async fn the_total_after_cancelling_beside_a_removal_in_doubt_counts_what_is_there() {
    let source = kept(&three().fault(Fault::on(Operation::Destroy).fail(502)).build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.remove(source.at(0).unwrap()).unwrap();
    source.sync().await.unwrap();
    source.add(record("{}")).unwrap();
    source.cancel_changes().unwrap();
    assert_eq!((source.len(), source.total()), (2, 2));
}

/// Three of ten, as the server pages.
fn paged() -> (MockServer, DataSource) {
    let rows: Vec<String> = (1..=10).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    let server = serving(&format!("[{}]", rows.join(",")));
    let server = server.paging(true).wrap(Wrap::data("rows").total("total")).build();
    let schema = Schema::new().data("rows").total("total").with_model(model());
    let builder = DataSource::builder().transport(server.clone()).schema(schema).server_paging(true);
    (server, builder.page_size(3).build().unwrap())
}

/// R4.22: the server's total is what cancelling goes back to once nothing is filtered here.
#[tokio::test]
async fn c22_a_query_that_failed_took_the_filter_away_and_with_it_the_total() {
    let (server, source) = paged();
    source.read().await.unwrap();
    source.filter(Filter::gt("id", 2)).await.unwrap();
    assert_eq!((source.total(), source.rows().len()), (1, 1));
    server.set_down(true);
    source.query(QueryOptions::new().page(2).page_size(3)).await.unwrap_err();
    assert_eq!((source.total(), source.rows().len()), (1, 1), "what is shown is as it was");
    source.cancel_changes().unwrap();
    assert_eq!((source.total(), source.rows().len()), (10, 3));

    source.filter(Filter::gt("id", 2)).await.unwrap_err();
    source.cancel_changes().unwrap();
    assert_eq!((source.total(), source.rows().len()), (1, 1));
    source.filter(None).await.unwrap_err();
    source.remove(source.at(0).unwrap()).unwrap();
    assert_eq!((source.total(), source.rows().len()), (9, 2), "and an edit counts from there");
}

#[tokio::test]
async fn r7_65_v10_totals_under_server_paging() {
    let (_server, source) = paged();
    source.read().await.unwrap();
    assert_eq!((source.total(), source.len()), (10, 3));
    source.add(record("{}")).unwrap();
    assert_eq!(source.total(), 11);
    source.cancel_changes().unwrap();
    assert_eq!(source.total(), 10);
    let new = source.add(record("{}")).unwrap();
    source.sync().await.unwrap();
    assert_eq!(source.total(), 11);
    source.remove(new).unwrap();
    assert_eq!(source.total(), 10);
}
