//! Functions of the program's that panic, or call the data source (I18, I19): of the transport, of doubts, of edits, the
//! clock. Handlers of events are in `callers`, functions of the schema in `hooks`.

use crate::help::{failures, kept, kind, model, record, rows, three, value};
use crate::wires;
use landfall::{
    DataSource, Date, Error, ErrorKind, Found, Sort, Standing, Value, WeakDataSource,
    storage::MemoryStorage,
    transport::{
        Fault, HttpBuilder, HttpTransport, Operation,
        dialect::kendo::{Address, Kendo, Mapped, ParameterMap, Settings},
        from_fns,
    },
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What a function does besides its work.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Panic,
    Call,
}

/// The data source that a function of its own may call, once it is known; what it does happens on writes only.
#[derive(Clone)]
struct Doer {
    deed: Deed,
    source: Arc<Mutex<Option<WeakDataSource>>>,
}

impl Doer {
    fn new(deed: Deed) -> Self {
        crate::hooks::quietly();
        Self { deed, source: Arc::default() }
    }

    fn knows(&self, source: &DataSource) {
        *self.source.lock().unwrap() = Some(source.downgrade());
    }

    fn act(&self) {
        let source = self.source.lock().unwrap().as_ref().and_then(WeakDataSource::upgrade);
        let Some(source) = source else { return };
        assert!(self.deed == Deed::Call, "meant");
        call_it(&source);
    }
}

/// A bit of everything; what it starts need not succeed.
fn call_it(source: &DataSource) {
    drop(source.sync());
    drop(source.pending());
    drop(source.rows());
    drop(source.sort([Sort::asc("name")]));
    drop(source.cancel_changes_of(source.at(0).unwrap()));
    drop(source.push_update([record(r#"{"id":3,"name":"pushed"}"#)]));
    drop(source.restore_with(|_| ()));
    assert!(source.is_online() && source.has_offline_storage());
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hangs")
}

/// A transport over HTTP whose function of this name does the deed.
fn over_http(url: &str, name: &str, doer: &Doer) -> HttpTransport {
    let to = |path: &str| Settings::url(format!("{url}{path}"));
    let (act, base) = (doer.clone(), url.to_owned());
    let mut config: HttpBuilder = HttpTransport::builder().base_url(url);
    let mut kendo = Kendo::new().read(to("read"));
    let update = to("update").method("POST");
    kendo = match name {
        "url" => {
            let address = Address::function(move |_| {
                act.act();
                format!("{base}update")
            });
            kendo.update(Settings::url(address).method("POST"))
        }
        "headers" => kendo.update(update.headers_with(move |_| {
            act.act();
            Vec::new()
        })),
        "data" => kendo.update(update.data_with(move |_| {
            act.act();
            landfall::Record::new()
        })),
        "before_send" => kendo.update(update.before_send(move |_| {
            act.act();
            Ok(())
        })),
        "parameter_map" => kendo.update(update).parameter_map(ParameterMap::new(move |params, operation| {
            if operation == Operation::Update {
                act.act();
            }
            Mapped::from(params)
        })),
        _ => {
            config = match name {
                "all_headers" => config.headers_with(move |request| {
                    if request.method != "GET" {
                        act.act();
                    }
                    Vec::new()
                }),
                _ => config.bearer_with(move |_| {
                    act.act();
                    std::future::ready(Ok(Some("token-of-mine".to_owned())))
                }),
            };
            kendo.update(update)
        }
    };
    config.build(kendo).unwrap()
}

const OF_HTTP: [&str; 7] = ["url", "headers", "data", "before_send", "parameter_map", "all_headers", "token"];

/// Nothing is sent when a function that spells the request panics, and it is sent once when it does not any more.
#[tokio::test]
async fn i18_i19_functions_of_an_http_transport() {
    for deed in [Deed::Panic, Deed::Call] {
        for name in OF_HTTP {
            let (url, seen) = wires::serving(|_, request| {
                let rows = r#"[{"id":1,"name":"a"},{"id":3,"name":"c"}]"#;
                Some((200, if request.starts_with("GET") { rows } else { "null" }.to_owned()))
            })
            .await;
            let doer = Doer::new(deed);
            let builder = DataSource::builder().transport(over_http(&url, name, &doer)).model(model());
            let source: DataSource = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
            within(source.read()).await.unwrap();
            source.set(source.at(0).unwrap(), "name", "A").unwrap();
            doer.knows(&source);
            let report = within(source.sync()).await.unwrap();
            *doer.source.lock().unwrap() = None;
            within(source.idle()).await.unwrap();
            let posts = || seen.lock().unwrap().iter().filter(|line| line.starts_with("POST")).count();
            if deed == Deed::Panic {
                assert_eq!(failures(&report), [ErrorKind::Callback], "{name}");
                assert_eq!(posts(), 0, "{name}");
                assert_eq!(source.pending()[0].standing, Standing::Queued, "{name}: nothing was sent");
                let report = within(source.sync()).await.unwrap();
                assert!(report.is_success(), "{name} {report:?}");
            }
            assert!(source.pending().is_empty(), "{name} {deed:?}");
            assert_eq!(posts(), 1, "{name} {deed:?}");
            assert_eq!(source.at(0).unwrap().get("name"), Some(&Value::from("A")), "{name} {deed:?}");
        }
    }
}

#[tokio::test]
async fn i18_i19_functions_of_a_transport_of_functions() {
    for deed in [Deed::Panic, Deed::Call] {
        let doer = Doer::new(deed);
        let act = doer.clone();
        let given = || vec![record(r#"{"id":1,"name":"a"}"#), record(r#"{"id":3,"name":"c"}"#)];
        let transport =
            from_fns().on_sync(Operation::Read, move |_| Ok(given())).on_sync(Operation::Update, move |_| {
                act.act();
                Ok(())
            });
        let source = kept_by(transport);
        within(source.read()).await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        doer.knows(&source);
        let report = within(source.sync()).await.unwrap();
        *doer.source.lock().unwrap() = None;
        within(source.idle()).await.unwrap();
        if deed == Deed::Panic {
            assert_eq!(failures(&report), [ErrorKind::Callback]);
            assert_eq!(source.pending()[0].standing, Standing::InDoubt, "it may have done its work before");
            assert!(within(source.sync()).await.unwrap().is_success());
        }
        assert!(source.pending().is_empty(), "{deed:?}");
    }
}

fn kept_by(transport: impl landfall::transport::Transport) -> DataSource {
    let builder = DataSource::builder().transport(transport).model(model());
    builder.storage(MemoryStorage::new(), "rows").build().unwrap()
}

#[tokio::test]
async fn i18_i19_a_look_up_that_panics_or_calls_the_data_source() {
    for deed in [Deed::Panic, Deed::Call] {
        let server = three().idempotency(false).fault(Fault::on(Operation::Update).lost()).build();
        let doer = Doer::new(deed);
        let (act, service) = (doer.clone(), server.clone());
        let builder = DataSource::builder().transport(server.clone()).model(model()).honours_idempotency_keys(false);
        let builder = builder.look_up(move |ask| {
            act.act();
            let row = ask.id().and_then(|id| service.row(id.clone()));
            std::future::ready(Ok(row.map_or(Found::Missing, Found::Record)))
        });
        let source: DataSource = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
        within(source.read()).await.unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        within(source.sync()).await.unwrap();
        assert_eq!(source.pending()[0].standing, Standing::InDoubt);
        doer.knows(&source);
        let report = within(source.sync()).await.unwrap();
        *doer.source.lock().unwrap() = None;
        within(source.idle()).await.unwrap();
        if deed == Deed::Panic {
            assert_eq!(failures(&report), [ErrorKind::Callback]);
            assert_eq!(source.pending()[0].standing, Standing::InDoubt);
            assert!(within(source.sync()).await.unwrap().is_success());
        }
        assert!(source.pending().is_empty(), "{deed:?}");
        assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
        assert_eq!(server.count(Operation::Update), 1, "it was applied: nothing is repeated");
    }
}

/// What runs while the data source is locked must not call it; a panic leaves the data source as it was.
#[tokio::test]
async fn i18_a_policy_and_a_clock_that_panic_are_as_if_they_were_not_there() {
    crate::hooks::quietly();
    let server = three().fault(Fault::on(Operation::Update).fail(422)).build();
    let builder = DataSource::builder().transport(server.clone()).model(model());
    let builder = builder.failure_policy(|_| panic!("meant")).clock(|| -> Date { panic!("meant") });
    let source: DataSource = builder.storage(MemoryStorage::new(), "rows").build().unwrap();
    within(source.read()).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    assert_eq!(failures(&within(source.sync()).await.unwrap()), [ErrorKind::Status(422)]);
    let pending = source.pending();
    assert_eq!(pending[0].standing, Standing::Quarantined);
    assert!(pending[0].failure.as_ref().unwrap().at.unwrap().millis() > 1_600_000_000_000, "the system's clock");
    assert!(within(source.sync()).await.unwrap().is_success());
    assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
}

#[tokio::test]
async fn i18_i19_functions_of_edits() {
    crate::hooks::quietly();
    let given = r#"[{"id":1,"name":"a","list":[1]}]"#;
    let server = crate::help::serving(given).fault(Fault::on(Operation::Update).fail(422)).build();
    let source = kept(&server, MemoryStorage::new());
    within(source.read()).await.unwrap();
    let uid = source.at(0).unwrap().uid();

    let other = source.clone();
    source
        .edit_array(uid, "list", move |list| {
            assert_eq!(other.len(), 1);
            other.set(uid, "name", "A").unwrap();
            list.push(2.into());
        })
        .unwrap();
    assert_eq!(source.at(0).unwrap().record().to_json(), r#"{"id":1,"name":"A","list":[1,2]}"#);
    let caught = |work: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err();
    assert!(caught(&|| drop(source.edit_array(uid, "list", |_| panic!("meant")))));
    assert_eq!(source.at(0).unwrap().record().to_json(), r#"{"id":1,"name":"A","list":[1,2]}"#);

    assert_eq!(failures(&within(source.sync()).await.unwrap()), [ErrorKind::Status(422)]);
    assert!(caught(&|| drop(source.edit_and_retry(uid, |_| panic!("meant")))));
    assert_eq!(source.inbox().len(), 1);
    let other = source.clone();
    let retried = source.edit_and_retry(uid, move |record| {
        assert_eq!(other.inbox().len(), 1);
        drop(record.set("name", "better"));
    });
    assert_eq!(within(retried).await.unwrap().done(), 1);
    assert_eq!(rows(&server), [r#"{"id":1,"name":"better","list":[1,2]}"#]);
}

#[tokio::test]
async fn i18_functions_of_orders_and_fields_that_panic() {
    crate::hooks::quietly();
    let server = three().build();
    let source = kept(&server, MemoryStorage::new());
    within(source.read()).await.unwrap();
    let failed = within(source.sort([Sort::asc("name").with_compare(|_, _| panic!("meant"))])).await;
    assert_eq!(kind(failed), ErrorKind::Callback);
    within(source.sort([])).await.unwrap();
    assert_eq!(source.rows().len(), 3);

    let model = model()
        .field(landfall::Field::new("id").number())
        .field(landfall::Field::new("name").default_with(|| panic!("meant")));
    let builder = DataSource::builder().transport(server.clone()).model(model);
    let source: DataSource = builder.storage(MemoryStorage::new(), "other").build().unwrap();
    within(source.read()).await.unwrap();
    let add = || drop(source.add(record("{}")));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(add)).is_err());
    assert_eq!((source.len(), source.has_changes()), (3, false));
    source.add(record(r#"{"name":"n"}"#)).unwrap();
    assert!(within(source.sync()).await.unwrap().is_success());
    assert_eq!(rows(&server).len(), 4);
}

/// Functions of a storage of one's own may call the data source; what would call them again is refused.
#[tokio::test]
async fn i19_functions_of_a_storage_that_call_the_data_source() {
    let doer = Doer::new(Deed::Call);
    let (got, set) = (doer.clone(), doer.clone());
    let state: Arc<Mutex<Option<String>>> = Arc::default();
    let (given, kept_in) = (Arc::clone(&state), Arc::clone(&state));
    let asked = |doer: &Doer| {
        doer.act();
        let source = doer.source.lock().unwrap().as_ref().and_then(WeakDataSource::upgrade);
        let Some(source) = source else { return };
        let usage =
            std::pin::pin!(source.storage_usage()).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(usage, std::task::Poll::Ready(Err(error)) if *error.kind() == ErrorKind::Callback));
    };
    let storage = landfall::storage::item_storage(
        move || {
            asked(&got);
            Ok::<_, Error>(given.lock().unwrap().clone())
        },
        move |text: &str| {
            asked(&set);
            *kept_in.lock().unwrap() = Some(text.to_owned());
            Ok::<(), Error>(())
        },
    );
    let server = three().build();
    let source = kept(&server, storage);
    within(source.read()).await.unwrap();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    doer.knows(&source);
    drop(source.sync());
    tokio::time::sleep(Duration::from_millis(20)).await;
    *doer.source.lock().unwrap() = None;
    within(source.idle()).await.unwrap();
    assert!(within(source.sync()).await.unwrap().is_success());
    assert!(within(source.storage_usage()).await.unwrap() > 0);
    assert!(source.pending().is_empty() && rows(&server)[0] == r#"{"id":1,"name":"A"}"#, "{:?}", rows(&server));
}

/// R6: functions of a storage of one's own.
#[tokio::test]
async fn i18_functions_of_a_storage_that_panic() {
    crate::hooks::quietly();
    let state: Arc<Mutex<Option<String>>> = Arc::default();
    let broken = Arc::new(AtomicBool::new(false));
    let (given, kept_in, breaks) = (Arc::clone(&state), Arc::clone(&state), Arc::clone(&broken));
    let storage = landfall::storage::item_storage(
        move || Ok::<_, Error>(given.lock().unwrap().clone()),
        move |text: &str| {
            assert!(!breaks.load(Ordering::Relaxed), "meant");
            *kept_in.lock().unwrap() = Some(text.to_owned());
            Ok::<(), Error>(())
        },
    );
    let server = three().build();
    let source = kept(&server, storage);
    within(source.read()).await.unwrap();
    let before = state.lock().unwrap().clone();
    source.set(source.at(0).unwrap(), "name", "A").unwrap();
    broken.store(true, Ordering::Relaxed);
    let error: Error = within(source.sync()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Callback);
    assert_eq!(*state.lock().unwrap(), before);
    assert_eq!(server.count(Operation::Update), 0, "nothing is sent that is not stored");
    broken.store(false, Ordering::Relaxed);
    assert!(within(source.sync()).await.unwrap().is_success());
    assert_eq!(source.at(0).unwrap().get("name"), Some(&value(r#""A""#)));
}
