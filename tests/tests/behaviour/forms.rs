//! The stored form: what a sync writes before it sends, and that older forms open (G2, G6).

use crate::help::{held, kept, keys, model, record, rows, serving, three, value};
use landfall::{
    ChangeKind, DataSource, Record, Standing,
    storage::{Delta, MemoryStorage, Storage, StoredRow, StoredState},
    transport::{MockServer, Operation},
};

const KEY: &str = "rows";

async fn state(storage: &MemoryStorage) -> StoredState {
    storage.load(KEY).await.unwrap()
}

/// What a copy of the storage would open with: the program ended here.
async fn copy(state: &StoredState) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let delta = Delta { clear: true, put: state.rows.clone(), meta: state.meta.clone(), ..Delta::default() };
    storage.commit(KEY, 0, delta).await.unwrap();
    storage
}

fn batching(server: &MockServer, storage: MemoryStorage) -> DataSource {
    DataSource::builder().transport(server.clone()).model(model()).batch(true).storage(storage, KEY).build().unwrap()
}

/// Three rows: one edited, one removed, one added, accepted offline.
async fn accepted_offline(source: &DataSource) {
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.remove(source.at(2).unwrap()).unwrap();
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    source.sync().await.unwrap();
}

#[tokio::test]
async fn g2_being_sent_is_stored_beside_the_rows_and_found_after_a_crash() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    accepted_offline(&source).await;
    let before = state(&storage).await;
    server.take_requests();
    server.set_holding(true);
    let going = source.online(true);
    held(&server, 3).await;
    let under_way = state(&storage).await;
    assert_eq!(under_way.rows, before.rows, "no row is written for being sent");
    assert_ne!(under_way.meta, before.meta);
    let first: Vec<Option<String>> =
        server.requests().iter().map(|sent| sent.key.as_ref().map(|key| key.as_str().to_owned())).collect();

    // The program ends here, and in Kendo's form as well nothing is lost.
    for storage in [copy(&under_way).await, {
        let kendo = under_way.to_kendo(true).unwrap();
        copy(&StoredState::from_kendo(&kendo).unwrap()).await
    }] {
        let again = three().build();
        let source = kept(&again, storage.clone());
        source.online(false).await.unwrap();
        source.restore().await.unwrap();
        assert!(source.pending().iter().all(|pending| pending.standing == Standing::InDoubt));
        // An edit goes behind what is in doubt, and says for itself what is sent.
        source.set(source.at(0).unwrap(), "name", "AA").unwrap();
        source.sync().await.unwrap();
        drop(source);
        let source = kept(&again, storage.clone());
        let report = source.sync().await.unwrap();
        assert!(report.is_success(), "{report:?}");
        let sent = again.take_requests();
        let of_first: Vec<Option<String>> =
            sent.iter().take(3).map(|sent| sent.key.as_ref().map(|key| key.as_str().to_owned())).collect();
        assert_eq!(of_first, first, "each body with its key");
        assert_eq!(sent.len(), 4, "and the edit behind it");
        assert_eq!(
            rows(&again),
            [r#"{"id":1,"name":"AA"}"#, r#"{"id":2,"name":"b"}"#, r#"{"name":"n","id":4}"#],
            "{sent:?}"
        );
        assert!(source.pending().is_empty());
    }

    server.set_holding(false);
    server.release_all();
    assert!(going.await.unwrap().is_success());
    // What is accepted afterwards is not taken for sent.
    source.online(false).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "later").unwrap();
    source.sync().await.unwrap();
    let source = kept(&server, copy(&state(&storage).await).await);
    source.online(false).await.unwrap();
    source.restore().await.unwrap();
    let standing: Vec<Standing> = source.pending().iter().map(|pending| pending.standing).collect();
    assert_eq!(standing, [Standing::Queued]);
}

#[tokio::test]
async fn g3_an_answer_says_for_its_row_what_became_of_it_while_others_are_under_way() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    for (at, name) in ["A", "B", "C"].into_iter().enumerate() {
        source.set(source.at(at).unwrap(), "name", name).unwrap();
    }
    source.sync().await.unwrap();
    server.take_requests();
    server.set_holding(true);
    server.add_fault(landfall::transport::Fault::on(Operation::Update).nth(2).fail(500));
    let going = source.online(true);
    held(&server, 3).await;
    // The second is refused, the first is done, the third stays under way.
    server.release_at(1);
    server.release_at(0);
    let mut found = state(&storage).await;
    while found.rows.iter().filter(|row| row.state.is_some()).count() > 2 {
        tokio::task::yield_now().await;
        found = state(&storage).await;
    }
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let again = kept(&three().build(), copy(&state(&storage).await).await);
    again.online(false).await.unwrap();
    again.restore().await.unwrap();
    let standing: Vec<(String, Standing)> = again
        .pending()
        .iter()
        .map(|pending| (pending.record.get("name").unwrap().to_text().as_str().to_owned(), pending.standing))
        .collect();
    assert_eq!(standing, [("B".to_owned(), Standing::Queued), ("C".to_owned(), Standing::InDoubt)]);
    server.set_holding(false);
    server.release_all();
    assert_eq!(going.await.unwrap().failures().count(), 1);
}

#[tokio::test]
async fn g2_a_batch_that_was_under_way_travels_again_as_it_was() {
    let server = three().build();
    let storage = MemoryStorage::new();
    let source = batching(&server, storage.clone());
    source.read().await.unwrap();
    source.online(false).await.unwrap();
    for at in [2, 0, 1] {
        source.set(source.at(at).unwrap(), "name", "x").unwrap();
    }
    source.sync().await.unwrap();
    server.take_requests();
    server.set_holding(true);
    let going = source.online(true);
    held(&server, 1).await;
    let first = server.take_requests();
    let copied = copy(&state(&storage).await).await;
    let again = three().build();
    let other = batching(&again, copied);
    // Another edit goes by itself.
    other.online(false).await.unwrap();
    other.restore().await.unwrap();
    other.add(record(r#"{"name":"n"}"#)).unwrap();
    other.sync().await.unwrap();
    other.online(true).await.unwrap();
    let sent = again.take_requests();
    assert!(sent.iter().any(|sent| sent.key == first[0].key && sent.data == first[0].data), "{sent:?}\n{first:?}");
    assert_eq!(sent.len(), 2);
    server.release_all();
    going.await.unwrap();
}

#[tokio::test]
async fn g6_format_1_opens_and_is_carried_over() {
    let row = |id: u64, state, record: &str, change: Option<&str>| StoredRow {
        id,
        order: id << 20,
        state,
        record: record.into(),
        change: change.map(Into::into),
    };
    // As the first version wrote it: whole bases, what is sent in the row.
    let put = vec![
        row(1, None, r#"{"id":1,"name":"a"}"#, None),
        row(
            2,
            Some(ChangeKind::Update),
            r#"{"id":2,"name":"B"}"#,
            Some(
                r#"{"base":{"id":2,"name":"b"},"accepted":true,"key":"k-2","changed":["name"],"offline":{"kind":"update"}}"#,
            ),
        ),
        row(
            3,
            Some(ChangeKind::Update),
            r#"{"id":3,"name":"CC"}"#,
            Some(
                r#"{"base":{"id":3,"name":"c"},"accepted":true,"key":"k-3b","changed":["name"],"sent":{"kind":"update","record":{"id":3,"name":"C"},"key":"k-3a","changed":["name"],"attempts":1}}"#,
            ),
        ),
        row(
            4,
            Some(ChangeKind::Destroy),
            r#"{"id":4,"name":"d"}"#,
            Some(
                r#"{"seq":0,"base":{"id":4,"name":"d"},"accepted":true,"key":"k-4","changed":[],"offline":{"kind":"destroy"},"standing":"quarantined","attempts":2,"error":{"message":"no","status":400}}"#,
            ),
        ),
    ];
    let storage = MemoryStorage::new();
    let meta = Some(r#"{"format":1}"#.into());
    storage.commit(KEY, 0, Delta { put, meta, ..Delta::default() }).await.unwrap();
    let server =
        serving(r#"[{"id":1,"name":"a"},{"id":2,"name":"b"},{"id":3,"name":"c"},{"id":4,"name":"d"}]"#).build();
    let source = kept(&server, storage.clone());
    source.online(false).await.unwrap();
    source.restore().await.unwrap();
    let told: Vec<String> = source
        .pending()
        .iter()
        .map(|pending| {
            let base = pending.base.as_ref().map(Record::to_json).unwrap_or_default();
            format!("{} {} {} {:?} {base}", pending.kind, pending.record.to_json(), pending.key, pending.standing)
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"update {"id":2,"name":"B"} k-2 Queued {"id":2,"name":"b"}"#,
            r#"update {"id":3,"name":"C"} k-3a InDoubt {"id":3,"name":"c"}"#,
            r#"destroy {"id":4,"name":"d"} k-4 Quarantined {"id":4,"name":"d"}"#,
        ]
    );
    // The first commit tells older programs that the form is a newer one now.
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    assert_eq!(state(&storage).await.meta.as_deref(), Some(r#"{"format":2}"#));
    server.take_requests();
    source.online(true).await.unwrap();
    let mut sent = keys(&server);
    sent.retain(|key| key.starts_with("k-"));
    sent.sort();
    assert_eq!(sent, ["k-2", "k-3a", "k-4"], "what waits behind k-3a gets a key of its own when the base is known");
    assert_eq!(rows(&server), [r#"{"id":1,"name":"A"}"#, r#"{"id":2,"name":"B"}"#, r#"{"id":3,"name":"CC"}"#]);
}

#[tokio::test]
async fn g6_the_base_of_a_change_is_stored_by_what_differs_and_comes_back_as_it_was() {
    let first = r#"{"id":1,"name":"a","n":1,"deep":{"x":1,"y":2},"list":[1,2],"none":null}"#;
    let edits: [(&str, &str); 7] = [
        ("name", r#""A""#),
        ("n", "2"),
        ("deep", r#"{"y":2,"x":1}"#),
        ("list", "[2,1]"),
        ("none", "0"),
        ("more", "true"),
        ("id", "1"),
    ];
    for (field, to) in edits {
        let server = serving(&format!("[{first}]")).build();
        let storage = MemoryStorage::new();
        let source = kept(&server, storage.clone());
        source.read().await.unwrap();
        source.online(false).await.unwrap();
        source.set(source.at(0).unwrap(), field, value(to)).unwrap();
        source.sync().await.unwrap();
        let shown = source.at(0).unwrap().record().to_json();
        let found = state(&storage).await;
        let change = found.rows[0].change.as_ref().map_or("", |change| change);
        assert!(!change.contains(r#""base""#) && change.len() < 220, "{field}: {change}");
        let source = kept(&server, storage);
        source.online(false).await.unwrap();
        source.restore().await.unwrap();
        assert_eq!(source.at(0).unwrap().record().to_json(), shown);
        for pending in source.pending() {
            assert_eq!(pending.base.unwrap().to_json(), first, "{field}");
        }
    }
}
