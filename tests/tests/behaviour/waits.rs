//! Threads that wait for a data source (I19): what can come is waited for, what would wait for itself is an error. And what the
//! program's values do when they are dropped or woken.

use crate::help::{kept, kind, model, rows, three, within};
use landfall::{
    Builder, DataSource, Error, ErrorKind, EventKind, Filter, Group, QueryOptions, Sort, Uid, Value, WeakDataSource,
    blocking,
    storage::MemoryStorage,
    transport::{MockServer, Operation},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn building(server: &MockServer) -> Builder {
    DataSource::builder().transport(server.clone()).model(model()).storage(MemoryStorage::new(), "rows")
}

type Told = Arc<Mutex<Vec<(EventKind, Option<ErrorKind>)>>>;

/// What the handlers of these events are told when they wait.
fn waiting(source: &DataSource, kinds: &[EventKind]) -> Told {
    let told = Told::default();
    for kind in kinds {
        let (kind, told, weak) = (*kind, Arc::clone(&told), source.downgrade());
        source.once(kind, move |_| {
            let Some(source) = weak.upgrade() else { return };
            let waited = source.read().wait();
            told.lock().unwrap().push((kind, waited.err().map(|error| error.kind().clone())));
        });
    }
    told
}

#[test]
fn i19_handlers_do_not_wait_for_what_waits_for_them() {
    within("waits", "async", || {
        runtime().block_on(async {
            let server = three().build();
            let source = kept(&server, MemoryStorage::new());
            let kinds = [EventKind::RequestStart, EventKind::RequestEnd, EventKind::Change, EventKind::Sync];
            let told = waiting(&source, &kinds);
            source.read().await.unwrap();
            source.set(source.at(0).unwrap(), "name", "A").unwrap();
            source.sync().await.unwrap();
            source.idle().await.unwrap();
            let told = told.lock().unwrap();
            assert_eq!(told.len(), kinds.len());
            assert!(told.iter().all(|(_, told)| *told == Some(ErrorKind::Callback)), "{told:?}");
            assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
        });
    });
    within("waits", "blocking", || {
        let server = three().build();
        let source = blocking::DataSource::build(building(&server)).unwrap();
        // The first on this thread, the others on the data source's own.
        let kinds = [EventKind::RequestStart, EventKind::RequestEnd, EventKind::Change, EventKind::Sync];
        let told = waiting(&source, &kinds);
        source.read().unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        source.sync().unwrap();
        source.idle().unwrap();
        let told = told.lock().unwrap();
        assert_eq!(told.len(), kinds.len());
        assert!(told.iter().all(|(_, told)| *told == Some(ErrorKind::Callback)), "{told:?}");
        assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
    });
}

/// Every call that waits, from where nothing can be waited for.
fn all_that_wait(source: &blocking::DataSource) -> [Option<ErrorKind>; 4] {
    let of = |error: Error| error.kind().clone();
    [
        source.read().err().map(of),
        source.idle().err().map(of),
        source.offline_data().err().map(of),
        source.storage_usage().err().map(of),
    ]
}

#[test]
fn i19_a_blocking_data_source_in_its_own_handler() {
    within("waits", "handler", || {
        for here in [true, false] {
            let server = three().build();
            let source = Arc::new(blocking::DataSource::build(building(&server)).unwrap());
            source.fetch().unwrap();
            let service = server.clone();
            let (weak, (tell, told)) = (Arc::downgrade(&source), mpsc::channel());
            let event = if here { EventKind::Change } else { EventKind::RequestEnd };
            source.once(event, move |_| {
                let source = weak.upgrade().unwrap();
                service.set_holding(here);
                tell.send(all_that_wait(&source)).unwrap();
            });
            source.set(source.at(0).unwrap(), "name", "A").unwrap();
            server.set_holding(false);
            source.sync().unwrap();
            server.set_holding(false);
            let told = told.recv().unwrap();
            let refused = Some(ErrorKind::Callback);
            // From here, the thread of its own may have told the others already.
            assert!(told[..2].iter().all(|told| *told == refused), "{here} {told:?}");
            assert!(told[2..].iter().all(|told| *told == refused || here && told.is_none()), "{here} {told:?}");
            source.idle().unwrap();
            assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
            assert!(source.storage_usage().unwrap() > 0);
        }
    });
}

#[test]
fn a_blocking_data_source_on_a_thread_of_a_runtime() {
    within("waits", "runtime", || {
        let server = three().build();
        let source = blocking::DataSource::build(building(&server)).unwrap();
        source.fetch().unwrap();
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        runtime().block_on(async {
            server.set_holding(true);
            assert_eq!(kind(source.sync()), ErrorKind::Unsupported);
            let told = all_that_wait(&source);
            let refused = Some(ErrorKind::Unsupported);
            // The thread of its own may have told the others already.
            assert!(told[..2].iter().all(|told| *told == refused), "{told:?}");
            assert!(told[2..].iter().all(|told| *told == refused || told.is_none()), "{told:?}");
            server.set_holding(false);
            // What they started goes on, and can be awaited.
            DataSource::idle(&source).await.unwrap();
            assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
            // Threads that are made for waiting may.
            let source = tokio::task::spawn_blocking(move || {
                source.read().unwrap();
                source.offline_data().unwrap();
                source
            });
            drop(source.await.unwrap());
        });
    });
}

#[test]
fn i19_a_blocking_data_source_is_dropped_wherever() {
    type Slot = Arc<Mutex<Option<blocking::DataSource>>>;
    let drops = |slot: &Slot| {
        let slot = Arc::clone(slot);
        move || drop(slot.lock().unwrap().take())
    };
    within("waits", "handler of its own thread", move || {
        let slot = Slot::default();
        let source = blocking::DataSource::build(building(&three().build())).unwrap();
        let (gone, ended) = mpsc::channel();
        let dropping = drops(&slot);
        source.on(EventKind::RequestEnd, move |_| {
            dropping();
            gone.send(()).unwrap();
        });
        let reading = DataSource::read(&source);
        *slot.lock().unwrap() = Some(source);
        ended.recv().unwrap();
        drop(reading.wait());
    });
    within("waits", "filter", move || {
        let slot = Slot::default();
        let source = blocking::DataSource::build(building(&three().build())).unwrap();
        source.fetch().unwrap();
        let handle = source.clone();
        *slot.lock().unwrap() = Some(source);
        let dropping = drops(&slot);
        // Something for its thread to wait for.
        drop(handle.sync());
        let filtering = handle.filter(Filter::custom(move |_| {
            dropping();
            true
        }));
        drop(filtering.wait());
        drop(handle);
    });
}

#[test]
fn nobody_waits_for_a_data_source_whose_runtime_is_gone() {
    within("waits", "gone", || {
        let server = three().build();
        server.set_holding(true);
        let runtime = runtime();
        let (source, reading) = runtime.block_on(async {
            let source = kept(&server, MemoryStorage::new());
            let reading = source.read();
            crate::help::held(&server, 1).await;
            (source, reading)
        });
        let waiter = std::thread::spawn(move || kind(reading.wait()));
        std::thread::sleep(Duration::from_millis(20));
        drop(runtime);
        assert_eq!(waiter.join().unwrap(), ErrorKind::Closed);
        assert_eq!(kind(source.read().wait()), ErrorKind::Closed);
        assert_eq!(kind(source.idle().wait()), ErrorKind::Closed);
        assert_eq!(source.len(), 0);
    });
}

/// A function that runs the runtime, and with it the data source's own task, while the data source is locked.
#[test]
fn i19_a_filter_that_runs_the_runtime() {
    within("waits", "filter", || {
        let runtime = Arc::new(runtime());
        let server = three().build();
        let source = runtime.block_on(async {
            let source = kept(&server, MemoryStorage::new());
            source.read().await.unwrap();
            source
        });
        source.set(source.at(0).unwrap(), "name", "A").unwrap();
        drop(source.sync()); // for the task to do
        let (inner, weak, told) = (Arc::clone(&runtime), source.downgrade(), Arc::new(Mutex::new(None)));
        let tell = Arc::clone(&told);
        drop(source.filter(Filter::custom(move |_| {
            let source = weak.upgrade().unwrap();
            let awaited = inner.block_on(async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                (kind(source.sync().await), kind(source.idle().await), kind(source.offline_data().await))
            });
            *tell.lock().unwrap() = Some(awaited);
            true
        })));
        let refused = (ErrorKind::Callback, ErrorKind::Callback, ErrorKind::Callback);
        assert_eq!(told.lock().unwrap().take(), Some(refused));
        runtime.block_on(async {
            source.filter(None).await.unwrap();
            source.idle().await.unwrap();
            assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
            assert_eq!(source.rows().len(), 3);
        });
    });
}

/// Calls the data source when it is dropped, or woken.
struct Calling {
    source: WeakDataSource,
    calls: Arc<AtomicUsize>,
}

impl Calling {
    fn new(source: &DataSource, calls: &Arc<AtomicUsize>) -> Self {
        Self { source: source.downgrade(), calls: Arc::clone(calls) }
    }

    fn call(&self) {
        let Some(source) = self.source.upgrade() else { return };
        source.off(source.on(EventKind::Change, |_| ()));
        drop(source.events());
        drop(source.sync());
        assert!(source.len() <= 3);
        drop(source.restore_with(|_| ()));
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        self.call();
    }
}

impl Wake for Calling {
    fn wake(self: Arc<Self>) {
        self.call();
    }
}

#[test]
fn i19_handlers_and_wakers_that_call_the_data_source_as_they_go() {
    within("waits", "drop", || {
        runtime().block_on(async {
            let source = kept(&three().build(), MemoryStorage::new());
            let calls = Arc::new(AtomicUsize::new(0));
            let bound = |once: bool| {
                let calling = Calling::new(&source, &calls);
                let handler = move |_: &_| drop(calling.source.upgrade());
                if once { source.once(EventKind::RequestEnd, handler) } else { source.on(EventKind::Change, handler) }
            };
            assert!(source.off(bound(false)));
            assert_eq!(calls.load(Ordering::Relaxed), 1, "unbound");
            bound(true);
            source.read().await.unwrap();
            assert_eq!(calls.load(Ordering::Relaxed), 2, "used up");

            let calling = Calling::new(&source, &calls);
            let (_, first) = (source.idle().await, kept(&three().build(), MemoryStorage::new()));
            drop(first.restore_with(move |_| drop(calling.source.upgrade())));
            drop(first.restore_with(|_| ()));
            assert_eq!(calls.load(Ordering::Relaxed), 3, "replaced");

            let (filter, order, groups) = {
                let calling = || Calling::new(&source, &calls);
                let (filter, order, groups) = (calling(), calling(), calling());
                (
                    Filter::custom(move |_| filter.source.upgrade().is_some()),
                    Sort::asc("name").with_compare(move |_, _| order.calls.load(Ordering::Relaxed).cmp(&0)),
                    Group::asc("name").with_compare(move |_, _| groups.calls.load(Ordering::Relaxed).cmp(&0)),
                )
            };
            let options = QueryOptions::new().filter(filter).sort(order).group(groups);
            source.query(options).await.unwrap();
            assert_eq!(source.rows().len(), 3);
            source.query(QueryOptions::new().page(1).page_size(2)).await.unwrap();
            assert_eq!(source.rows().len(), 2);
            assert_eq!(calls.load(Ordering::Relaxed), 6, "of a query before");

            // Woken while an event is told, and while a promise is kept.
            let waker = Waker::from(Arc::new(Calling::new(&source, &calls)));
            let mut context = Context::from_waker(&waker);
            let mut events = source.events();
            assert!(pin!(events.next()).poll(&mut context).is_pending());
            let mut reading = pin!(source.read());
            assert!(reading.as_mut().poll(&mut context).is_pending());
            source.idle().await.unwrap();
            assert!(reading.poll(&mut Context::from_waker(Waker::noop())).is_ready());
            assert!(calls.load(Ordering::Relaxed) >= 8);
            drop(waker);
            source.idle().await.unwrap();
        });
    });
}

struct Naming(DataSource, Uid);

impl From<Naming> for Uid {
    fn from(naming: Naming) -> Self {
        naming.0.item(naming.1).unwrap().uid()
    }
}

impl From<Naming> for Value {
    fn from(naming: Naming) -> Self {
        Self::from(i64::try_from(naming.0.len()).unwrap())
    }
}

/// Conversions of arguments run before anything is locked.
#[test]
fn i19_conversions_of_arguments_may_call_the_data_source() {
    within("waits", "into", || {
        runtime().block_on(async {
            let server = three().build();
            let source = kept(&server, MemoryStorage::new());
            source.read().await.unwrap();
            let uid = source.at(1).unwrap().uid();
            let naming = || Naming(source.clone(), uid);
            source.set(naming(), "name", naming()).unwrap();
            source.set_undeclared(naming(), "more", naming()).unwrap();
            assert_eq!(source.item(naming()).unwrap().record().to_json(), r#"{"id":2,"name":3,"more":3}"#);
            assert_eq!(source.get(naming()).unwrap().get("name").unwrap().to_text().as_str(), "c");
            assert_eq!(source.index_of(naming()), Some(1));
            assert_eq!(kind(source.edit_array(naming(), "name", |_| ())), ErrorKind::Invalid);
            source.cancel_changes_of(naming()).unwrap();
            for decided in [source.discard(naming()), source.take_theirs(naming()), source.confirm(naming(), None)] {
                assert_eq!(kind(decided.await), ErrorKind::NotFound);
            }
            for decided in [source.retry(naming()), source.keep_mine(naming())] {
                assert_eq!(kind(decided.await), ErrorKind::NotFound);
            }
            source.remove(naming()).unwrap();
            assert!(source.sync().await.unwrap().is_success());
            assert_eq!((server.count(Operation::Destroy), source.len()), (1, 2));
        });
    });
}

/// A filter is the program's as long as it is set, on the data source's own task, too.
#[test]
fn i18_a_filter_that_calls_whenever_it_is_asked() {
    within("waits", "filter", || {
        runtime().block_on(async {
            let server = three().build();
            let source = kept(&server, MemoryStorage::new());
            source.read().await.unwrap();
            let weak = source.downgrade();
            let failed =
                source.filter(Filter::custom(move |_| weak.upgrade().is_some_and(|source| source.len() < 9))).await;
            assert_eq!(kind(failed), ErrorKind::Callback);
            for kind in [EventKind::Change, EventKind::RequestEnd] {
                source.on(kind, |_| ());
            }
            // Nothing is shown, and everything else goes on.
            source.read().await.unwrap();
            source.set(source.at(0).unwrap(), "name", "A").unwrap();
            assert!(source.rows().is_empty());
            assert!(source.sync().await.unwrap().is_success());
            let sorted: Result<_, Error> = source.sort([Sort::asc("name")]).await;
            assert_eq!(kind(sorted), ErrorKind::Callback);
            let looked = catch_unwind(AssertUnwindSafe(|| source.view()));
            assert!(looked.is_ok());
            source.filter(None).await.unwrap();
            assert_eq!(source.rows().len(), 3);
            assert_eq!(rows(&server)[0], r#"{"id":1,"name":"A"}"#);
        });
    });
}
