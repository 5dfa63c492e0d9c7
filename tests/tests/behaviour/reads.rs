//! Reading: the queue, promises, odd answers, opening, replacing data (reference 9.1, 9.3, 4.5).

use crate::help::{Log, calm, data, held, ids, kept, kind, online, record, rows, sent, stored, three, value, view};
use landfall::{
    DataSource, ErrorKind, Event, EventKind, Outcome, Record, Value,
    storage::{MemoryStorage, Storage},
    transport::{Fault, Operation},
};

fn numbered(number: i64) -> Record {
    Record::from([("n", number)])
}

/// R9.3.
#[tokio::test]
async fn r9_2_c35_v4_a_replaced_read_settles_with_its_successor() {
    let server = three().holding(true).build();
    let source = online(&server);
    let (first, second, third) =
        (source.read_with(numbered(1)), source.read_with(numbered(2)), source.read_with(numbered(3)));
    held(&server, 1).await;
    server.set_holding(false);
    for read in [first, second, third] {
        assert_eq!(read.await.unwrap(), Outcome::Completed);
    }
    let asked: Vec<String> = server.requests().iter().map(|request| request.data.to_json()).collect();
    assert_eq!(asked, [r#"{"n":1}"#, r#"{"n":3}"#]);
}

#[tokio::test]
async fn a_read_that_is_given_up_changes_nothing_and_lets_the_next_one_start() {
    let server = three().build();
    let source = online(&server);
    assert!(!source.cancel_read());
    source.read().await.unwrap();
    let before = data(&source);
    let log = Log::of(&source);
    server.set_holding(true);
    let (first, second) = (source.read_with(numbered(1)), source.read_with(numbered(2)));
    held(&server, 1).await;
    assert_eq!(source.read_progress(), Some(0));
    assert!(source.cancel_read());
    assert_eq!(kind(first.await), ErrorKind::Cancelled);
    // As in Kendo the next read starts before the events of the failed one (R9.8).
    assert_eq!(log.take(), "start:read progress reset start:read progress reset end error");
    held(&server, 2).await;
    assert_eq!(data(&source), before);
    // The answer to the first comes before the answer to the second and means nothing.
    server.set_holding(false);
    assert_eq!(second.await.unwrap(), Outcome::Completed);
    assert_eq!(source.read_progress(), None);
    assert!(!source.cancel_read());
    assert_eq!(data(&source), before);
    assert_eq!(log.take(), "end:read change");
}

#[tokio::test]
async fn r9_2_c35_a_replaced_read_fails_with_its_successor() {
    let server = three().fault(Fault::on(Operation::Read).nth(2).fail(500)).build();
    let source = online(&server);
    let (first, second, third) = (source.read(), source.read(), source.read());
    assert!(first.await.is_ok());
    assert_eq!(kind(second.await), ErrorKind::Status(500));
    assert_eq!(kind(third.await), ErrorKind::Status(500));
    assert_eq!(server.count(Operation::Read), 2);
}

#[tokio::test]
async fn r9_4_v5_a_prevented_read_does_nothing_else() {
    let server = three().build();
    let source = online(&server);
    let log = Log::of(&source);
    source.once(EventKind::RequestStart, Event::prevent_default);
    assert_eq!(source.read().await.unwrap(), Outcome::Prevented);
    assert_eq!(log.take(), "start:read");
    assert_eq!(server.requests().len(), 0);
    assert_eq!(source.read().await.unwrap(), Outcome::Completed, "the queue is free");
}

#[tokio::test]
async fn r9_4_preventing_frees_the_queue_for_the_waiting_read() {
    let server = three().holding(true).build();
    let source = online(&server);
    let first = source.read();
    held(&server, 1).await;
    source.once(EventKind::RequestStart, Event::prevent_default);
    let second = source.read();
    server.set_holding(false);
    assert_eq!(first.await.unwrap(), Outcome::Completed);
    assert_eq!(second.await.unwrap(), Outcome::Prevented);
}

/// R9.5.
#[tokio::test]
async fn r9_6_r9_7_the_events_of_a_read() {
    let server = three().build();
    let source = online(&server);
    let log = Log::of(&source);
    source.read().await.unwrap();
    assert_eq!(log.take(), "start:read progress reset end:read change");
}

#[tokio::test]
async fn r9_8_after_a_failure_the_waiting_read_starts_before_the_error_is_told() {
    let server = three().holding(true).fault(Fault::on(Operation::Read).nth(1).fail(500)).build();
    let source = online(&server);
    let log = Log::of(&source);
    let (first, second) = (source.read(), source.read());
    held(&server, 1).await;
    assert_eq!(log.take(), "start:read progress reset");
    server.release_next();
    held(&server, 1).await;
    calm().await;
    assert_eq!(log.take(), "start:read progress reset end error");
    assert_eq!(kind(first.await), ErrorKind::Status(500));
    server.release_next();
    second.await.unwrap();
    assert_eq!(log.take(), "end:read change");
}

#[tokio::test]
async fn r9_9_c05_a_read_answered_with_errors_fails_and_leaves_the_rows() {
    let server = three().fault(Fault::on(Operation::Read).nth(2).errors("no")).build();
    let source = online(&server);
    source.read().await.unwrap();
    let log = Log::of(&source);
    let error = source.read().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Rejected);
    assert_eq!(error.body(), Some(&Value::from("no")));
    assert_eq!(log.take(), "start:read progress reset end:read error");
    assert_eq!(source.len(), 3);
}

#[tokio::test]
async fn r9_11_q10_answers_of_a_wrong_shape_change_nothing_and_reads_go_on() {
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    let before = stored(&source).await;
    for odd in ["null", "5", "true", "\"x\"", r#"{"rows":[]}"#, "[1,2]", r#"[{"id":9},7]"#] {
        server.add_fault(Fault::on(Operation::Read).reply(value(odd)));
        assert_eq!(kind(source.read().await), ErrorKind::Undecodable, "{odd}");
        assert_eq!((source.len(), source.total()), (3, 3), "{odd}");
    }
    for odd in ["<html>", "[{\"id\":1}", ""] {
        server.add_fault(Fault::on(Operation::Read).unreadable(odd));
        assert_eq!(kind(source.read().await), ErrorKind::Undecodable, "{odd}");
        assert_eq!(source.len(), 3, "{odd}");
    }
    assert_eq!(stored(&source).await, before);
    source.read().await.unwrap();
}

#[tokio::test]
async fn r4_28_a_failed_read_leaves_drafts() {
    let server = three().fault(Fault::on(Operation::Read).nth(2).refused()).build();
    let source = online(&server);
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.remove(source.at(2).unwrap()).unwrap();
    source.read().await.unwrap_err();
    assert_eq!(data(&source), [r#"{"id":1,"name":"A"}"#, r#"{"id":2,"name":"b"}"#]);
    assert_eq!(ids(&source.destroyed()), ["3"]);
    source.read().await.unwrap();
    assert!(!source.has_changes(), "C12: a read drops drafts");
}

#[tokio::test]
async fn r4_32_set_data_replaces_the_rows() {
    let server = three().build();
    let source = online(&server);
    source.read().await.unwrap();
    let log = Log::of(&source);
    source.set_data([record(r#"{"id":"7","name":"x"}"#)]).unwrap().await.unwrap();
    assert_eq!(log.take(), "reset change");
    assert_eq!(data(&source), [r#"{"id":"7","name":"x"}"#], "values are not parsed");
    assert_eq!(source.total(), 1);
    assert!(!source.has_changes());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn r4_32_v12_set_data_offline_is_stored_at_once_and_keeps_removals() {
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.remove(source.at(1).unwrap()).unwrap();
    source.sync().await.unwrap();
    source.set_data([record(r#"{"id":8}"#), record(r#"{"id":9}"#)]).unwrap().await.unwrap();
    assert_eq!(source.total(), 2);
    assert_eq!(ids(&source.destroyed()), ["2"]);
    assert_eq!(stored(&source).await, r#"[{"id":8},{"id":9},{"id":2,"name":"b","__state__":"destroy"}]"#);
    server.take_requests();
    source.online(true).await.unwrap();
    assert_eq!(sent(&server), [r#"destroy {"id":2,"name":"b"}"#]);
}

/// C19 for rows that the program gives.
#[tokio::test]
async fn c38_a_removal_that_no_sync_accepted_gives_way_to_its_row_given_again() {
    let server = three().build();
    let source = online(&server);
    source.read().await.unwrap();
    for id in [1, 2] {
        source.remove(source.get(id).unwrap()).unwrap();
    }
    source.set_data([record(r#"{"id":2,"name":"b"}"#)]).unwrap().await.unwrap();
    assert_eq!((ids(&source.data()), ids(&source.destroyed())), (vec!["2".to_owned()], vec!["1".to_owned()]));
    sent(&server);
    source.sync().await.unwrap();
    assert_eq!(sent(&server), [r#"destroy {"id":1,"name":"a"}"#]);
}

#[tokio::test]
async fn g4_set_data_goes_underneath_pending_changes() {
    let source = kept(&three().build(), MemoryStorage::new());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    source.set_data([record(r#"{"id":1,"name":"z","more":1}"#)]).unwrap().await.unwrap();
    assert_eq!(data(&source), [r#"{"id":1,"name":"A","more":1}"#]);
    assert!(source.has_changes());
}

/// R4.8.
#[tokio::test]
async fn r4_6_insert_puts_a_new_item_where_it_is_told() {
    let source = online(&three().build());
    source.read().await.unwrap();
    let first = source.insert(0, record(r#"{"name":"first"}"#)).unwrap();
    let middle = source.insert(2, record(r#"{"name":"middle"}"#)).unwrap();
    let last = source.insert(99, record(r#"{"name":"last"}"#)).unwrap();
    assert_eq!([first, middle, last].map(|uid| source.index_of(uid)), [Some(0), Some(2), Some(5)]);
    let names: Vec<Value> = source.data().iter().map(|row| row.get("name").unwrap().clone()).collect();
    assert_eq!(Value::from(names).to_json(), r#"["first","a","middle","b","c","last"]"#);
    assert_eq!(source.total(), 6);
}

/// R9.29.
#[tokio::test]
async fn r9_28_looking_up() {
    let source = online(&three().build());
    source.read().await.unwrap();
    assert_eq!(source.get(2).unwrap().uid(), source.get("2").unwrap().uid(), "loosely equal");
    assert!(source.get(9).is_none());
    assert!(source.at(3).is_none());
    let second = source.at(1).unwrap();
    assert_eq!(source.index_of(&second), Some(1));
    assert_eq!(source.item(&second).unwrap().record(), second.record());
    source.remove(&second).unwrap();
    assert_eq!(source.index_of(&second), None);
    assert!(source.item(&second).is_none() && source.get(2).is_none());
    assert_eq!(kind(source.set(&second, "name", "x")), ErrorKind::NotFound);
    assert_eq!(kind(source.remove(&second)), ErrorKind::NotFound);
}

#[tokio::test]
async fn r1_1_r1_2_a_fresh_data_source_is_empty_and_asks_nobody() {
    let server = three().build();
    let source = online(&server);
    calm().await;
    assert_eq!(server.requests().len(), 0);
    assert_eq!((source.len(), source.total(), source.total_pages()), (0, 0, 0), "Q58");
    assert!(view(&source).is_empty() && source.at(0).is_none() && !source.has_changes() && source.is_online());
    assert!(source.aggregates().is_empty());
    let state = source.query_state();
    assert_eq!((state.page, state.page_size, state.skip, state.take), (None, None, None, None));
}

#[tokio::test]
async fn r1_3_page_and_size_before_any_read() {
    let source: DataSource = DataSource::builder().page_size(5).page(3).build().unwrap();
    let state = source.query_state();
    assert_eq!((state.page, state.skip, state.take), (Some(3), Some(10), Some(5)));
}

/// A program that accepted an edit offline and ended.
async fn left_behind(storage: impl Storage) {
    let source = kept(&three().build(), storage);
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
}

#[tokio::test]
async fn g6_opening_shows_nothing_and_restoring_shows_what_is_pending() {
    let storage = MemoryStorage::new();
    left_behind(storage.clone()).await;
    let server = three().build();
    let source = kept(&server, storage);
    calm().await;
    assert!(source.is_empty() && !source.has_changes());
    let log = Log::of(&source);
    source.restore().await.unwrap();
    assert_eq!(log.take(), "change");
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#);
    assert!(source.has_changes());
    assert_eq!(server.requests().len(), 0);
    source.read().await.unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#, "G4: on top of the fresh rows");
}

/// R6.39.
#[tokio::test]
async fn g6_a_sync_before_any_read_sends_what_an_earlier_run_accepted() {
    let storage = MemoryStorage::new();
    left_behind(storage.clone()).await;
    let server = three().build();
    let source = kept(&server, storage);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
    assert!(!source.has_changes());
    assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
}

#[tokio::test]
async fn g6_going_offline_and_online_sends_what_an_earlier_run_accepted() {
    let storage = MemoryStorage::new();
    left_behind(storage.clone()).await;
    let server = three().build();
    let source = kept(&server, storage);
    source.online(false).await.unwrap();
    source.online(true).await.unwrap();
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#]);
}

#[tokio::test]
async fn restoring_needs_a_storage() {
    let source = online(&three().build());
    assert_eq!(kind(source.restore().await), ErrorKind::Config);
    assert_eq!(kind(source.offline_data().await), ErrorKind::Config);
}

#[tokio::test]
async fn r6_35_r6_36_v13_going_where_one_is_does_nothing() {
    let server = three().build();
    let source = online(&server);
    let log = Log::of(&source);
    source.online(true).await.unwrap();
    source.online(false).await.unwrap();
    source.online(false).await.unwrap();
    assert!(!source.is_online());
    assert_eq!(log.take(), "", "R6.37");
    source.online(true).await.unwrap();
    assert_eq!(log.take(), "change:sync sync");
    assert_eq!(server.requests().len(), 0);
}

/// R6.33.
#[tokio::test]
async fn c14_q10_offline_without_a_storage_a_read_fails_and_later_ones_go_on() {
    let source = online(&three().build());
    source.online(false).await.unwrap();
    assert_eq!(kind(source.read().await), ErrorKind::Offline);
    source.online(true).await.unwrap();
    source.read().await.unwrap();
    assert_eq!(source.len(), 3);
}

/// R9.12.
#[tokio::test]
async fn r9_17_fetch_loads_once() {
    let server = three().build();
    let source = online(&server);
    source.fetch().await.unwrap();
    source.fetch().await.unwrap();
    assert_eq!(server.count(Operation::Read), 1);
}
