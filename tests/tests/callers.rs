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
    DataSource, EventKind, Model, QueryOptions, Record, Sort,
    storage::{MemoryStorage, Storage},
    transport::{MockServer, Operation},
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

fn server() -> MockServer {
    MockServer::builder()
        .rows([row(r#"{"id":1,"name":"a"}"#), row(r#"{"id":2,"name":"b"}"#)])
        .latency(Duration::from_millis(1))
        .idempotency(true)
        .build()
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
        ("query", |s| of(s.query(QueryOptions::default()))),
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
    let calls: [(&str, Call); 10] = [
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
