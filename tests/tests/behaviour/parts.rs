//! Changes that travel together and are answered kind by kind: each kind has its own outcome.

use crate::help::{model, record};
use landfall::{
    ChangeKind, DataSource, Error, ErrorKind, Standing, Value,
    transport::{Body, Operation, Reply, from_fns},
};
use landfall_storage_memory::MemoryStorage;

/// Three rows, and a submit that answers updates and removals like this.
fn answering(update: fn() -> Result<Body, Error>, destroy: fn() -> Result<Body, Error>) -> DataSource {
    let rows = || (1..=3).map(|id| record(&format!(r#"{{"id":{id},"name":"n"}}"#))).collect::<Vec<_>>();
    let transport = from_fns().on_sync(Operation::Read, move |_| Ok(rows())).on_sync(Operation::Submit, move |_| {
        let parts = vec![(ChangeKind::Update, update()), (ChangeKind::Destroy, destroy())];
        Ok(Reply { parts, ..Reply::empty() })
    });
    let transport = transport.on_sync(Operation::Update, |_| Ok(())).on_sync(Operation::Destroy, |_| Ok(()));
    let storage = MemoryStorage::new();
    DataSource::builder().transport(transport).model(model()).batch(true).storage(storage, "rows").build().unwrap()
}

async fn edited(source: &DataSource, removed: &[i64]) {
    source.read().await.unwrap();
    source.set(source.get(1).unwrap(), "name", "x").unwrap();
    for id in removed {
        source.remove(source.get(*id).unwrap()).unwrap();
    }
}

fn status(code: u16) -> Result<Body, Error> {
    Err(Error::new(ErrorKind::Status(code), ""))
}

#[tokio::test]
async fn a_part_that_was_refused_is_not_in_doubt() {
    let source = answering(|| status(412), || Ok(Body::Empty));
    edited(&source, &[2]).await;
    let report = source.sync().await.unwrap();
    assert_eq!((report.done(), report.failures().count()), (1, 1));
    let pending = source.pending();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].standing, Standing::Quarantined);
    assert_eq!(pending[0].failure.as_ref().unwrap().status, Some(412));
}

#[tokio::test]
async fn a_part_that_cannot_be_read_is_in_doubt() {
    let source = answering(|| Ok(Body::json("{")), || Ok(Body::Empty));
    edited(&source, &[2]).await;
    source.sync().await.unwrap();
    assert_eq!(source.pending()[0].standing, Standing::InDoubt);
}

#[tokio::test]
async fn c50_records_that_are_gone_are_removed_of_several_one_by_one() {
    for removed in [&[2][..], &[2, 3]] {
        let source = answering(|| Ok(Body::Empty), || status(404));
        edited(&source, removed).await;
        let report = source.sync().await.unwrap();
        assert!(report.is_success());
        assert_eq!(report.done(), 1 + removed.len());
        assert!(source.pending().is_empty());
        assert_eq!(source.get(1).unwrap().get("name").and_then(Value::as_str), Some("x"));
    }
}
