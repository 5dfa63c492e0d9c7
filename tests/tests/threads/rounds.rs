//! Rounds: threads and tasks edit, read, sync, push and switch one data source at once; then what each of them saw is judged.

use crate::{
    Clock, Dice,
    history::{Act, Span, explained, in_order},
    service::{Got, Service},
};
use landfall::{
    Action, DataSource, ErrorKind, Event, EventKind, Model, Operation, Record, Result, Sort, SyncReport, Uid, Value,
    blocking,
    storage::{MemoryStorage, SqliteStorage, Storage},
    transport::Operation as Verb,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Barrier, Mutex},
    thread::{self, ThreadId},
    time::Duration,
};
use tokio::runtime::{self, Runtime};

/// Where the driver of the data source runs.
enum Home {
    Many(Runtime),
    /// A runtime of one thread, and what keeps it running there.
    One(runtime::Handle, Option<tokio::sync::oneshot::Sender<()>>, Option<thread::JoinHandle<()>>),
    /// The blocking form's own.
    Own,
}

impl Home {
    fn of(dice: &mut Dice) -> Self {
        match dice.below(3) {
            0 => Self::Many(runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
            1 => {
                let (stop, stopped) = tokio::sync::oneshot::channel();
                let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let handle = runtime.handle().clone();
                let thread = thread::spawn(move || runtime.block_on(async { drop(stopped.await) }));
                Self::One(handle, Some(stop), Some(thread))
            }
            _ => Self::Own,
        }
    }

    fn handle(&self) -> Option<&runtime::Handle> {
        match self {
            Self::Many(runtime) => Some(runtime.handle()),
            Self::One(handle, ..) => Some(handle),
            Self::Own => None,
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Self::One(_, stop, thread) = self {
            drop(stop.take());
            drop(thread.take().map(thread::JoinHandle::join));
        }
    }
}

/// A data source, and what it lives on.
struct Built {
    source: DataSource,
    blocking: Option<blocking::DataSource>,
}

fn build(home: &Home, service: &Service, storage: Arc<dyn Storage>) -> Built {
    let builder = DataSource::builder()
        .transport(service.clone())
        .model(Model::new().id("id"))
        .storage(storage, "rows")
        .retry_in_background(false);
    if let Some(handle) = home.handle() {
        let _inside = handle.enter();
        Built { source: builder.build().unwrap(), blocking: None }
    } else {
        let blocking = blocking::DataSource::build(builder).unwrap();
        Built { source: (*blocking).clone(), blocking: Some(blocking) }
    }
}

/// How somebody waits for an operation.
#[derive(Clone, Copy)]
enum Waits {
    Blocking,
    Awaiting,
}

impl Waits {
    async fn on<T>(self, operation: Operation<T>) -> Result<T> {
        match self {
            Self::Blocking => operation.wait(),
            Self::Awaiting => operation.await,
        }
    }
}

/// A row that one worker added and nobody else touches.
struct Own {
    uid: Uid,
    tag: String,
    value: Option<i64>,
}

#[derive(Default)]
struct Log {
    /// By row: its values, and the service's counts of its versions.
    values: HashMap<i64, Vec<Span>>,
    revisions: HashMap<i64, Vec<Span>>,
    /// The times in which it was offline for certain, and how it switched.
    offline: Vec<(u64, u64)>,
    switches: Vec<(u64, u64, bool)>,
    looks: Vec<(u64, u64, bool)>,
    own: Vec<Own>,
    thread: Option<ThreadId>,
    calls: u64,
}

struct Worker {
    source: DataSource,
    service: Service,
    clock: Clock,
    dice: Dice,
    number: i64,
    waits: Waits,
    switches: bool,
    shared: Vec<Uid>,
    log: Log,
}

fn number(record: &Record, member: &str) -> Option<i64> {
    record.get(member).and_then(Value::as_i64)
}

impl Worker {
    async fn work(mut self, calls: u64) -> Log {
        self.log.thread = matches!(self.waits, Waits::Blocking).then(|| thread::current().id());
        for call in 0..calls {
            match self.dice.below(100) {
                0..36 => self.set(call),
                36..66 => self.look(),
                66..76 => self.sync().await,
                76..88 => self.own(call),
                88..93 => self.push(call),
                93..96 => self.query().await,
                _ if self.switches => self.switch().await,
                _ => {
                    let begin = self.clock.tick();
                    let online = self.source.is_online();
                    self.log.looks.push((begin, self.clock.tick(), online));
                }
            }
            if self.dice.one_in(8) {
                match self.waits {
                    Waits::Blocking => thread::yield_now(),
                    Waits::Awaiting => tokio::task::yield_now().await,
                }
            }
        }
        self.log.calls = calls;
        self.log
    }

    /// A value that nobody else ever writes.
    fn unique(&self, call: u64) -> i64 {
        self.number * 1_000_000 + i64::try_from(call).unwrap()
    }

    fn set(&mut self, call: u64) {
        let value = self.unique(call);
        let row = self.dice.below(self.shared.len() as u64);
        let uid = self.shared[usize::try_from(row).unwrap()];
        let begin = self.clock.tick();
        self.source.set(uid, "value", value).unwrap();
        let span = Span { begin, end: self.clock.tick(), act: Act::Write, value };
        self.log.values.entry(i64::try_from(row).unwrap() + 1).or_default().push(span);
    }

    fn look(&mut self) {
        let row = self.dice.below(self.shared.len() as u64);
        let place = usize::try_from(row).unwrap();
        let (uid, id) = (self.shared[place], i64::try_from(row).unwrap() + 1);
        let way = self.dice.below(8);
        let begin = self.clock.tick();
        let seen: Vec<Record> = match way {
            0 | 1 => vec![self.source.get(id).unwrap().record().clone()],
            2 => vec![self.source.item(uid).unwrap().record().clone()],
            3 => vec![self.source.at(place).unwrap().record().clone()],
            4 => self.source.data().into_iter().map(|entry| entry.record().clone()).collect(),
            5 => self.source.rows().into_iter().map(|entry| entry.record().clone()).collect(),
            6 => self.source.view().flat().into_iter().map(|item| item.record).collect(),
            _ => self.source.updated().into_iter().map(|entry| entry.record().clone()).collect(),
        };
        let end = self.clock.tick();
        let rows = i64::try_from(self.shared.len()).unwrap();
        for record in seen {
            let Some(id) = number(&record, "id").filter(|id| *id <= rows) else { continue };
            let span = |value| Span { begin, end, act: Act::Read, value };
            self.log.values.entry(id).or_default().push(span(number(&record, "value").unwrap()));
            self.log.revisions.entry(id).or_default().push(span(number(&record, "revision").unwrap()));
        }
    }

    async fn sync(&mut self) {
        let operation = self.source.sync();
        if self.dice.one_in(4) {
            return;
        }
        judge_report(&self.waits.on(operation).await.unwrap());
    }

    /// A row of one's own is what one made of it, whatever the others do.
    fn own(&mut self, call: u64) {
        let value = self.unique(call);
        let live = self.log.own.iter().filter(|own| own.value.is_some()).count();
        if live < 2 {
            let tag = format!("{}-{call}", self.number);
            let row = Record::from_iter([("tag", Value::from(tag.as_str())), ("value", Value::from(value))]);
            let uid = self.source.add(row).unwrap();
            self.log.own.push(Own { uid, tag, value: Some(value) });
        }
        let place = usize::try_from(self.dice.below(self.log.own.len() as u64)).unwrap();
        let own = &mut self.log.own[place];
        let seen = self.source.item(own.uid);
        assert_eq!(seen.as_ref().and_then(|entry| number(entry, "value")), own.value, "{}", own.tag);
        if own.value.is_none() {
            return;
        }
        if self.dice.one_in(3) {
            self.source.remove(own.uid).unwrap();
            own.value = None;
        } else {
            self.source.set(own.uid, "value", value).unwrap();
            own.value = Some(value);
        }
        let seen = self.source.item(own.uid);
        assert_eq!(seen.as_ref().and_then(|entry| number(entry, "value")), own.value, "{}", own.tag);
    }

    /// The service announces what somebody else did.
    fn push(&mut self, call: u64) {
        let (value, id) = (self.unique(call), i64::try_from(self.dice.below(self.shared.len() as u64)).unwrap() + 1);
        self.service.set(id, "pushed", value);
        self.source.push_update([Record::from_iter([("id", id), ("pushed", value)])]).unwrap();
    }

    async fn query(&mut self) {
        let operation = match self.dice.below(3) {
            0 => self.source.fetch(),
            1 => self.source.sort([Sort::desc("id")]),
            _ => self.source.sort([Sort::asc("value")]),
        };
        self.waits.on(operation).await.unwrap();
    }

    /// Only one worker switches, so that it knows when it is offline.
    async fn switch(&mut self) {
        let begin = self.clock.tick();
        self.waits.on(self.source.online(false)).await.unwrap();
        self.log.switches.push((begin, self.clock.tick(), false));
        assert!(!self.source.is_online());
        let from = self.clock.tick();
        if self.dice.one_in(2) {
            self.waits.on(self.source.idle()).await.unwrap();
        }
        judge_report(&self.waits.on(self.source.sync()).await.unwrap());
        if self.dice.one_in(2) {
            match self.waits {
                Waits::Blocking => thread::sleep(Duration::from_millis(2)),
                Waits::Awaiting => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
        let begin = self.clock.tick();
        self.log.offline.push((from, begin));
        let operation = self.source.online(true);
        self.log.switches.push((begin, self.clock.tick(), true));
        judge_report(&self.waits.on(operation).await.unwrap());
    }
}

/// Nothing fails but what went offline on its way.
fn judge_report(report: &SyncReport) {
    for failed in report.failures() {
        let kind = failed.result.as_ref().unwrap_err().kind();
        assert_eq!(kind, &ErrorKind::Offline, "{failed:?}");
    }
}

/// What a handler was told, on which thread and when.
struct Told {
    tick: u64,
    thread: ThreadId,
    event: (i64, i64),
}

/// The row and the value that a change of a field tells of.
fn value_told(event: &Event) -> Option<(i64, i64)> {
    let set = event.kind == EventKind::Change && event.field.as_ref().is_some_and(|field| field.as_str() == "value");
    let item = event.items.as_ref().filter(|_| set)?.first()?;
    Some((number(&item.record, "id")?, number(&item.record, "value")?))
}

/// What a round amounted to.
#[derive(Debug, Default)]
struct Sum {
    calls: u64,
    writes: usize,
    reads: usize,
    requests: usize,
    switches: usize,
}

fn judge_online(logs: &[Log]) {
    let switches: Vec<_> = logs.iter().flat_map(|log| &log.switches).copied().collect();
    for (begin, end, seen) in logs.iter().flat_map(|log| &log.looks).copied() {
        // Each state may be there from the begin of the switch to it until the end of the next one.
        let states = std::iter::once((0, true)).chain(switches.iter().map(|(begin, _, online)| (*begin, *online)));
        let ends = switches.iter().map(|(_, end, _)| *end).chain([u64::MAX]);
        let fits = states.zip(ends).any(|((from, online), to)| online == seen && from <= end && begin <= to);
        assert!(fits, "online: {seen} at {begin}..{end}, {switches:?}");
    }
}

/// The order of what a stream told.
fn judge_stream(events: &[Arc<Event>], values: &BTreeMap<i64, Vec<Span>>) {
    for (id, spans) in values {
        let told: Vec<i64> =
            events.iter().filter_map(|event| value_told(event)).filter(|(row, _)| row == id).map(|(_, v)| v).collect();
        in_order(0, &told, spans).unwrap();
        let mut sorted = told.clone();
        sorted.sort_unstable();
        let mut written: Vec<i64> = spans.iter().filter(|span| span.act == Act::Write).map(|span| span.value).collect();
        written.sort_unstable();
        assert_eq!(sorted, written, "row {id}: each edit is told once");
    }
    let mut open = HashMap::new();
    // Two syncs may end on two threads at once.
    let mut synced = 0;
    for event in events {
        match (event.kind, event.request) {
            (EventKind::RequestStart, Some(id)) => {
                assert!(open.insert(id, true).is_none(), "request {id} starts twice");
            }
            (EventKind::RequestEnd, Some(id)) => assert_eq!(open.insert(id, false), Some(true), "request {id} ends"),
            (EventKind::Change, _) if event.action == Some(Action::Sync) => synced += 1,
            (EventKind::Sync, _) => {
                assert!(synced > 0, "a sync is told after its change");
                synced -= 1;
            }
            (EventKind::Error, _) => {
                let kind = event.error.as_ref().map(landfall::Error::kind);
                assert_eq!(kind, Some(&ErrorKind::Offline));
            }
            _ => {}
        }
    }
    assert!(open.values().all(|open| !open), "every request that started ended");
}

fn sorted(rows: impl IntoIterator<Item = Record>) -> Vec<String> {
    // The order of members is nobody's business here.
    let members = |row: Record| row.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect();
    let mut rows: Vec<BTreeMap<String, String>> = rows.into_iter().map(members).collect();
    rows.sort();
    rows.into_iter().map(|row| format!("{row:?}")).collect()
}

fn shown(source: &DataSource) -> Vec<String> {
    sorted(source.data().into_iter().map(|entry| entry.record().clone()))
}

fn round(seed: u64) -> Sum {
    let mut dice = Dice(seed);
    let clock = Clock::default();
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = if dice.one_in(3) {
        Arc::new(SqliteStorage::open(folder.path().join("rows.sqlite")).unwrap())
    } else {
        Arc::new(MemoryStorage::new())
    };
    let rows = 1 + i64::try_from(dice.below(4)).unwrap();
    let row = |id| Record::from_iter([("id", id), ("value", 0), ("revision", 0), ("pushed", 0)]);
    let service = Service::new(&clock, dice.split(), (1..=rows).map(row));
    let home = Home::of(&mut dice);
    let Built { source, blocking } = build(&home, &service, Arc::clone(&storage));
    source.fetch().wait().unwrap();
    let shared: Vec<Uid> = (1..=rows).map(|id| source.get(id).unwrap().uid()).collect();
    let mut stream = source.events();
    let told = Arc::new(Mutex::new(Vec::new()));
    source.on(EventKind::Change, {
        let (told, clock) = (Arc::clone(&told), clock.clone());
        move |event| {
            if let Some(event) = value_told(event) {
                let told = &mut *told.lock().unwrap();
                told.push(Told { tick: clock.tick(), thread: thread::current().id(), event });
            }
        }
    });

    // Handlers that take their time: much may happen between a step and the next.
    let progress = Arc::new(Mutex::new(Vec::new()));
    for kind in [EventKind::RequestStart, EventKind::Progress, EventKind::Push, EventKind::Change] {
        let (progress, clock, dice) = (Arc::clone(&progress), clock.clone(), Mutex::new(dice.split()));
        source.on(kind, move |_| {
            let pause = {
                let dice = &mut *dice.lock().unwrap();
                dice.one_in(6).then(|| dice.below(400))
            };
            if let Some(micros) = pause {
                thread::sleep(Duration::from_micros(micros));
            }
            if kind == EventKind::Progress {
                progress.lock().unwrap().push((clock.tick(), thread::current().id()));
            }
        });
    }

    // Threads wait by blocking, or await on an executor of their own; tasks share the driver's runtime.
    let (threads, tasks) = (2 + dice.below(3), home.handle().map_or(0, |_| dice.below(3)));
    let calls = 30 + dice.below(40);
    let switches = dice.one_in(2);
    let mut worker = |number: u64| Worker {
        source: source.clone(),
        service: service.clone(),
        clock: clock.clone(),
        waits: if number < threads { Waits::Blocking } else { Waits::Awaiting },
        dice: dice.split(),
        number: i64::try_from(number).unwrap() + 1,
        switches: switches && number == 0,
        shared: shared.clone(),
        log: Log::default(),
    };
    let workers: Vec<Worker> = (0..threads).map(&mut worker).collect();
    let on_tasks: Vec<Worker> = (threads..threads + tasks).map(&mut worker).collect();
    let logs: Vec<Log> = thread::scope(|scope| {
        let start = Arc::new(Barrier::new(workers.len()));
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let start = Arc::clone(&start);
                scope.spawn(move || {
                    start.wait();
                    futures_executor::block_on(worker.work(calls))
                })
            })
            .collect();
        let (sender, ended) = std::sync::mpsc::channel();
        for worker in on_tasks {
            let sender = sender.clone();
            let task = async move { drop(sender.send(worker.work(calls).await)) };
            drop(home.handle().unwrap().spawn(task));
        }
        drop(sender);
        let logs: Vec<Log> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        logs.into_iter().chain(ended).collect()
    });
    assert_eq!(logs.len() as u64, threads + tasks, "a task panicked");

    // The end: what is accepted offline is what the next program finds, and what it sends.
    source.idle().wait().unwrap();
    let ends_offline = dice.one_in(3);
    if ends_offline {
        source.online(false).wait().unwrap();
        source.sync().wait().unwrap();
    } else {
        source.sync().wait().unwrap().into_result().unwrap();
        assert!(!source.has_changes() && source.pending().is_empty(), "{:?}", source.pending());
    }
    source.idle().wait().unwrap();
    let at_end = shown(&source);
    let mut values: BTreeMap<i64, Vec<Span>> = (1..=rows).map(|id| (id, Vec::new())).collect();
    let mut revisions = values.clone();
    for log in &logs {
        log.values.iter().for_each(|(id, spans)| values.get_mut(id).unwrap().extend(spans));
        log.revisions.iter().for_each(|(id, spans)| revisions.get_mut(id).unwrap().extend(spans));
    }
    for (id, spans) in &mut values {
        let (begin, end) = (clock.tick(), clock.tick());
        let value = number(&source.get(*id).unwrap(), "value").unwrap();
        spans.push(Span { begin, end, act: Act::Read, value });
    }
    let mut events = Vec::new();
    while let Some(event) = stream.try_next() {
        events.push(event);
    }
    drop((source, blocking));
    // The stream ends with the data source, and tells nothing more.
    let mut rest = Vec::new();
    while let Some(event) = futures_executor::block_on(stream.next()) {
        rest.push(event.kind);
    }
    assert_eq!((rest.len(), stream.try_next().is_none()), (0, true), "{rest:?}");

    let Built { source, blocking } = build(&home, &service, storage);
    source.restore().wait().unwrap();
    assert_eq!(shown(&source), at_end, "a restart changes nothing");
    assert_eq!(source.has_changes(), !source.pending().is_empty());
    source.sync().wait().unwrap().into_result().unwrap();
    source.read().wait().unwrap();
    assert!(!source.has_changes() && source.pending().is_empty());
    assert_eq!(shown(&source), sorted(service.rows()));
    drop((source, blocking));

    judge(&service, &logs, &values, &revisions, &told.lock().unwrap(), &progress.lock().unwrap());
    judge_online(&logs);
    judge_stream(&events, &values);
    let spans = || values.values().flatten();
    Sum {
        calls: logs.iter().map(|log| log.calls).sum(),
        writes: spans().filter(|span| span.act == Act::Write).count(),
        reads: spans().filter(|span| span.act == Act::Read).count(),
        requests: service.got().len(),
        switches: logs.iter().map(|log| log.switches.len()).sum(),
    }
}

fn judge(
    service: &Service,
    logs: &[Log],
    values: &BTreeMap<i64, Vec<Span>>,
    revisions: &BTreeMap<i64, Vec<Span>>,
    told: &[Told],
    progress: &[(u64, ThreadId)],
) {
    assert_eq!(service.wrong(), [""; 0]);
    let got = service.got();
    for (id, spans) in values {
        explained(0, spans).unwrap_or_else(|problem| panic!("row {id}: {problem}"));
        let sent = got.iter().filter(|got| got.operation == Verb::Update && number(&got.record, "id") == Some(*id));
        let sent: Vec<i64> = sent.map(|got| number(&got.record, "value").unwrap()).collect();
        in_order(0, &sent, spans).unwrap_or_else(|problem| panic!("row {id} at the service: {problem}"));
        let last = spans.iter().max_by_key(|span| span.begin).unwrap().value;
        let there = service.rows().into_iter().find(|row| number(row, "id") == Some(*id)).unwrap();
        assert_eq!(number(&there, "value"), Some(last), "row {id} at the service");
    }
    // What the service says of a row never goes back either.
    for (id, spans) in revisions {
        let mut ends: Vec<(u64, i64)> = spans.iter().map(|span| (span.end, span.value)).collect();
        ends.sort_unstable();
        let mut highest = 0;
        for place in &mut ends {
            highest = highest.max(place.1);
            place.1 = highest;
        }
        for span in spans {
            let before = ends.partition_point(|(end, _)| *end < span.begin);
            let seen = before.checked_sub(1).map_or(0, |last| ends[last].1);
            assert!(seen <= span.value, "row {id}: version {} after {seen}", span.value);
        }
    }
    // A handler is told of an edit on the thread that makes it, while it makes it.
    let told: HashMap<(i64, i64), &Told> = told.iter().map(|told| (told.event, told)).collect();
    for log in logs {
        for (id, span) in log.values.iter().flat_map(|(id, spans)| spans.iter().map(move |span| (id, span))) {
            if span.act == Act::Write {
                let told = told[&(*id, span.value)];
                assert!(span.begin < told.tick && told.tick < span.end, "{span:?} told at {}", told.tick);
                assert!(log.thread.is_none_or(|thread| thread == told.thread));
            }
        }
        // Every row of one's own is there, or is not, as it was left.
        for own in &log.own {
            let at = |row: &Record| row.get("tag").and_then(Value::as_str) == Some(own.tag.as_str());
            let there: Vec<Option<i64>> =
                service.rows().iter().filter(|row| at(row)).map(|row| number(row, "value")).collect();
            let wanted: Vec<Option<i64>> = own.value.iter().map(|value| Some(*value)).collect();
            assert_eq!(there, wanted, "{}", own.tag);
        }
        // A request may be on its way to the transport at the moment of the switch; not one that was told of later on the thread
        // that then sent it.
        for (from, to) in &log.offline {
            let later = |got: &Got| {
                let told = |(tick, thread): &(u64, ThreadId)| from < tick && *tick < got.begin && *thread == got.thread;
                from < &got.begin && got.begin < *to && progress.iter().any(told)
            };
            let sent = got.iter().find(|got| later(got));
            assert!(sent.is_none(), "sent while offline: {sent:?}");
        }
    }
}

fn number_of(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn i20_rows_are_registers_that_threads_share() {
    let rounds = number_of("LANDFALL_THREAD_ROUNDS").unwrap_or(30);
    let first = number_of("LANDFALL_THREAD_SEED").unwrap_or(1);
    let mut sum = Sum::default();
    for seed in first..first + rounds {
        let one = thread::spawn(move || round(seed)).join().unwrap_or_else(|_| panic!("seed {seed} failed, see above"));
        sum.calls += one.calls;
        sum.writes += one.writes;
        sum.reads += one.reads;
        sum.requests += one.requests;
        sum.switches += one.switches;
    }
    eprintln!("{rounds} rounds from seed {first}: {sum:?}");
    let rounds = usize::try_from(rounds).unwrap();
    assert!(sum.writes > 10 * rounds && sum.reads > 10 * rounds && sum.requests > rounds, "{sum:?}");
}

/// Everybody switches at once: one of them does it, and the pending edit is sent once.
#[test]
fn i23_a_transition_happens_once_whoever_asks() {
    let clock = Clock::default();
    let home = Home::of(&mut Dice(0));
    for turn in 1..=40 {
        let service = Service::new(&clock, Dice(turn), [Record::from_iter([("id", 1), ("value", 0)])]);
        let Built { source, blocking } = build(&home, &service, Arc::new(MemoryStorage::new()));
        source.fetch().wait().unwrap();
        source.online(false).wait().unwrap();
        source.set(source.at(0).unwrap(), "value", 7).unwrap();
        source.sync().wait().unwrap();
        let start = Barrier::new(4);
        let done: Vec<usize> = thread::scope(|scope| {
            let switch = || {
                start.wait();
                source.online(true).wait().unwrap().done()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(switch)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(done.iter().sum::<usize>(), 1, "{done:?}");
        let updates = service.got().iter().filter(|got| got.operation == Verb::Update).count();
        assert_eq!((updates, source.has_changes()), (1, false));
        drop((source, blocking));
    }
}

/// One thread pushes a record and another accepts an edit of it, at the same moment: what is stored has both.
#[test]
fn g1_commits_of_two_threads_are_stored_in_their_order() {
    let clock = Clock::default();
    let home = Home::of(&mut Dice(0));
    let service = Service::new(&clock, Dice(1), [Record::from_iter([("id", 1), ("value", 0), ("pushed", 0)])]);
    let Built { source, blocking } = build(&home, &service, Arc::new(MemoryStorage::new()));
    source.fetch().wait().unwrap();
    source.online(false).wait().unwrap();
    let uid = source.at(0).unwrap().uid();
    let turns = number_of("LANDFALL_THREAD_ROUNDS").unwrap_or(30) * 20;
    let meet = Barrier::new(2);
    let mut wrong = Vec::new();
    let stored = || futures_executor::block_on(source.offline_data()).unwrap().as_array().unwrap()[0].clone();
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 1..=turns {
                meet.wait();
                source.push_update([Record::from_iter([("id", 1), ("pushed", i64::try_from(turn).unwrap())])]).unwrap();
                meet.wait();
            }
        });
        for turn in 1..=turns {
            let turn = i64::try_from(turn).unwrap();
            source.set(uid, "value", turn).unwrap();
            meet.wait();
            source.sync().wait().unwrap();
            meet.wait();
            source.idle().wait().unwrap();
            let stored = stored();
            let row = stored.as_object().unwrap();
            if (number(row, "value"), number(row, "pushed")) != (Some(turn), Some(turn)) {
                // Not at once: the other thread waits for this one.
                wrong.push(format!("{turn}: {stored:?}"));
            }
        }
    });
    assert_eq!(wrong, [""; 0]);
    drop((source, blocking));
}
