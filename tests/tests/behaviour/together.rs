//! A request of several that is refused as a whole: who is meant is found out one by one (G3).

use crate::help::{kept, model, record, rows, sent, serving, three};
use landfall::{
    ChangeKind, DataSource, Error, ErrorKind, EventKind, SyncReport, Verdict,
    storage::{MemoryStorage, Storage},
    transport::{Body, Fault, MockServer, Operation, Reply, from_fns},
};
use std::collections::HashSet;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

fn stored(server: &MockServer, storage: impl Storage) -> DataSource {
    let builder = DataSource::builder().transport(server.clone()).model(model()).batch(true);
    builder.storage(storage, "rows").build().unwrap()
}

fn online(server: &MockServer) -> DataSource {
    DataSource::builder().transport(server.clone()).model(model()).batch(true).build().unwrap()
}

async fn all_removed(source: &DataSource) {
    source.read().await.unwrap();
    while let Some(row) = source.at(0) {
        source.remove(row).unwrap();
    }
}

/// Status codes of the failures of a report.
fn codes(report: &SyncReport) -> Vec<Option<u16>> {
    report.failures().map(|failure| failure.result.clone().unwrap_err().status()).collect()
}

fn writes(server: &MockServer) -> Vec<(String, String)> {
    let requests = server.take_requests().into_iter();
    requests.filter_map(|request| Some((request.key?.to_string(), request.data.to_json()))).collect()
}

#[tokio::test]
async fn g3_a_batch_of_removals_of_which_one_is_gone_is_settled_by_one_sync() {
    for storing in [true, false] {
        let server = three().build();
        let source = if storing { stored(&server, MemoryStorage::new()) } else { online(&server) };
        let errors = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&errors);
        source.on(EventKind::Error, move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        all_removed(&source).await;
        server.remove_row(2);
        sent(&server);
        let report = source.sync().await.unwrap();
        assert!(report.is_success(), "{report:?}");
        let kinds: Vec<ChangeKind> = report.outcomes.iter().map(|outcome| outcome.kind).collect();
        assert_eq!(kinds, [ChangeKind::Destroy; 3], "one outcome a change");
        assert!(rows(&server).is_empty() && source.pending().is_empty() && !source.has_changes());
        assert_eq!(errors.load(Ordering::Relaxed), 0);
        let requests = writes(&server);
        assert_eq!(requests.len(), 4, "{requests:?}");
        assert!(requests[1..].iter().all(|(_, body)| body.matches("\"id\"").count() == 1), "{requests:?}");
        let keys: HashSet<&str> = requests.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys.len(), 4, "another body, another key");
    }
}

#[tokio::test]
async fn g3_a_removal_that_fails_after_a_gone_one_fails_alone() {
    for storing in [true, false] {
        let server = three().fault(Fault::on(Operation::Destroy).nth(3).fail(500)).build();
        let source = if storing { stored(&server, MemoryStorage::new()) } else { online(&server) };
        all_removed(&source).await;
        server.remove_row(1);
        let report = source.sync().await.unwrap();
        assert_eq!((report.done(), codes(&report)), (2, vec![Some(500)]));
        assert_eq!(rows(&server), [r#"{"id":2,"name":"b"}"#]);
        assert!(source.sync().await.unwrap().is_success());
        assert!(rows(&server).is_empty() && !source.has_changes());
    }
}

/// G6, G2: what was found out is stored, and a repeat after a crash is the same request.
#[tokio::test]
async fn g6_who_goes_alone_survives_a_restart_and_a_doubt() {
    let lost = |nth| Fault::on(Operation::Destroy).nth(nth).lost();
    let server = three().fault(lost(2)).fault(lost(3)).build();
    let storage = MemoryStorage::new();
    let source = stored(&server, storage.clone());
    all_removed(&source).await;
    server.remove_row(3);
    sent(&server);
    let report = source.sync().await.unwrap();
    assert_eq!((report.done(), report.failures().count()), (1, 2));
    let first = writes(&server);
    drop(source);
    let source = stored(&server, storage);
    source.restore().await.unwrap();
    assert_eq!(source.pending().len(), 2);
    assert!(source.sync().await.unwrap().is_success());
    let again = writes(&server);
    assert_eq!(again, first[1..3], "bodies and keys as they were");
    assert!(rows(&server).is_empty() && source.pending().is_empty());
}

#[tokio::test]
async fn g2_a_batch_of_removals_in_doubt_is_settled_where_the_service_honours_no_keys() {
    let server = three().idempotency(false).fault(Fault::on(Operation::Destroy).lost()).build();
    let source = stored(&server, MemoryStorage::new());
    all_removed(&source).await;
    sent(&server);
    assert_eq!(source.sync().await.unwrap().failures().count(), 3);
    assert!(rows(&server).is_empty(), "it was applied");
    assert!(source.sync().await.unwrap().is_success());
    let requests = writes(&server);
    assert_eq!(requests[0], requests[1], "a doubt is repeated as it was");
    assert_eq!(requests.len(), 2 + 3);
    assert!(source.pending().is_empty());
}

#[tokio::test]
async fn a_sync_that_is_cancelled_or_spent_on_the_way_goes_on_with_the_next() {
    for storing in [true, false] {
        let server = three().build();
        let builder = DataSource::builder().transport(server.clone()).model(model()).batch(true).sync_budget(2);
        let builder = if storing { builder.storage(MemoryStorage::new(), "rows") } else { builder };
        let source = builder.build().unwrap();
        all_removed(&source).await;
        server.remove_row(1);
        let mut left = 3;
        for _ in 0..3 {
            source.sync().await.unwrap();
            left = source.destroyed().len().min(left);
            if left == 0 {
                break;
            }
        }
        assert_eq!((left, rows(&server).len()), (0, 0), "with a storage: {storing}");
    }
}

/// One refused record of a batch does not keep the others, nor what is new, for ever.
#[tokio::test]
async fn g3_what_was_refused_in_company_is_offered_again_alone() {
    for code in [400, 409, 422] {
        let gate = move |request: &landfall::transport::Request| {
            if request.rows.iter().any(|row| row.record.get("name").and_then(|name| name.as_str()) == Some("bad")) {
                return Err(Error::new(ErrorKind::Status(code), "the name is bad"));
            }
            Ok(Body::Empty)
        };
        let given = || (1..=3).map(|id| record(&format!(r#"{{"id":{id},"name":"n"}}"#))).collect::<Vec<_>>();
        let transport = from_fns()
            .on_sync(Operation::Read, move |_| Ok(given()))
            .on_sync(Operation::Update, move |request| gate(&request).map(|body| Reply { body, ..Reply::empty() }));
        let builder = DataSource::builder().transport(transport).model(model()).batch(true);
        let builder = builder.split_refused_batches(false).storage(MemoryStorage::new(), "rows");
        let source = builder.build().unwrap();
        source.read().await.unwrap();
        source.set(source.get(1).unwrap(), "name", "good").unwrap();
        source.set(source.get(2).unwrap(), "name", "bad").unwrap();
        assert_eq!(codes(&source.sync().await.unwrap()), [Some(code), Some(code)]);
        source.set(source.get(3).unwrap(), "name", "good").unwrap();
        let report = source.sync().await.unwrap();
        assert_eq!((report.done(), codes(&report)), (2, vec![Some(code)]));
        assert_eq!(source.pending().len(), 1);
        source.set(source.get(2).unwrap(), "name", "good").unwrap();
        assert!(source.sync().await.unwrap().is_success());
        assert!(source.pending().is_empty());
    }
}

/// A key belongs to one body: a list of one record is another one than the record.
#[tokio::test]
async fn i10_a_change_that_is_refused_singly_and_then_sent_as_a_batch_has_another_key() {
    let server = serving(r#"[{"id":1,"name":"a"}]"#).fault(Fault::on(Operation::Update).fail(422)).build();
    let storage = MemoryStorage::new();
    let source = kept(&server, storage.clone());
    source.read().await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    source.sync().await.unwrap();
    drop(source);
    let source = stored(&server, storage);
    source.restore().await.unwrap();
    assert!(source.sync().await.unwrap().is_success());
    let requests = writes(&server);
    assert_eq!(requests.len(), 2);
    assert_ne!(requests[0].0, requests[1].0);
}

/// A submit has an address for everything: that it is missing does not make a removal done.
#[tokio::test]
async fn g2_a_submit_that_is_not_found_removes_nothing() {
    let given = || (1..=2).map(|id| record(&format!(r#"{{"id":{id},"name":"n"}}"#))).collect::<Vec<_>>();
    for removed in [1, 2] {
        let transport = from_fns()
            .on_sync(Operation::Read, move |_| Ok(given()))
            .on_sync(Operation::Submit, |_| Err::<Reply, _>(Error::new(ErrorKind::Status(404), "no such page")));
        let builder = DataSource::builder().transport(transport).model(model()).batch(true);
        let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
        source.read().await.unwrap();
        for _ in 0..removed {
            source.remove(source.at(0).unwrap()).unwrap();
        }
        assert_eq!(codes(&source.sync().await.unwrap()), vec![Some(404); removed]);
        let verdicts: Vec<Verdict> = source.pending().iter().map(|one| one.failure.as_ref().unwrap().verdict).collect();
        assert_eq!(verdicts, vec![Verdict::Quarantine; removed]);
    }
}
