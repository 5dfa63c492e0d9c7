//! Doubts where the service honours no keys: looked up, repeated, or asked about (G2, I9, I12).

use crate::help::{data, failures, model, record, rows, sent, value};
use landfall::{
    Builder, ChangeKind, DataSource, Doubt, Error, ErrorKind, Found, LookUp, Record, Standing, Theirs,
    storage::MemoryStorage,
    transport::{Fault, MockServer, MockServerBuilder, Operation},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// One row, and no memory of keys.
fn forgetful() -> MockServerBuilder {
    MockServer::builder().row(record(r#"{"id":1,"key":"old","name":"a"}"#))
}

fn building(server: &MockServer, storage: &MemoryStorage) -> Builder {
    let builder = DataSource::builder().transport(server.clone()).model(model()).natural_key("key");
    builder.honours_idempotency_keys(false).storage(storage.clone(), "rows")
}

/// Looks into the server: by id, by natural key.
fn find(server: &MockServer, ask: &LookUp) -> Found {
    let found = match (ask.id(), ask.name()) {
        (Some(id), _) => server.row(id.clone()),
        (None, Some((field, value))) => server.rows().into_iter().find(|row| row.get(field) == Some(value)),
        (None, None) => return Found::Unknown,
    };
    found.map_or(Found::Missing, Found::Record)
}

fn looking(server: &MockServer, storage: &MemoryStorage, asked: &Arc<AtomicUsize>) -> DataSource {
    let (service, asked) = (server.clone(), Arc::clone(asked));
    let builder = building(server, storage).look_up(move |ask| {
        asked.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(find(&service, &ask)))
    });
    builder.build().unwrap()
}

fn change(source: &DataSource, kind: ChangeKind) {
    match kind {
        ChangeKind::Create => drop(source.add(record(r#"{"key":"new","name":"n"}"#)).unwrap()),
        ChangeKind::Update => source.set(source.at(0).unwrap(), "name", "A").unwrap(),
        ChangeKind::Destroy => source.remove(source.at(0).unwrap()).unwrap(),
    }
}

const KINDS: [ChangeKind; 3] = [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy];

/// What the server has in the end, when the change was applied once.
fn expected(kind: ChangeKind) -> Vec<String> {
    let old = r#"{"id":1,"key":"old","name":"a"}"#.to_owned();
    match kind {
        ChangeKind::Create => vec![old, r#"{"key":"new","name":"n","id":2}"#.to_owned()],
        ChangeKind::Update => vec![r#"{"id":1,"key":"old","name":"A"}"#.to_owned()],
        ChangeKind::Destroy => vec![],
    }
}

#[tokio::test]
async fn i9_a_lost_answer_is_looked_up_and_nothing_is_applied_twice() {
    for kind in KINDS {
        for (applied, restart) in [(true, false), (false, false), (true, true), (false, true)] {
            let case = format!("{kind}, applied {applied}, restart {restart}");
            let server = forgetful().fault(Fault::on(kind.into()).lost().apply(applied)).build();
            let (storage, asked) = (MemoryStorage::new(), Arc::default());
            let mut source = looking(&server, &storage, &asked);
            source.read().await.unwrap();
            change(&source, kind);
            source.sync().await.unwrap();
            assert_eq!(source.pending()[0].standing, Standing::InDoubt, "{case}");
            assert_eq!(sent(&server).len(), 1);
            if restart {
                drop(source);
                source = looking(&server, &storage, &asked);
                source.restore().await.unwrap();
            }
            let report = source.sync().await.unwrap();
            assert_eq!((report.done(), report.outcomes.len()), (1, 1), "{case}");
            assert_eq!(sent(&server).len(), usize::from(!applied), "{case}: sent again only if it did not get through");
            assert_eq!(asked.load(Ordering::Relaxed), 1);
            assert_eq!(rows(&server), expected(kind), "{case}");
            assert!(source.pending().is_empty() && !source.has_changes(), "{case}");
            let ids = |rows: Vec<String>| rows.iter().map(|row| record(row).get("id").cloned()).collect::<Vec<_>>();
            assert_eq!(ids(data(&source)), ids(expected(kind)), "{case}");
        }
    }
}

#[tokio::test]
async fn i10_what_was_edited_since_follows_what_was_looked_up() {
    for (applied, requests) in
        [(true, vec![r#"update {"key":"new","name":"N","id":2}"#]), (false, vec![r#"create {"key":"new","name":"N"}"#])]
    {
        let server = forgetful().fault(Fault::on(Operation::Create).lost().apply(applied)).build();
        let source = looking(&server, &MemoryStorage::new(), &Arc::default());
        source.read().await.unwrap();
        let uid = source.add(record(r#"{"key":"new","name":"n"}"#)).unwrap();
        source.sync().await.unwrap();
        sent(&server);
        source.set(uid, "name", "N").unwrap();
        source.sync().await.unwrap();
        let cleaned: Vec<String> = sent(&server).iter().map(|text| text.replace(r#","id":"""#, "")).collect();
        assert_eq!(cleaned, requests);
        assert_eq!(server.row(2).unwrap().get("name").unwrap().as_str(), Some("N"));
        assert!(source.pending().is_empty());
    }
}

#[tokio::test]
async fn i9_a_removal_of_what_was_never_made_leaves_nothing() {
    let server = forgetful().fault(Fault::on(Operation::Create).lost().apply(false)).build();
    let source = looking(&server, &MemoryStorage::new(), &Arc::default());
    source.read().await.unwrap();
    let uid = source.add(record(r#"{"key":"new","name":"n"}"#)).unwrap();
    source.sync().await.unwrap();
    source.remove(uid).unwrap();
    sent(&server);
    source.sync().await.unwrap();
    assert_eq!(sent(&server), [""; 0]);
    assert!(source.pending().is_empty() && !source.has_changes());
}

#[tokio::test]
async fn i12_an_update_in_doubt_that_meets_another_version_is_a_conflict() {
    let server = forgetful().fault(Fault::on(Operation::Update).lost().apply(false)).build();
    let source = looking(&server, &MemoryStorage::new(), &Arc::default());
    source.read().await.unwrap();
    change(&source, ChangeKind::Update);
    source.sync().await.unwrap();
    server.set_row(1, record(r#"{"name":"theirs"}"#));
    assert_eq!(failures(&source.sync().await.unwrap()), [ErrorKind::Conflict]);
    let conflict = source.inbox().remove(0);
    let theirs = conflict.failure.as_ref().unwrap().theirs.record().unwrap().to_json();
    assert_eq!(theirs, r#"{"id":1,"key":"old","name":"theirs"}"#);
    assert_eq!(source.keep_mine(conflict.uid).await.unwrap().done(), 1);
    assert_eq!(rows(&server), expected(ChangeKind::Update));

    let server = forgetful().fault(Fault::on(Operation::Update).lost().apply(false)).build();
    let source = looking(&server, &MemoryStorage::new(), &Arc::default());
    source.read().await.unwrap();
    change(&source, ChangeKind::Update);
    source.sync().await.unwrap();
    server.remove_row(1);
    source.sync().await.unwrap();
    assert_eq!(source.inbox()[0].failure.as_ref().unwrap().theirs, Theirs::Gone);
}

#[tokio::test]
async fn i9_each_of_a_batch_in_doubt_is_looked_up() {
    for applied in [true, false] {
        let server = forgetful().fault(Fault::on(Operation::Create).lost().apply(applied)).build();
        let service = server.clone();
        let builder = building(&server, &MemoryStorage::new()).batch(true);
        let source = builder.look_up(move |ask| std::future::ready(Ok(find(&service, &ask)))).build().unwrap();
        source.read().await.unwrap();
        for key in ["x", "y"] {
            source.add(Record::from([("key", key)])).unwrap();
        }
        source.sync().await.unwrap();
        assert_eq!(sent(&server).len(), 1);
        assert_eq!(source.sync().await.unwrap().done(), 2);
        assert_eq!(sent(&server).len(), usize::from(!applied));
        assert_eq!(rows(&server).len(), 3);
        assert!(source.pending().is_empty());
    }
}

#[tokio::test]
async fn where_nobody_knows_it_is_repeated_by_default() {
    for kind in KINDS {
        for looks_up in [false, true] {
            let server = forgetful().fault(Fault::on(kind.into()).lost()).build();
            let mut builder = building(&server, &MemoryStorage::new());
            if looks_up {
                builder = builder.look_up(async |_ask| Ok(Found::Unknown));
            }
            let source = builder.build().unwrap();
            source.read().await.unwrap();
            change(&source, kind);
            source.sync().await.unwrap();
            let first = sent(&server);
            assert_eq!(source.sync().await.unwrap().done(), 1, "{kind} {looks_up}");
            assert_eq!(sent(&server), first);
            assert_eq!(rows(&server).len(), [3, 1, 0][kind as usize], "a create is there twice");
        }
    }
}

/// A change in doubt that somebody has to decide about.
async fn asking(kind: ChangeKind, looks_up: bool) -> (MockServer, MemoryStorage, DataSource) {
    let server = forgetful().fault(Fault::on(kind.into()).lost()).build();
    let storage = MemoryStorage::new();
    let mut builder = building(&server, &storage).when_in_doubt(Doubt::Ask).retry_in_background(true);
    if looks_up {
        builder = builder.look_up(async |_ask| Ok(Found::Unknown));
    }
    let source = builder.build().unwrap();
    source.read().await.unwrap();
    change(&source, kind);
    source.sync().await.unwrap();
    sent(&server);
    // The next one finds out that nobody knows.
    source.sync().await.unwrap();
    (server, storage, source)
}

#[tokio::test(start_paused = true)]
async fn g2_where_nobody_knows_and_somebody_is_to_be_asked_it_waits_in_the_inbox() {
    for kind in KINDS {
        for looks_up in [false, true] {
            let (server, _, source) = asking(kind, looks_up).await;
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(failures(&source.sync().await.unwrap()), [ErrorKind::InDoubt]);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(sent(&server), [""; 0], "neither by an explicit sync nor by itself");
            let inbox = source.inbox();
            assert_eq!((inbox.len(), inbox[0].standing, inbox[0].attempts), (1, Standing::InDoubt, 1));
            assert!(inbox[0].explain().contains("in doubt"), "{}", inbox[0].explain());
            source.set(source.add(record(r#"{"key":"other"}"#)).unwrap(), "name", "o").unwrap();
            assert_eq!(source.sync().await.unwrap().done(), 1, "it blocks only itself");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g2_an_answer_of_the_user_settles_the_doubt() {
    for kind in KINDS {
        for looks_up in [false, true] {
            let (server, _, source) = asking(kind, looks_up).await;
            let change = source.inbox().remove(0);
            assert_eq!(source.retry(change.uid).await.unwrap().done(), 1);
            assert_eq!(sent(&server).len(), 1, "repeated");
            assert!(source.pending().is_empty());

            let (server, storage, source) = asking(kind, looks_up).await;
            let change = source.inbox().remove(0);
            let there = server.rows().last().cloned().filter(|_| kind == ChangeKind::Create);
            if kind == ChangeKind::Create {
                assert_eq!(crate::help::kind(source.confirm(change.uid, None).await), ErrorKind::Rejected);
            }
            source.confirm(change.uid, there).await.unwrap();
            for source in [source, building(&server, &storage).build().unwrap()] {
                source.restore().await.unwrap();
                assert!(source.pending().is_empty() && !source.has_changes());
                assert_eq!(data(&source).len(), expected(kind).len());
                source.sync().await.unwrap();
            }
            assert_eq!(sent(&server), [""; 0]);
            assert_eq!(rows(&server), expected(kind));

            let (server, storage, source) = asking(kind, looks_up).await;
            let change = source.inbox().remove(0);
            source.discard(change.uid).await.unwrap();
            for source in [source, building(&server, &storage).build().unwrap()] {
                source.restore().await.unwrap();
                assert_eq!(data(&source), [r#"{"id":1,"key":"old","name":"a"}"#]);
                assert!(source.pending().is_empty() && !source.has_changes());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_fails_leaves_the_doubt_and_is_made_again_later() {
    let server = forgetful().fault(Fault::on(Operation::Create).lost()).build();
    let asked = Arc::new(AtomicUsize::new(0));
    let (service, counted) = (server.clone(), Arc::clone(&asked));
    let builder = building(&server, &MemoryStorage::new()).retry_in_background(true);
    let source = builder
        .look_up(move |ask| {
            let found = match counted.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Error::from(ErrorKind::TimedOut)),
                1 => panic!("on purpose"),
                2 => Err(Error::from(ErrorKind::Status(401))),
                _ => Ok(find(&service, &ask)),
            };
            std::future::ready(found)
        })
        .build()
        .unwrap();
    source.read().await.unwrap();
    change(&source, ChangeKind::Create);
    source.sync().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3, "the third one holds the queue for a login");
    let pending = source.pending();
    assert_eq!((pending[0].standing, pending[0].attempts), (Standing::InDoubt, 1));
    assert_eq!(source.resume().await.unwrap().done(), 1);
    assert_eq!(rows(&server), expected(ChangeKind::Create));
}

#[tokio::test(start_paused = true)]
async fn i9_a_request_that_may_have_been_applied_is_not_repeated_within_a_call() {
    for (honours, creates) in [(false, 1), (true, 2)] {
        let server = forgetful().fault(Fault::on(Operation::Create).lost()).build();
        let builder = building(&server, &MemoryStorage::new()).honours_idempotency_keys(honours).retries(3);
        let source = builder.build().unwrap();
        source.read().await.unwrap();
        change(&source, ChangeKind::Create);
        source.sync().await.unwrap();
        assert_eq!(server.count(Operation::Create), creates);
    }
}

#[tokio::test]
async fn where_keys_are_honoured_nothing_is_looked_up() {
    let server = forgetful().idempotency(true).fault(Fault::on(Operation::Create).lost()).build();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let builder = building(&server, &MemoryStorage::new()).honours_idempotency_keys(true);
    let source = builder
        .look_up(move |_ask| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(Found::Missing))
        })
        .build()
        .unwrap();
    source.read().await.unwrap();
    change(&source, ChangeKind::Create);
    source.sync().await.unwrap();
    assert_eq!(source.sync().await.unwrap().done(), 1);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(rows(&server), expected(ChangeKind::Create));
}

#[tokio::test]
async fn i12_the_other_side_of_a_conflict_is_looked_up_where_the_refusal_does_not_show_it() {
    for (kind, gone) in [(ChangeKind::Update, false), (ChangeKind::Destroy, false), (ChangeKind::Update, true)] {
        let refusal = Fault::on(kind.into()).fail(412).saying(value(r#"{"why":"edited"}"#));
        let server = forgetful().fault(refusal).build();
        let source = looking(&server, &MemoryStorage::new(), &Arc::default());
        source.read().await.unwrap();
        change(&source, kind);
        server.set_row(1, record(r#"{"name":"theirs"}"#));
        if gone {
            server.remove_row(1);
        }
        source.sync().await.unwrap();
        let conflict = source.inbox().remove(0);
        match &conflict.failure.as_ref().unwrap().theirs {
            Theirs::Record(theirs) => assert_eq!(theirs.get("name").unwrap().as_str(), Some("theirs")),
            other => assert_eq!((other, gone), (&Theirs::Gone, true)),
        }
        source.take_theirs(conflict.uid).await.unwrap();
        assert_eq!(data(&source), rows(&server));
        assert!(!source.has_changes());
    }
}

#[tokio::test]
async fn i16_a_data_source_dropped_while_it_looks_up_asks_again() {
    let server = forgetful().fault(Fault::on(Operation::Create).lost()).build();
    let storage = MemoryStorage::new();
    let (start, started) = tokio::sync::oneshot::channel::<()>();
    let start = std::sync::Mutex::new(Some(start));
    let builder = building(&server, &storage).look_up(move |_ask| {
        if let Some(start) = start.lock().unwrap().take() {
            start.send(()).unwrap();
        }
        std::future::pending()
    });
    let source = builder.build().unwrap();
    source.read().await.unwrap();
    change(&source, ChangeKind::Create);
    source.sync().await.unwrap();
    let sync = source.sync();
    started.await.unwrap();
    assert_eq!(crate::help::kind(source.discard(source.pending()[0].uid).await), ErrorKind::Invalid);
    drop((sync, source));
    let source = looking(&server, &storage, &Arc::default());
    source.restore().await.unwrap();
    assert_eq!(source.sync().await.unwrap().done(), 1);
    assert_eq!(rows(&server), expected(ChangeKind::Create));
}
