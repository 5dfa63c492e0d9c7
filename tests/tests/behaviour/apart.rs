//! A batch that is refused with a 4xx: taken apart at once, or with the next sync of any kind (G3, G6).

use crate::help::{model, record};
use landfall::{
    Builder, DataSource, Error, ErrorKind, EventKind, Record, Standing, SyncReport, Verdict,
    storage::MemoryStorage,
    transport::{FnTransport, Operation, Reply, Request, from_fns},
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The rows of the service.
fn four() -> Vec<Record> {
    (1..=4).map(|id| record(&format!(r#"{{"id":{id},"name":"n"}}"#))).collect()
}

/// A service of four rows that refuses every request which holds a row named "bad", and applies the others.
#[derive(Clone)]
struct Service {
    code: u16,
    /// Key and names of each write.
    writes: Arc<Mutex<Vec<(String, String)>>>,
    applied: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn new(code: u16) -> Self {
        Self { code, writes: Arc::default(), applied: Arc::default() }
    }

    fn write(&self, request: &Request) -> Result<Reply, Error> {
        let names: Vec<String> =
            request.rows.iter().map(|row| row.record.get("name").unwrap().to_text().to_string()).collect();
        self.writes.lock().unwrap().push((request.key.as_ref().unwrap().to_string(), names.join("+")));
        if names.iter().any(|name| name == "bad") {
            return Err(Error::new(ErrorKind::Status(self.code), "a name is bad"));
        }
        self.applied.lock().unwrap().extend(names);
        Ok(Reply::empty())
    }

    fn transport(&self) -> FnTransport {
        let writes = self.clone();
        let given = four();
        from_fns()
            .on_sync(Operation::Read, move |_| Ok(given.clone()))
            .on_sync(Operation::Update, move |request| writes.write(&request))
    }

    fn builder(&self) -> Builder {
        DataSource::builder().transport(self.transport()).model(model()).batch(true)
    }

    /// The names in the writes since the last call.
    fn sent(&self) -> Vec<String> {
        std::mem::take(&mut *self.writes.lock().unwrap()).into_iter().map(|(_, names)| names).collect()
    }

    fn applied(&self) -> Vec<String> {
        let mut names = self.applied.lock().unwrap().clone();
        names.sort();
        names
    }
}

fn name(source: &DataSource, id: i64, name: &str) {
    source.set(source.get(id).unwrap(), "name", name).unwrap();
}

async fn three_named(source: &DataSource) {
    source.read().await.unwrap();
    for (id, to) in [(1, "one"), (2, "bad"), (3, "three")] {
        name(source, id, to);
    }
}

fn codes(report: &SyncReport) -> Vec<Option<u16>> {
    report.failures().map(|failure| failure.result.clone().unwrap_err().status()).collect()
}

fn standings(source: &DataSource) -> Vec<Standing> {
    source.pending().iter().map(|pending| pending.standing).collect()
}

#[tokio::test]
async fn g3_a_refused_batch_is_taken_apart_by_the_same_sync() {
    for code in [400, 403, 404, 409, 412, 413, 422] {
        for storing in [true, false] {
            let service = Service::new(code);
            let builder = service.builder();
            let builder = if storing { builder.storage(MemoryStorage::new(), "rows") } else { builder };
            let source = builder.build().unwrap();
            let errors = Arc::new(AtomicUsize::new(0));
            let told = Arc::clone(&errors);
            source.on(EventKind::Error, move |_| {
                told.fetch_add(1, Ordering::Relaxed);
            });
            three_named(&source).await;
            let report = source.sync().await.unwrap();
            assert_eq!((report.outcomes.len(), codes(&report)), (3, vec![Some(code)]), "{code} {storing}");
            assert_eq!(service.applied(), ["one", "three"], "{code} {storing}");
            assert_eq!(errors.load(Ordering::Relaxed), 1, "one change failed, one error is told");
            let keys: HashSet<String> = service.writes.lock().unwrap().iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(keys.len(), 4, "another body, another key");
            assert_eq!(service.sent(), ["one+bad+three", "one", "bad", "three"]);
            if storing {
                assert_eq!(standings(&source), [Standing::Quarantined]);
                assert!(!source.inbox()[0].failure.as_ref().unwrap().in_company());
            }
            name(&source, 2, "good");
            assert!(source.sync().await.unwrap().is_success());
            assert_eq!(service.sent(), ["good"]);
            assert!(!source.has_changes() && source.pending().is_empty());
        }
    }
}

/// G6: a sync that ends on the way, and a restart, leave nobody behind.
#[tokio::test]
async fn g6_a_batch_that_could_not_be_taken_apart_at_once_is_after_a_restart() {
    for requests in 1..=4 {
        let (service, storage) = (Service::new(422), MemoryStorage::new());
        let source = service.builder().sync_budget(requests).storage(storage.clone(), "rows").build().unwrap();
        three_named(&source).await;
        source.sync().await.unwrap();
        assert_eq!(service.sent().len(), requests);
        drop(source);
        let source = service.builder().storage(storage, "rows").build().unwrap();
        source.restore().await.unwrap();
        source.sync().await.unwrap();
        let sent = service.sent();
        assert!(sent.iter().all(|names| !names.contains('+')), "{requests}: {sent:?}");
        assert_eq!(service.applied(), ["one", "three"], "{requests}");
        assert_eq!(standings(&source), [Standing::Quarantined], "{requests}");
    }
}

/// What was refused only because of its company is not counted as refused, and the next sync of any kind sends it alone.
#[tokio::test]
async fn g3_changes_of_a_refused_batch_are_nobodys_decision() {
    for restart in [false, true] {
        for way in ["edit", "resume", "background", "explicit"] {
            let (service, storage) = (Service::new(422), MemoryStorage::new());
            let build = |way: &str| {
                let builder = service.builder().split_refused_batches(false);
                let builder = builder.auto_sync(way == "edit").retry_in_background(way == "background");
                builder.storage(storage.clone(), "rows").build().unwrap()
            };
            let mut source = build("");
            three_named(&source).await;
            assert_eq!(codes(&source.sync().await.unwrap()), [Some(422); 3]);
            assert_eq!(standings(&source), [Standing::Queued; 3]);
            assert!(source.inbox().is_empty() && source.has_changes());
            let failure = source.pending()[0].failure.clone().unwrap();
            assert!(failure.in_company() && failure.verdict == Verdict::Quarantine);
            assert_eq!(service.sent(), ["one+bad+three"]);
            if restart || matches!(way, "edit" | "background") {
                drop(source);
                source = build(way);
                source.restore().await.unwrap();
            }
            match way {
                "edit" => name(&source, 4, "four"),
                "resume" => drop(source.resume()),
                "explicit" => drop(source.sync()),
                _ => {}
            }
            let done = async {
                while source.inbox().is_empty() || service.applied().len() < 2 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), done).await.expect("nothing is sent");
            source.idle().await.unwrap();
            let mut sent = service.sent();
            sent.sort();
            let mut expected = vec!["bad", "one", "three"];
            expected.extend((way == "edit").then_some("four"));
            expected.sort_unstable();
            assert_eq!(sent, expected, "{way}, restart {restart}");
            assert_eq!(standings(&source), [Standing::Quarantined], "{way}: refused by itself, it waits for somebody");
            source.resume().await.unwrap();
            assert!(service.sent().is_empty(), "{way}: and there it stays");
        }
    }
}

/// Errors in a 2xx may be about one of several that were applied: nothing goes by itself.
#[tokio::test]
async fn g2_a_batch_that_is_answered_with_errors_is_not_taken_apart() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let given = four();
    let transport =
        from_fns().on_sync(Operation::Read, move |_| Ok(given.clone())).on_sync(Operation::Update, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(record(r#"{"errors":["one of them"]}"#))
        });
    let builder = DataSource::builder().transport(transport).model(model()).batch(true);
    let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    three_named(&source).await;
    assert_eq!(source.sync().await.unwrap().failures().count(), 3);
    assert_eq!((calls.load(Ordering::Relaxed), source.inbox().len()), (1, 3));
    source.resume().await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// As Kendo's own: one request a kind, whatever comes of it.
#[tokio::test]
async fn a_data_source_of_kendos_options_sends_one_request_a_kind() {
    let service = Service::new(422);
    let options = record(r#"{"batch":true,"schema":{"model":{"id":"id"}}}"#);
    let builder = DataSource::builder().kendo(&options).unwrap().transport(service.transport());
    let source = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    three_named(&source).await;
    assert_eq!(codes(&source.sync().await.unwrap()), [Some(422); 3]);
    assert_eq!(service.sent(), ["one+bad+three"]);
}
