//! How deep values may nest: what comes in can be stored, read again and sent; what is deeper is refused where it comes in,
//! however deep it is (S11).

use super::help::{data, kept, model, serving, value};
use landfall::{
    DataSource, ErrorKind, Record, Value,
    storage::{MemoryStorage, item_storage},
    transport::MockServer,
};
use std::sync::{Arc, Mutex};

fn deep(levels: usize) -> Value {
    (0..levels).fold(Value::from(1), |inner, level| {
        if level % 2 == 0 { Value::array([inner]) } else { Record::from([("x", inner)]).into() }
    })
}

async fn offline(storage: impl landfall::storage::Storage) -> DataSource {
    let server = serving(r#"[{"id":1,"name":"a"}]"#).build();
    let source = kept(&server, storage);
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source
}

#[tokio::test]
async fn s11_what_is_nested_too_deep_is_refused_where_it_comes_in() {
    let source = offline(MemoryStorage::new()).await;
    let uid = source.at(0).unwrap().uid();
    // However deep: it is taken apart without recursion.
    assert_eq!(source.set(uid, "name", deep(100_000)).unwrap_err().kind(), &ErrorKind::Limit);
    for levels in [101, 200, 2_000] {
        let refused = [
            source.set(uid, "name", deep(levels)).unwrap_err(),
            source.add(Record::from([("name", deep(levels))])).unwrap_err(),
            source.push_create([Record::from([("id", Value::from(9)), ("name", deep(levels))])]).map(drop).unwrap_err(),
            source.push_update([Record::from([("id", Value::from(1)), ("name", deep(levels))])]).map(drop).unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), &ErrorKind::Limit, "{levels}: {error}");
        }
    }
    assert_eq!(data(&source), [r#"{"id":1,"name":"a"}"#]);
    assert!(!source.has_changes());
}

#[tokio::test]
async fn s11_what_is_as_deep_as_may_be_survives_every_form() {
    let texts: Arc<Mutex<Option<String>>> = Arc::default();
    let (get, set) = (Arc::clone(&texts), Arc::clone(&texts));
    let item = item_storage(
        move || Ok::<_, landfall::Error>(get.lock().unwrap().clone()),
        move |text: &str| {
            *set.lock().unwrap() = Some(text.to_owned());
            Ok::<_, landfall::Error>(())
        },
    );
    let dir = tempfile::tempdir().unwrap();
    let file = landfall::storage::FileStorage::open(dir.path()).unwrap();
    let storages: [Arc<dyn landfall::storage::Storage>; 3] =
        [Arc::new(MemoryStorage::new()), Arc::new(item), Arc::new(file)];
    for storage in storages {
        let source = offline(Arc::clone(&storage)).await;
        let uid = source.at(0).unwrap().uid();
        source.set(uid, "name", deep(99)).unwrap();
        source.add(Record::from([("name", deep(99))])).unwrap();
        source.sync().await.unwrap();
        let shown = data(&source);
        drop(source);
        let server = MockServer::builder().build();
        let again = kept(&server, storage);
        again.online(false).await.unwrap();
        again.restore().await.unwrap();
        assert_eq!(data(&again), shown);
        assert_eq!(again.pending().len(), 2);
    }
}

/// What a server says when it refuses is kept with the change; also when it is nested deeper than can be stored.
#[tokio::test]
async fn s11_a_refusal_nested_deeper_than_can_be_stored_does_not_spoil_the_store() {
    let storage = Arc::new(MemoryStorage::new());
    let body = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let saying = value(&body);
    let refuse = move |_: landfall::transport::Request| {
        let saying = saying.clone();
        async move { Err::<Value, _>(landfall::Error::new(ErrorKind::Status(400), "no").saying(saying)) }
    };
    let transport = landfall::transport::from_fns().create(refuse);
    let source: DataSource = DataSource::builder()
        .transport(transport)
        .model(model())
        .storage(Arc::clone(&storage), "rows")
        .build()
        .unwrap();
    source.restore().await.unwrap();
    source.add(Record::from([("name", "x")])).unwrap();
    assert!(!source.sync().await.unwrap().is_success());
    drop(source);
    let again = kept(&MockServer::builder().build(), storage);
    again.online(false).await.unwrap();
    again.restore().await.unwrap();
    assert_eq!(again.pending().len(), 1);
}
