//! What one thread has under way while another, or a handler, calls the data source: it is stored in the order in which it
//! was made, and nothing is sent after going offline.

use landfall::{
    DataSource, ErrorKind, EventKind, Model, Record, Value,
    storage::{MemoryStorage, Storage},
    transport::{MockServer, Operation},
};

fn row(json: &str) -> Record {
    Record::from_json(json).unwrap()
}

fn server() -> MockServer {
    MockServer::builder().rows([row(r#"{"id":1,"name":"a"}"#)]).idempotency(true).build()
}

fn source(server: &MockServer, storage: impl Storage) -> DataSource {
    DataSource::builder().transport(server.clone()).model(Model::new().id("id")).storage(storage, "k").build().unwrap()
}

/// A handler may run between a change and the storing of it. What it accepts is made later, and stays.
#[tokio::test]
async fn g1_what_a_handler_accepts_is_stored_behind_what_it_was_told_of() {
    type Call = fn(&DataSource);
    let calls: [(&str, EventKind, Call); 4] = [
        ("push", EventKind::Push, |source| source.push_update([row(r#"{"id":1,"stock":5}"#)]).unwrap()),
        ("set_data", EventKind::Reset, |source| drop(source.set_data([row(r#"{"id":1,"name":"b"}"#)]).unwrap())),
        ("set_data", EventKind::Change, |source| drop(source.set_data([row(r#"{"id":1,"name":"b"}"#)]).unwrap())),
        ("discard", EventKind::Change, |source| drop(source.discard(source.at(0).unwrap()))),
    ];
    for (name, kind, call) in calls {
        let (server, storage) = (server(), MemoryStorage::new());
        let first = source(&server, storage.clone());
        first.fetch().await.unwrap();
        first.online(false).await.unwrap();
        first.set(first.at(0).unwrap(), "name", "before").unwrap();
        first.sync().await.unwrap();
        let (ended, accepted) = std::sync::mpsc::channel();
        let weak = first.downgrade();
        first.once(kind, move |_| {
            let source = weak.upgrade().unwrap();
            source.set(source.at(0).unwrap(), "name", "edited").unwrap();
            ended.send(source.sync()).unwrap();
        });
        call(&first);
        assert_eq!(accepted.recv().unwrap().await.unwrap().stored, 1, "{name} {kind:?}");
        first.idle().await.unwrap();
        drop(first);

        let second = source(&server, storage);
        second.restore().await.unwrap();
        assert_eq!(second.get(1).unwrap().get("name").unwrap(), &Value::from("edited"), "{name} {kind:?}");
        assert!(second.sync().await.unwrap().is_success());
        assert_eq!(server.row(1).unwrap().get("name").unwrap(), &Value::from("edited"), "{name} {kind:?}");
    }
}

/// I23.
#[tokio::test]
async fn nothing_is_sent_by_a_sync_or_a_read_that_went_offline_at_its_start() {
    for operation in [Operation::Update, Operation::Read] {
        let server = server();
        let source = source(&server, MemoryStorage::new());
        source.fetch().await.unwrap();
        server.take_requests();
        let weak = source.downgrade();
        let kind = if operation == Operation::Read { EventKind::Reset } else { EventKind::RequestStart };
        source.once(kind, move |_| drop(weak.upgrade().unwrap().online(false)));
        source.set(source.at(0).unwrap(), "name", "edited").unwrap();
        if operation == Operation::Read {
            assert_eq!(source.read().await.unwrap_err().kind(), &ErrorKind::Offline);
        } else {
            let report = source.sync().await.unwrap();
            let failed: Vec<_> =
                report.outcomes.iter().map(|one| one.result.as_ref().unwrap_err().kind().clone()).collect();
            assert_eq!(failed, [ErrorKind::Offline]);
            assert_eq!(source.pending().len(), 1);
        }
        assert_eq!(server.requests(), [], "{operation}");
        assert!(source.online(true).await.unwrap().is_success());
    }
}
