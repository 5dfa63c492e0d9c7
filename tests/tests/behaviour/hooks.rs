//! Hooks of the program's that panic (I18). Handlers that do are in `callers`.

use crate::help::{failures, kept, kind, model, sent, three};
use landfall::{DataSource, ErrorKind, Filter, Schema, Standing, storage::MemoryStorage};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Panics of these tests are meant: they need not be printed.
pub(crate) fn quietly() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let words =
                payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
            let meant = ["meant", "the data source was called from a function", "from within a runtime"];
            if !meant.iter().any(|meant| words.is_some_and(|words| words.contains(meant))) {
                others(info);
            }
        }));
    });
}

/// A schema whose `parse` panics at its second call.
fn panicking() -> Schema {
    let calls = Arc::new(AtomicUsize::new(0));
    Schema::new().with_model(model()).parse(move |answer| {
        assert!(calls.fetch_add(1, Ordering::Relaxed) != 1, "meant");
        answer
    })
}

#[tokio::test]
async fn i18_q10_a_panicking_hook_of_the_schema_fails_the_read_and_reads_go_on() {
    quietly();
    let source: DataSource = DataSource::builder().transport(three().build()).schema(panicking()).build().unwrap();
    source.read().await.unwrap();
    assert_eq!(kind(source.read().await), ErrorKind::Callback);
    assert_eq!(source.len(), 3);
    source.read().await.unwrap();
}

#[tokio::test]
async fn i18_a_panicking_hook_leaves_a_write_in_doubt() {
    quietly();
    let server = three().build();
    let source: DataSource = DataSource::builder()
        .transport(server.clone())
        .schema(panicking())
        .storage(MemoryStorage::new(), "rows")
        .build()
        .unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    assert_eq!(failures(&source.sync().await.unwrap()), [ErrorKind::Callback]);
    assert_eq!(source.pending()[0].standing, Standing::InDoubt);
    assert!(source.sync().await.unwrap().is_success());
}

#[tokio::test]
async fn i18_a_panicking_serialize_sends_nothing() {
    quietly();
    let server = three().build();
    let schema = Schema::new().with_model(model()).serialize_with(|_| panic!("meant"));
    let source: DataSource =
        DataSource::builder().transport(server.clone()).schema(schema).batch(true).build().unwrap();
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "B").unwrap();
    sent(&server);
    assert_eq!(failures(&source.sync().await.unwrap()), [ErrorKind::Callback]);
    assert!(sent(&server).is_empty() && source.has_changes());
}

#[tokio::test]
async fn i18_a_panicking_filter_shows_nothing_and_stops_nothing() {
    quietly();
    let source = kept(&three().build(), MemoryStorage::new());
    source.on(landfall::EventKind::Change, |_| {});
    source.read().await.unwrap();
    assert_eq!(kind(source.filter(Filter::custom(|_| panic!("meant"))).await), ErrorKind::Callback);
    assert!(source.rows().is_empty());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    assert!(source.sync().await.unwrap().is_success());
    source.filter(None).await.unwrap();
    assert_eq!(source.rows().len(), 3);
}
