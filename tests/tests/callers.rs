//! What callers may do to a data source: drop its futures half way, panic in its callbacks, call it from its own events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::future_not_send,
    reason = "tests may stop at the first surprise"
)]
#![forbid(unsafe_code)]

use landfall::{
    Aggregate, DataSource, Doubt, EventKind, Filter, Group, Model, QueryOptions, Record, Sort, Uid,
    connectivity::Connectivity,
    storage::{MemoryStorage, Storage},
    transport::{Fault, MockServer, MockServerBuilder, Operation},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

type Work = Pin<Box<dyn Future<Output = ()>>>;

const EVENTS: [EventKind; 10] = [
    EventKind::RequestStart,
    EventKind::Progress,
    EventKind::Reset,
    EventKind::Sort,
    EventKind::RequestEnd,
    EventKind::Change,
    EventKind::Sync,
    EventKind::Error,
    EventKind::Push,
    EventKind::Outcome,
];

fn row(json: &str) -> Record {
    Record::from_json(json).unwrap()
}

fn building() -> MockServerBuilder {
    MockServer::builder()
        .rows([row(r#"{"id":1,"name":"a"}"#), row(r#"{"id":2,"name":"b"}"#)])
        .latency(Duration::from_millis(1))
        .idempotency(true)
}

fn server() -> MockServer {
    building().build()
}

fn source(server: &MockServer, storage: &(impl Storage + Clone)) -> DataSource {
    DataSource::builder()
        .transport(server.clone())
        .model(Model::new().id("id"))
        .storage(storage.clone(), "k")
        .build()
        .unwrap()
}

type Call = fn(&DataSource);
type Start = fn(&DataSource) -> Work;

/// Every public operation that gives a future.
fn operations() -> Vec<(&'static str, Start)> {
    fn of<T: 'static>(work: impl Future<Output = T> + 'static) -> Work {
        Box::pin(async move { drop(work.await) })
    }
    vec![
        ("read", |s| of(s.read())),
        ("fetch", |s| of(s.fetch())),
        ("restore", |s| of(s.restore())),
        ("sync", |s| of(s.sync())),
        ("online", |s| of(s.online(true))),
        ("offline", |s| of(s.online(false))),
        ("read_with", |s| of(s.read_with(row(r#"{"more":1}"#)))),
        ("resume", |s| of(s.resume())),
        ("restore_with", |s| of(s.restore_with(|_| ()))),
        ("query", |s| of(s.query(QueryOptions::default()))),
        ("filter", |s| of(s.filter(Filter::neq("name", "b")))),
        ("group", |s| of(s.group([Group::asc("name")]))),
        ("aggregate", |s| of(s.aggregate([Aggregate::count("name")]))),
        ("page_size", |s| of(s.page_size(1))),
        ("next_page", |s| of(s.next_page().1)),
        ("previous_page", |s| of(s.previous_page().1)),
        ("next_page_with", |s| of(s.next_page_with(QueryOptions::default()).1)),
        ("previous_page_with", |s| of(s.previous_page_with(QueryOptions::default()).1)),
        ("follow", |s| of(s.follow(Connectivity::manual(true).1))),
        ("sort", |s| of(s.sort([Sort::asc("name")]))),
        ("page", |s| of(s.page(1))),
        ("idle", |s| of(s.idle())),
        ("set_data", |s| of(s.set_data([row(r#"{"id":1,"name":"z"}"#)]).unwrap())),
        ("offline_data", |s| {
            let s = s.clone();
            of(async move { s.offline_data().await })
        }),
        ("storage_usage", |s| {
            let s = s.clone();
            of(async move { s.storage_usage().await })
        }),
    ]
}

/// Polls so many times, then drops.
async fn poll_then_drop(mut work: Work, times: usize) -> bool {
    for _ in 0..times {
        let ready = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await;
        if ready {
            return true;
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    false
}

fn on_a_runtime(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), work).await.expect("it hangs");
    });
}

/// I16: whatever is dropped whenever, the accepted change arrives once and the next calls work.
#[test]
fn futures_dropped_at_any_poll_lose_nothing() {
    on_a_runtime(async {
        for (name, operation) in operations() {
            for times in 0..12 {
                let (server, storage) = (server(), MemoryStorage::new());
                let source = source(&server, &storage);
                source.fetch().await.unwrap();
                source.online(false).await.unwrap();
                source.set(source.at(0).unwrap(), "name", "edited").unwrap();
                source.add(row(r#"{"name":"new"}"#)).unwrap();
                source.sync().await.unwrap();
                if name != "online" {
                    drop(source.online(true));
                }
                let ended = poll_then_drop(operation(&source), times).await;
                source.idle().await.unwrap();
                source.online(true).await.unwrap();
                assert!(source.sync().await.unwrap().is_success(), "{name} dropped after {times}");
                assert!(!source.has_changes() && source.pending().is_empty(), "{name} dropped after {times}");
                let rows = server.rows();
                let named = |wanted: &str| {
                    rows.iter().filter(|row| row.get("name").and_then(|name| name.as_str()) == Some(wanted)).count()
                };
                assert_eq!((named("edited"), named("new")), (1, 1), "{name} dropped after {times}");
                assert_eq!(server.count(Operation::Create), 1, "{name} dropped after {times}");
                if ended {
                    break;
                }
            }
        }
    });
}

/// The calls that a program makes first, on a store with a pending change.
#[test]
fn first_calls_dropped_at_any_poll_lose_nothing() {
    on_a_runtime(async {
        for (name, operation) in operations() {
            if matches!(name, "set_data" | "offline" | "follow") {
                continue;
            }
            for times in 0..12 {
                let (server, storage) = (server(), MemoryStorage::new());
                let before = source(&server, &storage);
                before.fetch().await.unwrap();
                before.online(false).await.unwrap();
                before.set(before.at(0).unwrap(), "name", "edited").unwrap();
                before.sync().await.unwrap();
                drop(before);
                let source = source(&server, &storage);
                let ended = poll_then_drop(operation(&source), times).await;
                source.idle().await.unwrap();
                source.restore().await.unwrap();
                assert!(source.sync().await.unwrap().is_success(), "{name} dropped after {times}");
                assert!(source.pending().is_empty(), "{name} dropped after {times}");
                assert_eq!(server.row(1), Some(row(r#"{"id":1,"name":"edited"}"#)), "{name} dropped after {times}");
                assert_eq!(server.count(Operation::Update), 1, "{name} dropped after {times}");
                if ended {
                    break;
                }
            }
        }
    });
}

/// A first change in conflict: the server has another name by now, and says so.
async fn conflict(server: &MockServer, storage: &MemoryStorage) -> (DataSource, Uid) {
    let source = source(server, storage);
    source.fetch().await.unwrap();
    server.set_row(1, row(r#"{"name":"theirs"}"#));
    source.set(source.at(0).unwrap(), "name", "mine").unwrap();
    source.sync().await.unwrap();
    let uid = source.inbox()[0].uid;
    (source, uid)
}

type Decide = fn(&DataSource, Uid) -> Work;

/// Decisions are made and stored whether anybody waits for them or not.
#[test]
fn decisions_dropped_at_any_poll_are_made() {
    fn of<T: 'static>(work: impl Future<Output = landfall::Result<T>> + 'static) -> Work {
        Box::pin(async move { drop(work.await.unwrap()) })
    }
    let decisions: [(&str, Decide, &str, &str); 6] = [
        ("retry", |s, uid| of(s.retry(uid)), "mine", "mine"),
        (
            "edit_and_retry",
            |s, uid| of(s.edit_and_retry(uid, |row| drop(row.set("name", "better")))),
            "better",
            "better",
        ),
        ("discard", |s, uid| of(s.discard(uid)), "a", "theirs"),
        ("keep_mine", |s, uid| of(s.keep_mine(uid)), "mine", "mine"),
        ("take_theirs", |s, uid| of(s.take_theirs(uid)), "theirs", "theirs"),
        ("sync", |s, _| of(s.sync()), "mine", "mine"),
    ];
    on_a_runtime(async {
        for (name, decide, here, there) in decisions {
            for times in 0..12 {
                let refused = Fault::on(Operation::Update).fail(409).saying(row(r#"{"id":1,"name":"theirs"}"#));
                let server = building().fault(refused).build();
                let storage = MemoryStorage::new();
                let (first, uid) = conflict(&server, &storage).await;
                let ended = poll_then_drop(decide(&first, uid), times).await;
                first.idle().await.unwrap();
                for source in [first, source(&server, &storage)] {
                    source.restore().await.unwrap();
                    assert!(source.pending().is_empty(), "{name} dropped after {times}: {:?}", source.pending());
                    let shown = source.get(1).unwrap().get("name").unwrap().to_text();
                    assert_eq!(shown.as_str(), here, "{name} dropped after {times}");
                }
                assert_eq!(server.row(1).unwrap().get("name").unwrap().to_text().as_str(), there, "{name}");
                if ended {
                    break;
                }
            }
        }
    });
}

/// What somebody decides about a doubt, and the end of a hold.
#[test]
fn confirm_and_resume_dropped_at_any_poll_are_done() {
    on_a_runtime(async {
        for times in 0..12 {
            let server = building().idempotency(false).fault(Fault::on(Operation::Update).lost()).build();
            let storage = MemoryStorage::new();
            let builder = DataSource::builder().transport(server.clone()).model(Model::new().id("id"));
            let builder = builder.honours_idempotency_keys(false).when_in_doubt(Doubt::Ask);
            let source: DataSource = builder.storage(storage.clone(), "k").build().unwrap();
            source.fetch().await.unwrap();
            source.set(source.at(0).unwrap(), "name", "edited").unwrap();
            source.sync().await.unwrap();
            let uid = source.inbox()[0].uid;
            let confirming = source.confirm(uid, None);
            let ended = poll_then_drop(Box::pin(async move { confirming.await.unwrap() }), times).await;
            source.idle().await.unwrap();
            assert!(source.pending().is_empty(), "confirm dropped after {times}");
            assert!(!source.offline_data().await.unwrap().to_json().contains("__state__"));
            assert_eq!(server.count(Operation::Update), 1);
            if ended {
                break;
            }
        }
        for times in 0..12 {
            let server = building().fault(Fault::on(Operation::Update).fail(401)).build();
            let source = source(&server, &MemoryStorage::new());
            source.fetch().await.unwrap();
            source.set(source.at(0).unwrap(), "name", "edited").unwrap();
            source.sync().await.unwrap();
            assert_eq!(source.pending().len(), 1);
            let resuming = source.resume();
            let ended = poll_then_drop(Box::pin(async move { drop(resuming.await.unwrap()) }), times).await;
            source.idle().await.unwrap();
            assert!(source.pending().is_empty(), "resume dropped after {times}");
            assert_eq!(server.row(1), Some(row(r#"{"id":1,"name":"edited"}"#)));
            if ended {
                break;
            }
        }
    });
}

/// A state that is put in is there as a whole, whether anybody waits for it or not.
#[test]
fn states_put_in_dropped_at_any_poll_are_there() {
    on_a_runtime(async {
        for replace in [false, true] {
            for times in 0..12 {
                let (server, storage) = (server(), MemoryStorage::new());
                let source = source(&server, &storage);
                source.fetch().await.unwrap();
                let state = landfall::Value::from_json(r#"[{"id":7,"name":"put in","__state__":"update"}]"#).unwrap();
                let putting =
                    if replace { source.replace_offline_data(&state) } else { source.set_offline_data(&state) };
                let ended = poll_then_drop(Box::pin(async move { putting.await.unwrap() }), times).await;
                source.idle().await.unwrap();
                assert_eq!(source.offline_data().await.unwrap(), state, "dropped after {times}");
                if ended {
                    break;
                }
            }
        }
    });
}

/// I17: after the last handle is gone nothing is sent any more, and what was accepted is in the storage.
#[test]
fn a_data_source_dropped_while_it_syncs_leaves_its_changes_for_the_next() {
    on_a_runtime(async {
        for micros in [0, 200, 500, 900, 1500, 3000] {
            let (server, storage) = (server(), MemoryStorage::new());
            let first = source(&server, &storage);
            first.fetch().await.unwrap();
            first.set(first.at(0).unwrap(), "name", "edited").unwrap();
            first.add(row(r#"{"name":"new"}"#)).unwrap();
            first.online(false).await.unwrap();
            first.sync().await.unwrap();
            drop(first.online(true));
            tokio::time::sleep(Duration::from_micros(micros)).await;
            drop(first);
            tokio::time::sleep(Duration::from_millis(10)).await;
            let (sent, before) = (server.requests().len(), storage.load("k").await.unwrap().revision);
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!((server.requests().len(), storage.load("k").await.unwrap().revision), (sent, before));
            let second = source(&server, &storage);
            second.restore().await.unwrap();
            assert!(second.sync().await.unwrap().is_success());
            let names: Vec<String> =
                server.rows().iter().map(|row| row.get("name").unwrap().to_text().to_string()).collect();
            assert_eq!(names.iter().filter(|name| *name == "new").count(), 1, "{micros}: {names:?}");
            assert!(names.iter().any(|name| name == "edited"), "{micros}: {names:?}");
        }
    });
}

/// I18: a handler that panics changes nothing for anybody else.
#[test]
fn panicking_handlers_half_apply_nothing() {
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("on purpose") {
            std::io::Write::write_all(&mut std::io::stderr(), format!("{info}\n").as_bytes()).unwrap();
        }
    }));
    on_a_runtime(async {
        for kind in EVENTS {
            let (server, storage) = (server(), MemoryStorage::new());
            let source = source(&server, &storage);
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&calls);
            source.on(kind, |_| panic!("on purpose"));
            source.on(kind, move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
            });
            source.fetch().await.unwrap();
            source.set(source.at(0).unwrap(), "name", "edited").unwrap();
            source.add(row(r#"{"name":"new"}"#)).unwrap();
            source.sort([Sort::asc("name")]).await.unwrap();
            source.push_update([row(r#"{"id":2,"name":"pushed"}"#)]).unwrap();
            assert!(source.sync().await.unwrap().is_success(), "{kind:?}");
            server.set_no_network(true);
            source.read().await.unwrap_err();
            server.set_no_network(false);
            source.read().await.unwrap();
            assert_eq!(source.len(), 3, "{kind:?}");
            assert!(!source.has_changes(), "{kind:?}");
            assert!(calls.load(Ordering::Relaxed) > 0, "{kind:?}: the handler after the one that panics is called");
        }
    });
    drop(std::panic::take_hook());
}

/// I19: handlers may call whatever they like; nothing waits for itself, and nothing is lost.
#[test]
fn handlers_may_call_the_data_source() {
    let calls: [(&str, Call); 18] = [
        ("set", |s| drop(s.at(0).map(|row| s.set(row, "name", "inside")))),
        ("add", |s| drop(s.add(row(r#"{"name":"inside"}"#)))),
        ("remove", |s| drop(s.at(2).map(|row| s.remove(row)))),
        ("cancel", |s| drop(s.cancel_changes())),
        ("sync", |s| drop(s.sync())),
        ("read", |s| drop(s.read())),
        ("offline", |s| drop(s.online(false))),
        ("online", |s| drop(s.online(true))),
        ("view", |s| drop(s.view())),
        ("push", |s| drop(s.push_update([row(r#"{"id":2,"name":"pushed"}"#)]))),
        ("query", |s| drop(s.query(QueryOptions::default()))),
        ("filter", |s| drop(s.filter(Filter::neq("name", "z")))),
        ("cancel_read", |s| drop(s.cancel_read().then(|| s.read()))),
        ("cancel_sync", |s| drop(s.cancel_sync().then(|| s.cancel_changes()))),
        ("restore_with", |s| drop(s.restore_with(|_| ()))),
        ("edit_array", |s| drop(s.at(0).map(|row| s.edit_array(row, "name", Vec::clear)))),
        ("decide", |s| {
            for change in s.pending() {
                drop(s.edit_and_retry(change.uid, |row| drop(row.set("name", "decided"))));
            }
        }),
        ("wait", |s| drop((s.sync().wait(), s.read().wait(), s.idle().wait()))),
    ];
    on_a_runtime(async {
        for kind in EVENTS {
            for (name, call) in calls {
                let (server, storage) = (server(), MemoryStorage::new());
                let source = source(&server, &storage);
                let weak = source.downgrade();
                let left = AtomicUsize::new(3);
                source.on(kind, move |_| {
                    // Enough to go round once or twice, not for ever.
                    let more = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
                    if let (true, Some(source)) = (more, weak.upgrade()) {
                        call(&source);
                    }
                });
                // Some of these fail by what the handler did; none may hang.
                drop(source.fetch().await);
                if let Some(first) = source.at(0) {
                    drop(source.set(first, "name", "edited"));
                }
                drop(source.sort([Sort::asc("name")]).await);
                drop(source.push_update([row(r#"{"id":2,"name":"pushed"}"#)]));
                drop(source.sync().await);
                server.set_no_network(true);
                drop(source.read().await);
                server.set_no_network(false);
                source.idle().await.unwrap();
                drop(source.online(true).await);
                source.idle().await.unwrap();
                assert!(source.sync().await.unwrap().is_success(), "{name} in {kind:?}");
                source.idle().await.unwrap();
                assert!(source.pending().is_empty(), "{name} in {kind:?}: {:?}", source.pending());
            }
        }
    });
}
