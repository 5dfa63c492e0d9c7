//! What the tests have in common.

use landfall::{DataSource, Entry, Error, ErrorKind, Event, EventKind, Model, Record, SyncReport, Value};
use landfall::{
    storage::Storage,
    transport::{MockServer, MockServerBuilder},
};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

pub(crate) fn record(json: &str) -> Record {
    Record::from_json(json).unwrap()
}

pub(crate) fn value(json: &str) -> Value {
    Value::from_json(json).unwrap()
}

/// A server with rows given as a list, that honours idempotency keys.
pub(crate) fn serving(rows: &str) -> MockServerBuilder {
    let rows = value(rows);
    let rows = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone());
    MockServer::builder().rows(rows.collect::<Vec<_>>()).idempotency(true)
}

/// A server with three rows.
pub(crate) fn three() -> MockServerBuilder {
    serving(r#"[{"id":1,"name":"a"},{"id":2,"name":"b"},{"id":3,"name":"c"}]"#)
}

pub(crate) fn model() -> Model {
    Model::new().id("id")
}

/// Without an offline storage.
pub(crate) fn online(server: &MockServer) -> DataSource {
    DataSource::builder().transport(server.clone()).model(model()).build().unwrap()
}

/// With one.
pub(crate) fn kept(server: &MockServer, storage: impl Storage) -> DataSource {
    DataSource::builder().transport(server.clone()).model(model()).storage(storage, "rows").build().unwrap()
}

/// The data as JSON texts.
pub(crate) fn data(source: &DataSource) -> Vec<String> {
    texts(&source.data())
}

/// The view as JSON texts.
pub(crate) fn view(source: &DataSource) -> Vec<String> {
    texts(&source.rows())
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.record().to_json()).collect()
}

pub(crate) fn ids(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.get("id").map_or_else(|| "none".to_owned(), Value::to_json)).collect()
}

/// The rows of the server.
pub(crate) fn rows(server: &MockServer) -> Vec<String> {
    server.rows().iter().map(Record::to_json).collect()
}

/// What was sent since the last call, reads left out: operation and data.
pub(crate) fn sent(server: &MockServer) -> Vec<String> {
    let writes = server.take_requests().into_iter().filter(|request| request.operation.as_str() != "read");
    writes.map(|request| format!("{} {}", request.operation, request.data.to_json())).collect()
}

/// The keys of the writes since the last call.
pub(crate) fn keys(server: &MockServer) -> Vec<String> {
    server.take_requests().into_iter().filter_map(|request| request.key).map(|key| key.as_str().to_owned()).collect()
}

pub(crate) async fn stored(source: &DataSource) -> String {
    source.offline_data().await.unwrap().to_json()
}

pub(crate) fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => error.kind().clone(),
    }
}

pub(crate) fn failures(report: &SyncReport) -> Vec<ErrorKind> {
    report.failures().map(|failure| failure.result.clone().unwrap_err().kind().clone()).collect()
}

/// Runs on a thread of its own, of this name, and fails when it takes too long. Panics that are meant are not printed.
pub(crate) fn within(thread: &str, what: &str, work: impl FnOnce() + Send + 'static) {
    crate::hooks::quietly();
    let (ended, end) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name(thread.to_owned()).spawn(move || {
        work();
        drop(ended);
    });
    match end.recv_timeout(Duration::from_secs(20)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: it hangs"),
        _ => thread.unwrap().join().unwrap_or_else(|_| panic!("{what}")),
    }
}

/// Waits until the server holds this many replies back.
pub(crate) async fn held(server: &MockServer, count: usize) {
    while server.held() < count {
        tokio::task::yield_now().await;
    }
}

/// Gives everything that can go on the time to do so.
pub(crate) async fn calm() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Events in short: `start:read progress reset end:read change:sync error push:update`.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn of(source: &DataSource) -> Self {
        let log = Self::default();
        let kinds = [
            EventKind::RequestStart,
            EventKind::Progress,
            EventKind::Reset,
            EventKind::Sort,
            EventKind::RequestEnd,
            EventKind::Change,
            EventKind::Sync,
            EventKind::Error,
            EventKind::Push,
        ];
        for kind in kinds {
            let log = log.clone();
            source.on(kind, move |event| log.add(short(event)));
        }
        log
    }

    pub(crate) fn add(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(" ")
    }
}

fn short(event: &Event) -> String {
    let operation = event.operation.map(|operation| format!(":{operation}")).unwrap_or_default();
    let action = event.action.map(|action| format!(":{}", action.as_str())).unwrap_or_default();
    let name = match event.kind {
        EventKind::RequestStart => "start",
        EventKind::Progress => "progress",
        EventKind::Reset => "reset",
        EventKind::Sort => "sort",
        EventKind::RequestEnd => "end",
        EventKind::Change => "change",
        EventKind::Sync => "sync",
        EventKind::Error => "error",
        EventKind::Push => "push",
        _ => "other",
    };
    format!("{name}{operation}{action}")
}
