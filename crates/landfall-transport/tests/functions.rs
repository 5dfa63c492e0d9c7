//! Transports from closures: the kit, and what is theirs alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may stop at the first surprise")]

use landfall_core::{Body, ChangeKind, Record, Value};
use landfall_transport::{
    Cached, ErrorKind, FnTransport, Operation, OutgoingRow, Reply, Request, Result, Transport,
    conformance::{Behaviour, Stage, block_on},
    from_fns,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

#[derive(Default)]
struct Service {
    queue: Mutex<VecDeque<(bool, Option<Value>)>>,
    seen: AtomicUsize,
    released: AtomicBool,
}

impl Service {
    async fn answer(&self) -> Result<Reply> {
        self.seen.fetch_add(1, Ordering::SeqCst);
        let (held, value) = self.queue.lock().unwrap().pop_front().expect("an armed answer");
        std::future::poll_fn(|cx| {
            if !held || self.released.load(Ordering::SeqCst) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        Ok(value.map_or_else(Reply::empty, |value| Reply::with_body(Body::Value(value))))
    }
}

struct Closures(Arc<Service>);

impl Closures {
    fn with(&self, operations: &[Operation]) -> Arc<dyn Transport> {
        let mut transport = from_fns();
        for operation in operations {
            let service = Arc::clone(&self.0);
            transport = transport.on(*operation, move |_| {
                let service = Arc::clone(&service);
                async move { service.answer().await }
            });
        }
        Arc::new(transport)
    }
}

impl Stage for Closures {
    fn transport(&self) -> Arc<dyn Transport> {
        self.with(&[Operation::Read, Operation::Create, Operation::Update, Operation::Destroy])
    }

    fn read_only_transport(&self) -> Option<Arc<dyn Transport>> {
        Some(self.with(&[Operation::Read]))
    }

    fn arm(&self, behaviour: Behaviour) -> bool {
        // A closure has no wire that could misbehave.
        let armed = match behaviour {
            Behaviour::Answer(200..=299, _, value) => (false, value),
            Behaviour::Held(value) => (true, Some(value)),
            _ => return false,
        };
        self.0.queue.lock().unwrap().push_back(armed);
        true
    }

    fn seen(&self) -> usize {
        self.0.seen.load(Ordering::SeqCst)
    }

    fn release(&self) {
        self.0.released.store(true, Ordering::SeqCst);
    }
}

landfall_transport::transport_conformance!(|| Closures(Arc::default()));

fn update() -> Request {
    let record = Record::from([("id", 1)]);
    let row = OutgoingRow { kind: ChangeKind::Update, record, id: Some(1.into()), changed: Vec::new(), base: None };
    Request { operation: Operation::Update, rows: vec![row], ..Request::read(Record::new()) }
}

#[test]
fn closures_may_wait_or_not_and_answer_in_many_forms() {
    let transport = FnTransport::new().read(async |request: Request| Ok(vec![request.params])).update_sync(|request| {
        assert_eq!(request.data().to_json(), r#"{"id":1}"#);
        Ok(())
    });
    block_on(async {
        let reply = transport.send(Request::read(Record::from([("page", 2)]))).await.unwrap();
        assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), r#"[{"page":2}]"#);
        assert!(transport.send(update()).await.unwrap().body.is_absent());
    });
}

#[test]
fn a_panic_is_an_error_and_a_write_is_in_doubt() {
    let transport =
        FnTransport::new().read_sync(|_| -> Result<()> { panic!("no rows") }).update(async |_| -> Result<()> {
            std::future::ready(()).await;
            panic!("{}", "half way")
        });
    block_on(async {
        let error = transport.send(Request::read(Record::new())).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (&ErrorKind::Callback, "no rows"));
        assert!(!error.may_have_been_applied());
        let error = transport.send(update()).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (&ErrorKind::Callback, "half way"));
        assert!(error.may_have_been_applied());
        assert_eq!(error.operation(), "update");
    });
}

#[test]
fn a_cache_answers_reads_it_has_seen() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let inner = FnTransport::new()
        .read_sync(move |request| {
            if request.params.contains("fail") {
                return Err(ErrorKind::TimedOut.into());
            }
            Ok(Value::from(seen.fetch_add(1, Ordering::SeqCst)))
        })
        .update_sync(|_| Ok(()));
    let cached = Cached::new(inner)
        .capacity(2)
        .keyed_by(|request| (!request.params.contains("fresh")).then(|| request.params.to_json()));
    let read = |json: &str| {
        let reply = block_on(cached.send(Request::read(Record::from_json(json).unwrap())));
        reply.map(|reply| reply.body.decode().unwrap().unwrap().to_json())
    };
    assert_eq!(read(r#"{"a":1,"b":2}"#).unwrap(), "0");
    assert_eq!(read(r#"{"a":1,"b":2}"#).unwrap(), "0");
    // The order of parameters is part of the key, as in Kendo.
    assert_eq!(read(r#"{"b":2,"a":1}"#).unwrap(), "1");
    block_on(cached.send(update())).unwrap();
    assert_eq!(read(r#"{"a":1,"b":2}"#).unwrap(), "0");
    assert_eq!(read(r#"{"c":1}"#).unwrap(), "2");
    assert_eq!(read(r#"{"a":1,"b":2}"#).unwrap(), "3", "the oldest of three was forgotten");
    assert_eq!(read(r#"{"fresh":1}"#).unwrap(), "4");
    assert_eq!(read(r#"{"fresh":1}"#).unwrap(), "5");
    assert!(read(r#"{"fail":1}"#).is_err());
    assert!(read(r#"{"fail":1}"#).is_err());
    cached.clear();
    assert_eq!(read(r#"{"c":1}"#).unwrap(), "6");
}
