//! Outcomes that nobody knows, and the keys that settle them (G2, I9, I10).

use crate::help::{data, failures, held, kept, keys, kind, online, record, rows, sent, serving, stored, three, value};
use landfall::{
    ChangeKind, DataSource, ErrorKind, Standing, Uid,
    storage::{MemoryStorage, Storage},
    transport::{Fault, MockServer, Operation},
};
use std::collections::HashSet;

#[tokio::test]
async fn i10_a_create_in_doubt_is_repeated_with_its_key_and_a_later_edit_follows() {
    for fault in [
        Fault::on(Operation::Create).lost(),
        Fault::on(Operation::Create).timed_out(),
        Fault::on(Operation::Create).unreadable("<html>"),
        Fault::on(Operation::Create).fail(504).apply(true),
        Fault::on(Operation::Create).fail(502),
    ] {
        let server = serving("[]").fault(fault).build();
        let source = kept(&server, MemoryStorage::new());
        source.read().await.unwrap();
        let uid = source.add(record(r#"{"name":"n"}"#)).unwrap();
        let report = source.sync().await.unwrap();
        assert_eq!(report.failures().count(), 1);
        assert_eq!(source.pending()[0].standing, Standing::InDoubt);
        let log = server.take_requests();
        let first = log.last().unwrap();

        source.set(uid, "name", "N").unwrap();
        assert!(source.sync().await.unwrap().is_success());
        let log = server.take_requests();
        assert_eq!((&log[0].data, &log[0].key), (&first.data, &first.key), "frozen: the same body, the same key");
        assert_eq!(log[1].operation, Operation::Update);
        assert_ne!(log[1].key, first.key);
        assert_eq!(rows(&server), [r#"{"name":"N","id":1}"#], "once");
        assert!(source.pending().is_empty() && !source.has_changes());
        assert_eq!(stored(&source).await, r#"[{"name":"N","id":1}]"#);
    }
}

#[tokio::test]
async fn i10_an_update_in_doubt_is_repeated_before_the_removal_of_its_row() {
    let server = three().fault(Fault::on(Operation::Update).lost()).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "name", "A").unwrap();
    source.sync().await.unwrap();
    sent(&server);
    source.remove(&row).unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(sent(&server), [r#"update {"id":1,"name":"A"}"#, r#"destroy {"id":1,"name":"A"}"#]);
    assert_eq!(rows(&server).len(), 2);
}

#[tokio::test]
async fn i10_a_repeat_that_does_not_get_through_leaves_the_doubt() {
    let server = serving("[]").fault(Fault::on(Operation::Create).lost()).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    let uid = source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.sync().await.unwrap();
    for fault in [Fault::on(Operation::Create).refused(), Fault::on(Operation::Create).fail(503)] {
        server.add_fault(fault);
        source.sync().await.unwrap();
        assert_eq!(source.pending()[0].standing, Standing::InDoubt);
    }
    source.set(uid, "name", "N").unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(rows(&server), [r#"{"name":"N","id":1}"#]);
}

#[tokio::test]
async fn i10_a_doubt_survives_a_restart() {
    let server = serving("[]").fault(Fault::on(Operation::Create).lost()).build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.sync().await.unwrap();
    let first = keys(&server);
    drop(source);
    let source = kept(&server, storage);
    source.restore().await.unwrap();
    assert_eq!(source.pending()[0].standing, Standing::InDoubt);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(keys(&server), first);
    assert_eq!(rows(&server).len(), 1);
}

#[tokio::test]
async fn i10_a_batch_in_doubt_is_repeated_in_its_order_whatever_was_removed_since() {
    let server = serving("[]").fault(Fault::on(Operation::Create).unreadable("<html>")).build();
    let builder = DataSource::builder().transport(server.clone()).model(crate::help::model()).batch(true);
    let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    let one = source.add(record(r#"{"name":"one"}"#)).unwrap();
    let two = source.add(record(r#"{"name":"two"}"#)).unwrap();
    source.sync().await.unwrap();
    let first = sent(&server);
    source.remove(two).unwrap();
    source.remove(one).unwrap();
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(sent(&server)[0], first[0]);
    assert!(rows(&server).is_empty() && !source.has_changes());
}

#[tokio::test]
async fn a_change_in_doubt_is_not_cancelled_and_not_replaced_by_a_stored_state() {
    let server = three().fault(Fault::on(Operation::Update).timed_out()).build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "name", "A").unwrap();
    source.sync().await.unwrap();
    source.set(&row, "name", "AA").unwrap();
    source.cancel_changes().unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"A"}"#, "the draft goes, what may be there stays");
    assert_eq!(kind(source.set_offline_data(&value("[]")).await), ErrorKind::Invalid);
    source.replace_offline_data(&value(r#"[{"id":5}]"#)).await.unwrap();
    assert_eq!(stored(&source).await, r#"[{"id":5}]"#);
}

#[tokio::test]
async fn without_a_storage_nothing_is_in_doubt() {
    let source = online(&three().fault(Fault::on(Operation::Update).lost()).build());
    source.read().await.unwrap();
    let row = source.at(0).unwrap();
    source.set(&row, "name", "A").unwrap();
    assert_eq!(failures(&source.sync().await.unwrap()), [ErrorKind::Transport]);
    assert!(source.pending().is_empty() && source.has_changes());
    source.cancel_changes().unwrap();
    assert_eq!(data(&source)[0], r#"{"id":1,"name":"a"}"#);
}

#[tokio::test]
async fn i10_an_unchanged_body_keeps_its_key_and_another_body_gets_another() {
    for storing in [true, false] {
        let server = serving("[]").fault(Fault::on(Operation::Create).times(2).fail(500)).build();
        let source = if storing { kept(&server, MemoryStorage::new()) } else { online(&server) };
        source.read().await.unwrap();
        let uid = source.add(record(r#"{"name":"n"}"#)).unwrap();
        source.sync().await.unwrap();
        let first = keys(&server);
        assert_eq!(first.len(), 1);
        source.sync().await.unwrap();
        assert_eq!(keys(&server), first, "storing: {storing}");
        source.set(uid, "name", "N").unwrap();
        assert!(source.sync().await.unwrap().is_success());
        let third = keys(&server);
        assert!(third.len() == 1 && third != first);
    }
}

#[tokio::test]
async fn i10_every_change_has_a_key_of_its_own_and_it_is_stored_before_the_first_try() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    for row in source.data() {
        source.set(&row, "name", "x").unwrap();
    }
    server.set_holding(true);
    let sync = source.sync();
    held(&server, 3).await;
    let state = storage.load("rows").await.unwrap();
    let sent = keys(&server);
    assert_eq!(sent.iter().collect::<HashSet<_>>().len(), 3);
    for key in sent {
        assert!(state.rows.iter().any(|row| row.change.as_ref().is_some_and(|change| change.contains(&key))), "{key}");
    }
    server.set_holding(false);
    sync.await.unwrap();
}

#[tokio::test]
async fn g2_a_refused_connection_is_no_doubt() {
    let server = serving("[]").build();
    let source = kept(&server, MemoryStorage::new());
    source.read().await.unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    server.set_no_network(true);
    let report = source.sync().await.unwrap();
    assert!(report.failures().next().unwrap().result.as_ref().unwrap_err().is_no_network());
    let pending = source.pending();
    assert_eq!((pending[0].standing, pending[0].kind, pending[0].attempts), (Standing::Queued, ChangeKind::Create, 1));
    server.set_no_network(false);
    assert!(source.sync().await.unwrap().is_success());
    assert_eq!(rows(&server).len(), 1);
}

/// A record whose create is unanswered, and the same record as a read brought it.
async fn twins() -> (MockServer, DataSource, [Uid; 2]) {
    let server = serving("[]").fault(Fault::on(Operation::Create).lost()).build();
    let builder = DataSource::builder().transport(server.clone()).model(crate::help::model());
    let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    source.read().await.unwrap();
    let ours = source.add(record(r#"{"name":"n","note":""}"#)).unwrap();
    source.sync().await.unwrap();
    source.read().await.unwrap();
    let theirs = source.data().iter().map(landfall::Entry::uid).find(|uid| *uid != ours).unwrap();
    (server, source, [ours, theirs])
}

#[tokio::test]
async fn an_edit_of_a_row_that_a_read_shows_twice_is_kept_when_the_two_become_one() {
    for (synced, both) in [(false, false), (true, false), (false, true), (true, true)] {
        let (server, source, [ours, theirs]) = twins().await;
        source.set(theirs, "note", "edited").unwrap();
        if both {
            source.set(ours, "name", "N").unwrap();
        }
        if synced {
            // Accepted while offline: a change of its own.
            source.online(false).await.unwrap();
            source.sync().await.unwrap();
            source.online(true).await.unwrap();
        }
        let report = source.sync().await.unwrap();
        assert!(report.is_success(), "{report:?}");
        source.sync().await.unwrap();
        let name = if both { "N" } else { "n" };
        let whole = format!(r#"{{"name":"{name}","note":"edited","id":1}}"#);
        assert_eq!(data(&source), [whole.as_str()], "synced {synced}, both {both}");
        assert_eq!(rows(&server), [whole.as_str()]);
        assert_eq!(stored(&source).await, format!("[{whole}]"));
        assert!(source.pending().is_empty() && !source.has_changes());
        assert_eq!(source.total(), 1);
    }
}

#[tokio::test]
async fn a_draft_of_a_row_that_a_read_shows_twice_stays_a_draft() {
    let (server, source, [ours, theirs]) = twins().await;
    server.set_holding(true);
    let sync = source.sync();
    held(&server, 1).await;
    source.set(theirs, "note", "draft").unwrap();
    server.set_holding(false);
    assert!(sync.await.unwrap().is_success());
    assert_eq!(data(&source), [r#"{"name":"n","note":"draft","id":1}"#]);
    assert_eq!(source.at(0).unwrap().uid(), ours);
    assert_eq!(stored(&source).await, r#"[{"name":"n","note":"","id":1}]"#);
    source.cancel_changes().unwrap();
    assert_eq!(data(&source), [r#"{"name":"n","note":"","id":1}"#]);
}

#[tokio::test]
async fn g4_the_newer_of_the_two_is_what_is_kept() {
    let (server, source, [ours, _]) = twins().await;
    server.set_row(1, record(r#"{"note":"by somebody else"}"#));
    source.read().await.unwrap();
    source.set(ours, "name", "N").unwrap();
    assert!(source.sync().await.unwrap().is_success());
    let whole = r#"{"name":"N","note":"by somebody else","id":1}"#;
    assert_eq!((rows(&server), data(&source)), (vec![whole.to_owned()], vec![whole.to_owned()]));
    assert!(!source.has_changes());
}

/// A data source on a stored update in doubt, as another program finds it.
async fn doubted() -> (MockServer, MemoryStorage, DataSource) {
    let server = serving(r#"[{"id":1,"name":"a"}]"#).fault(Fault::on(Operation::Update).times(2).fail(504)).build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    (server, storage, source)
}

#[tokio::test]
async fn g6_what_was_withdrawn_behind_a_doubt_does_not_come_back_with_a_restart() {
    for removes in [true, false] {
        let (server, storage, source) = doubted().await;
        let uid = source.at(0).unwrap().uid();
        if removes {
            source.remove(uid).unwrap();
        } else {
            source.set(uid, "name", "B").unwrap();
        }
        source.sync().await.unwrap();
        if removes {
            source.cancel_changes().unwrap();
        } else {
            source.cancel_changes_of(uid).unwrap();
        }
        source.idle().await.unwrap();
        let row = r#"{"id":1,"name":"A"}"#;
        assert_eq!(data(&source), [row], "back to what is in doubt");
        let state = stored(&source).await;
        assert!(state.contains(r#""name":"A","__state__":"update""#), "{state}");
        drop(source);
        crate::help::calm().await;
        let again = kept(&server, storage);
        again.restore().await.unwrap();
        assert_eq!(data(&again), [row]);
        assert_eq!(again.pending()[0].standing, Standing::InDoubt);
        sent(&server);
        assert!(again.sync().await.unwrap().is_success());
        assert_eq!(sent(&server), [format!("update {row}")], "and nothing else");
        assert_eq!(rows(&server), [row]);
    }
}

#[tokio::test]
async fn g1_a_value_set_back_behind_a_doubt_is_a_change_also_after_a_read_or_a_push() {
    for pushed in [false, true] {
        let fault = Fault::on(Operation::Update).times(2).fail(504).apply(true);
        let server = serving(r#"[{"id":1,"name":"a","other":1}]"#).fault(fault).build();
        let source = kept(&server, MemoryStorage::new());
        source.read().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        source.sync().await.unwrap();
        source.set(source.at(0).unwrap(), "name", "a").unwrap();
        source.sync().await.unwrap();
        assert_eq!(source.pending()[0].standing, Standing::InDoubt);
        server.set_row(1, record(r#"{"other":2}"#));
        if pushed {
            source.push_update([record(r#"{"id":1,"name":"A","other":2}"#)]).unwrap();
        } else {
            source.read().await.unwrap();
        }
        assert_eq!(data(&source), [r#"{"id":1,"name":"a","other":2}"#], "pushed {pushed}");
        while !source.pending().is_empty() {
            source.sync().await.unwrap();
        }
        let name = |row: &str| record(row).get("name").unwrap().to_json();
        assert_eq!((name(&data(&source)[0]), name(&rows(&server)[0])), (r#""a""#.into(), r#""a""#.into()));
    }
}
