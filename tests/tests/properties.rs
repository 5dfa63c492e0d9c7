//! Random lives of a data source against a model of a few lines: nothing accepted is lost, nothing is made twice, and
//! when the faults stop everything converges.
//!
//! `LANDFALL_CASES` sets the number of cases per property.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall::{
    ChangeKind, DataSource, Entry, Field, Filter, Group, Model, QueryOptions, Record, Schema, Shown, Sort, Standing,
    Uid, Value,
    storage::{MemoryStorage, Storage},
    transport::{Fault, MockServer, ReplyStyle, Wrap},
};
use landfall_core::Operation;
use landfall_storage_sqlite::SqliteStorage;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What a row is worth: two fields that only the client writes, by a tag that it gives once and for all.
type Rows = BTreeMap<i64, (i64, i64)>;

#[derive(Clone, Debug)]
enum Edit {
    Set { row: usize, first: bool, value: i64 },
    Add { at: Option<usize>, a: i64, b: i64 },
    Remove { row: usize },
}

#[derive(Clone, Debug)]
enum Trouble {
    Status(u16),
    GatewayApplied,
    Lost,
    TimedOut,
    Refused,
    Errors,
    Unreadable,
}

#[derive(Clone, Debug)]
enum Op {
    Edit(Edit),
    Sync,
    Online(bool),
    Read,
    Filter(Option<i64>),
    Sort(Option<(bool, bool)>),
    Group(bool),
    PageSize(usize),
    Page(usize),
    /// The rows come from the program this time.
    SetData,
    Fault(Operation, Trouble),
    /// Somebody else's edit on the server; perhaps the server announces it.
    ServerEdit {
        row: usize,
        value: i64,
        push: bool,
    },
    Reopen,
    Cancel,
    CancelOne {
        row: usize,
    },
    /// Edits, perhaps a read, perhaps offline, while the answers of a sync are held back; these arrive in a jumbled
    /// order.
    Meanwhile {
        edits: Vec<Edit>,
        read: bool,
        offline: bool,
        order: Vec<u8>,
    },
    /// The program ends while a sync is under way.
    Killed {
        after: u8,
    },
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
struct Config {
    rows: i64,
    /// The server gives pages of so many rows, and the total.
    paged: Option<usize>,
    batch: bool,
    auto_sync: bool,
    listens: bool,
    /// Requests get lost and programs end; then services do not refuse what they have carried out.
    unknown: bool,
    create: ReplyStyle,
    update: ReplyStyle,
    in_flight: usize,
}

// ---- what is tried

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        5 => (0..8_usize, any::<bool>(), 0..4_i64).prop_map(|(row, first, value)| Edit::Set { row, first, value }),
        2 => (proptest::option::of(0..6_usize), 0..4_i64, 0..4_i64).prop_map(|(at, a, b)| Edit::Add { at, a, b }),
        2 => (0..8_usize).prop_map(|row| Edit::Remove { row }),
    ]
}

fn faults() -> impl Strategy<Value = Op> {
    let trouble = prop_oneof![
        prop_oneof![Just(500_u16), Just(503), Just(409), Just(422), Just(400), Just(401), Just(502), Just(504)]
            .prop_map(Trouble::Status),
        Just(Trouble::GatewayApplied),
        Just(Trouble::Lost),
        Just(Trouble::TimedOut),
        Just(Trouble::Refused),
        Just(Trouble::Errors),
        Just(Trouble::Unreadable),
    ];
    let operation = prop_oneof![
        3 => Just(Operation::Create),
        3 => Just(Operation::Update),
        3 => Just(Operation::Destroy),
        1 => Just(Operation::Read),
    ];
    (operation, trouble).prop_map(|(operation, trouble)| Op::Fault(operation, trouble))
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        14 => edits().prop_map(Op::Edit),
        8 => Just(Op::Sync),
        4 => any::<bool>().prop_map(Op::Online),
        3 => Just(Op::Read),
        1 => proptest::option::of(0..4_i64).prop_map(Op::Filter),
        1 => proptest::option::of((any::<bool>(), any::<bool>())).prop_map(Op::Sort),
        1 => any::<bool>().prop_map(Op::Group),
        1 => (1..5_usize).prop_map(Op::PageSize),
        2 => (1..4_usize).prop_map(Op::Page),
        1 => Just(Op::SetData),
        5 => faults(),
        2 => (0..8_usize, 0..4_i64, any::<bool>()).prop_map(|(row, value, push)| Op::ServerEdit { row, value, push }),
        2 => Just(Op::Reopen),
        2 => Just(Op::Cancel),
        1 => (0..8_usize).prop_map(|row| Op::CancelOne { row }),
        4 => (
            proptest::collection::vec(edits(), 0..4),
            any::<bool>(),
            proptest::bool::weighted(0.2),
            proptest::collection::vec(any::<u8>(), 0..6),
        )
            .prop_map(|(edits, read, offline, order)| Op::Meanwhile { edits, read, offline, order }),
        2 => (0..12_u8).prop_map(|after| Op::Killed { after }),
    ]
}

fn configs() -> impl Strategy<Value = Config> {
    let create = prop_oneof![Just(ReplyStyle::Echo), Just(ReplyStyle::Id)];
    let update = prop_oneof![Just(ReplyStyle::Echo), Just(ReplyStyle::Id), Just(ReplyStyle::Empty)];
    let auto_sync = prop_oneof![3 => Just(false), 1 => Just(true)];
    let paged = prop_oneof![2 => Just(None), 1 => (1..4_usize).prop_map(Some)];
    let rows = prop_oneof![3 => 0..5_i64, 1 => 5..9_i64];
    (
        rows,
        (paged, any::<bool>()),
        auto_sync,
        any::<(bool, bool)>(),
        create,
        update,
        prop_oneof![Just(1_usize), Just(6)],
    )
        .prop_map(|(rows, (paged, batch), auto_sync, (listens, unknown), create, update, in_flight)| Config {
            rows,
            paged,
            batch,
            auto_sync,
            listens,
            unknown,
            create,
            update,
            in_flight,
        })
}

// ---- the world

fn whole(record: &Record, name: &str) -> i64 {
    record.get(name).and_then(Value::as_i64).unwrap_or_else(|| panic!("no {name} in {}", record.to_json()))
}

/// The rows by tag; each tag once.
fn by_tag<'r>(records: impl IntoIterator<Item = &'r Record>) -> Rows {
    let mut out = Rows::new();
    for record in records {
        let tag = whole(record, "tag");
        assert!(out.insert(tag, (whole(record, "a"), whole(record, "b"))).is_none(), "tag {tag} twice");
    }
    out
}

struct World {
    config: Config,
    server: MockServer,
    storage: Arc<dyn Storage>,
    source: DataSource,
    /// What the program sees, and of a server that pages also what it would see on the other pages.
    shown: Rows,
    /// What `sync` has accepted.
    accepted: Rows,
    filter: Option<i64>,
    sort: Option<(bool, bool)>,
    group: bool,
    tags: i64,
    faults: usize,
    /// The last query of the server failed: what is shown may be what the one before it asked for.
    failed: bool,
    /// Something may be pending that was accepted online: cancelling withdraws it.
    withdrawable: bool,
}

fn open(config: &Config, server: &MockServer, storage: &Arc<dyn Storage>) -> DataSource {
    let number = |name: &str| Field::new(name).number();
    let model = ["id", "tag", "a", "b", "remote"].into_iter().fold(Model::new().id("id"), |m, f| m.field(number(f)));
    let mut builder = DataSource::builder().transport(server.clone());
    let mut schema = Schema::new().with_model(model);
    if let Some(size) = config.paged {
        schema = schema.data("rows").total("total");
        builder = builder.server_paging(true).page_size(size);
    }
    let source = builder
        .schema(schema)
        .storage(Arc::clone(storage), "rows")
        .batch(config.batch)
        .auto_sync(config.auto_sync)
        .max_in_flight(config.in_flight)
        .build()
        .unwrap();
    if config.listens {
        source.on(landfall::EventKind::Change, |_| {});
    }
    source
}

async fn pause() {
    tokio::task::yield_now().await;
}

impl World {
    async fn new(config: Config, storage: Arc<dyn Storage>) -> Self {
        let row = |n: i64| Record::from([("id", n), ("tag", n), ("a", n % 4), ("b", 0), ("remote", 0)]);
        let mut server = MockServer::builder();
        if config.paged.is_some() {
            server = server.paging(true).wrap(Wrap::data("rows").total("total"));
        }
        let server = server
            .rows((1..=config.rows).map(row))
            .idempotency(true)
            .reply(ChangeKind::Create, config.create)
            .reply(ChangeKind::Update, config.update)
            .build();
        let source = open(&config, &server, &storage);
        source.read().await.unwrap();
        let shown = by_tag(&server.rows());
        assert_eq!(source.total(), shown.len(), "the whole collection's");
        let accepted = shown.clone();
        let tags = config.rows;
        Self {
            config,
            server,
            storage,
            source,
            shown,
            accepted,
            filter: None,
            sort: None,
            group: false,
            tags,
            faults: 0,
            failed: false,
            withdrawable: false,
        }
    }

    /// The items; a create in doubt hides the row that a read brought of it.
    fn items(&self) -> Vec<Entry> {
        let pending = self.source.pending();
        let doubts = pending.iter().filter(|one| one.kind == ChangeKind::Create && one.standing == Standing::InDoubt);
        let doubts: BTreeMap<i64, Uid> = doubts.map(|one| (whole(&one.record, "tag"), one.uid)).collect();
        let mut items = self.source.data();
        items.retain(|item| doubts.get(&whole(item, "tag")).is_none_or(|uid| *uid == item.uid()));
        items
    }

    fn uid(&self, row: usize) -> Option<(Uid, i64)> {
        let items = self.items();
        let item = items.get(row % items.len().max(1))?;
        Some((item.uid(), whole(item, "tag")))
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Set { row, first, value } => {
                let Some((uid, tag)) = self.uid(*row) else { return };
                self.source.set(uid, if *first { "a" } else { "b" }, *value).unwrap();
                let row = self.shown.get_mut(&tag).unwrap();
                *(if *first { &mut row.0 } else { &mut row.1 }) = *value;
            }
            Edit::Add { at, a, b } => {
                self.tags += 1;
                let row = [("tag", self.tags), ("a", *a), ("b", *b), ("remote", 0)];
                match at {
                    Some(at) => self.source.insert(*at, Record::from(row)).unwrap(),
                    None => self.source.add(Record::from(row)).unwrap(),
                };
                self.shown.insert(self.tags, (*a, *b));
            }
            Edit::Remove { row } => {
                let Some((uid, tag)) = self.uid(*row) else { return };
                self.source.remove(uid).unwrap();
                self.shown.remove(&tag);
            }
        }
    }

    fn accept(&mut self) {
        self.accepted.clone_from(&self.shown);
        self.withdrawable |= self.source.is_online();
    }

    fn client(&self) -> Rows {
        let items = self.items();
        by_tag(items.iter().map(Entry::record))
    }

    /// What is shown, and of a server that pages also what waits for it or what it has.
    fn wanted(&self) -> Rows {
        let mut rows = self.client();
        if self.config.paged.is_none() {
            return rows;
        }
        let pending = self.source.pending();
        let removed: BTreeSet<i64> = self.source.destroyed().iter().map(|item| whole(item, "tag")).collect();
        for change in &pending {
            let tag = whole(&change.record, "tag");
            // A removal may wait behind an update in doubt.
            if change.kind != ChangeKind::Destroy && !removed.contains(&tag) {
                rows.entry(tag).or_insert((whole(&change.record, "a"), whole(&change.record, "b")));
            }
        }
        for (tag, row) in by_tag(&self.server.rows()) {
            if pending.iter().all(|change| whole(&change.record, "tag") != tag) {
                rows.entry(tag).or_insert(row);
            }
        }
        rows
    }

    /// Ends the data source and waits until nothing of it is left.
    async fn close(&mut self) {
        let spare = DataSource::builder().build().unwrap();
        drop(std::mem::replace(&mut self.source, spare));
        while Arc::strong_count(&self.storage) > 1 {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    }

    /// A new program on the same storage.
    async fn reopen(&mut self) {
        self.close().await;
        self.source = open(&self.config, &self.server, &self.storage);
        assert!(self.source.is_empty(), "opening shows nothing");
        self.source.restore().await.unwrap();
        (self.filter, self.sort, self.group) = (None, None, false);
    }

    /// A query is a read while there is nothing to query, and where the server pages.
    fn queried_by_read(&self) -> bool {
        self.config.paged.is_some() || self.source.is_empty() && self.source.destroyed().is_empty()
    }

    fn after_query(&mut self, reads: bool, done: bool) {
        self.failed = reads && !done;
        if reads && done {
            self.shown.clone_from(&self.accepted);
        }
    }

    async fn step(&mut self, op: &Op) {
        let reads = self.queried_by_read();
        self.withdrawable &= !self.source.pending().is_empty();
        match op {
            Op::Edit(edit) => {
                self.edit(edit);
                if self.config.auto_sync {
                    self.source.idle().await.unwrap();
                    self.accept();
                }
            }
            Op::Sync => {
                self.source.sync().await.unwrap();
                self.accept();
            }
            Op::Online(online) => {
                let syncs = *online && !self.source.is_online();
                self.source.online(*online).await.unwrap();
                if syncs {
                    self.accept();
                }
            }
            Op::Read => {
                let done = self.source.read().await.is_ok();
                self.after_query(true, done);
            }
            Op::Filter(least) => {
                self.filter = *least;
                let done = self.source.filter(least.map(|least| Filter::gte("a", least))).await.is_ok();
                self.after_query(reads, done);
            }
            Op::Sort(by) => {
                self.sort = *by;
                let sort = by.map(|(first, down)| {
                    let field = if first { "a" } else { "b" };
                    if down { Sort::desc(field) } else { Sort::asc(field) }
                });
                let done = self.source.sort(sort).await.is_ok();
                self.after_query(reads, done);
            }
            Op::Group(on) => {
                self.group = *on;
                let done = self.source.group(on.then(|| Group::new("b"))).await.is_ok();
                self.after_query(reads, done);
            }
            Op::PageSize(rows) => {
                let done = self.source.page_size(*rows).await.is_ok();
                self.after_query(reads, done);
            }
            Op::Page(page) => {
                let done = self.source.page(*page).await.is_ok();
                self.after_query(reads, done);
            }
            Op::SetData => {
                // A read without a request.
                self.source.set_data(self.server.rows()).unwrap().await.unwrap();
                self.after_query(true, true);
            }
            Op::Fault(operation, trouble) => {
                let settles = matches!(trouble, Trouble::Status(400 | 409 | 422) | Trouble::Errors);
                let leaves_open =
                    !matches!(trouble, Trouble::Status(..=501 | 503) | Trouble::Errors | Trouble::Refused);
                if if self.config.unknown { settles } else { leaves_open } {
                    return;
                }
                let fault = Fault::on(*operation);
                self.server.add_fault(match trouble {
                    Trouble::Status(status) => fault.fail(*status),
                    Trouble::GatewayApplied => fault.fail(504).apply(true),
                    Trouble::Lost => fault.lost(),
                    Trouble::TimedOut => fault.timed_out(),
                    Trouble::Refused => fault.refused(),
                    Trouble::Errors => fault.errors("no"),
                    Trouble::Unreadable => fault.unreadable("<html>"),
                });
                self.faults += 1;
            }
            Op::ServerEdit { row, value, push } => {
                let rows = self.server.rows();
                if let Some(row) = rows.get(row % rows.len().max(1)) {
                    let id = whole(row, "id");
                    self.server.set_row(id, [("remote", *value)]);
                    if *push && self.source.get(id).is_some() {
                        self.source.push_update([Record::from([("id", id), ("remote", *value)])]).unwrap();
                    }
                }
            }
            // Of a server that pages nobody can tell what was stored of the rows that are not shown.
            Op::Killed { after } if self.config.unknown && self.config.paged.is_none() => {
                self.server.set_holding(true);
                let sync = self.source.sync();
                for _ in 0..*after {
                    pause().await;
                }
                drop(sync);
                self.close().await;
                self.server.set_holding(false);
                self.reopen().await;
                let stored = self.client();
                assert!(stored == self.accepted || stored == self.shown, "{stored:?}: neither old nor new");
                self.shown = stored;
                self.accept();
            }
            Op::Reopen | Op::Killed { .. } => {
                self.reopen().await;
                self.shown.clone_from(&self.accepted);
            }
            Op::Cancel => {
                self.source.cancel_changes().unwrap();
                self.source.idle().await.unwrap();
                if self.withdrawable {
                    // Failed changes are withdrawn: what is shown from now on is what is wanted.
                    self.shown = self.wanted();
                    self.accept();
                } else {
                    self.shown.clone_from(&self.accepted);
                }
            }
            Op::CancelOne { row } => {
                let Some((uid, tag)) = self.uid(*row) else { return };
                self.source.cancel_changes_of(uid).unwrap();
                self.source.idle().await.unwrap();
                if self.withdrawable || self.config.auto_sync {
                    let now = self.client().get(&tag).copied();
                    for rows in [&mut self.shown, &mut self.accepted] {
                        match now {
                            Some(now) => rows.insert(tag, now),
                            None => rows.remove(&tag),
                        };
                    }
                } else {
                    match self.accepted.get(&tag) {
                        Some(accepted) => self.shown.insert(tag, *accepted),
                        None => self.shown.remove(&tag),
                    };
                }
                // Kendo does not compute the view again, so a query does.
                if self.config.paged.is_some() {
                    let done = self.source.query(self.source.query_state()).await.is_ok();
                    self.after_query(true, done);
                } else if !self.source.is_empty() {
                    self.source.query(self.source.query_state()).await.unwrap();
                }
            }
            Op::Meanwhile { edits, read, offline, order } => {
                self.server.set_holding(true);
                let mut sync = self.source.sync();
                let mut synced = None;
                while synced.is_none() && self.server.held() == 0 {
                    synced = tokio::time::timeout(Duration::from_micros(20), &mut sync).await.ok();
                }
                self.accept();
                if *offline {
                    self.source.online(false).await.unwrap();
                }
                for edit in edits {
                    self.edit(edit);
                }
                if self.config.auto_sync && !edits.is_empty() {
                    self.accept();
                }
                // A read drops edits whose own sync has not begun.
                let reading = (*read && !self.config.auto_sync).then(|| self.source.read());
                for place in order {
                    pause().await;
                    let held = self.server.held().max(1);
                    self.server.release_at(usize::from(*place) % held);
                }
                self.server.set_holding(false);
                match synced {
                    Some(synced) => synced,
                    None => sync.await,
                }
                .unwrap();
                if let Some(reading) = reading {
                    let done = reading.await.is_ok();
                    self.after_query(true, done);
                }
                self.source.idle().await.unwrap();
            }
        }
        self.check();
    }

    /// Where the server pages: what is here is as it should be, and nothing that waits for the server is missing.
    fn check_page(&self) {
        let client = self.client();
        for (tag, row) in &client {
            assert_eq!(Some(row), self.shown.get(tag), "tag {tag}");
        }
        for new in self.source.created() {
            assert!(self.shown.contains_key(&whole(&new, "tag")), "a new one that is no more");
        }
        for change in self.source.pending().iter().filter(|change| change.kind == ChangeKind::Create) {
            let tag = whole(&change.record, "tag");
            assert!(client.contains_key(&tag) || !self.shown.contains_key(&tag), "a new one, tag {tag}, is not shown");
        }
        let passes = |row: &Entry| self.filter.is_none_or(|least| whole(row, "a") >= least);
        let rows = self.source.rows();
        assert!(self.failed || rows.iter().all(passes), "the filter");
        let data: BTreeSet<Uid> = self.source.data().iter().map(Entry::uid).collect();
        assert!(rows.iter().all(|row| data.contains(&row.uid())), "the view is of the data");
    }

    /// Data and view, computed in the plainest way.
    fn check(&self) {
        if self.config.paged.is_some() {
            return self.check_page();
        }
        assert_eq!(self.client(), self.shown, "data");
        let data = self.source.data();
        let mut rows: Vec<(i64, i64, i64)> = data
            .iter()
            .map(|row| (whole(row, "tag"), whole(row, "a"), whole(row, "b")))
            .filter(|(_, a, _)| self.filter.is_none_or(|least| *a >= least))
            .collect();
        if let Some((first, down)) = self.sort {
            let key = |row: &(i64, i64, i64)| if first { row.1 } else { row.2 };
            rows.sort_by(|x, y| if down { key(y).cmp(&key(x)) } else { key(x).cmp(&key(y)) });
        }
        if self.group {
            rows.sort_by_key(|row| row.2);
        }
        let state = self.source.query_state();
        let paged = state.take.is_some_and(|take| take > 0) && state.skip.is_some();
        assert_eq!(self.source.total(), if self.filter.is_some() || paged { rows.len() } else { data.len() }, "total");
        if paged {
            rows = rows.into_iter().skip(state.skip.unwrap()).take(state.take.unwrap()).collect();
        }
        let wanted: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let view: Vec<i64> = self.source.rows().iter().map(|row| whole(row, "tag")).collect();
        assert_eq!(view, wanted, "view");
        if let Shown::Groups(groups) = self.source.view() {
            assert!(self.group || self.failed);
            let mut last = None;
            for group in groups {
                let value = group.value.and_then(|value| value.as_i64());
                assert_ne!(value, last, "groups of their own");
                assert!(group.items.flat().iter().all(|item| item.record.get("b").and_then(Value::as_i64) == value));
                last = value;
            }
        } else {
            assert!(!self.group || self.failed || self.source.rows().is_empty());
        }
    }

    /// No further faults: everything arrives, once.
    async fn converge(&mut self) {
        self.source.online(true).await.unwrap();
        let mut syncs = 0;
        loop {
            self.source.sync().await.unwrap();
            self.accept();
            self.check();
            if self.source.pending().is_empty() && !self.source.has_changes() {
                break;
            }
            syncs += 1;
            assert!(syncs < self.faults + 4, "still pending: {:#?}", self.source.pending());
        }
        assert_eq!(by_tag(&self.server.rows()), self.accepted, "the server has what was accepted");
        let ids = |records: &[Record]| -> BTreeMap<i64, i64> {
            records.iter().map(|record| (whole(record, "tag"), whole(record, "id"))).collect()
        };
        let records =
            |source: &DataSource| -> Vec<Record> { source.data().iter().map(|entry| entry.record().clone()).collect() };
        if let Some(size) = self.config.paged {
            self.converge_pages(size).await;
        } else {
            assert_eq!(ids(&records(&self.source)), ids(&self.server.rows()), "ids");
            while self.source.read().await.is_err() {}
            assert_eq!(records(&self.source), self.server.rows(), "rows after a read");
            assert!(!self.source.has_changes());
            self.reopen().await;
            assert_eq!(records(&self.source), self.server.rows(), "rows after a restart");
        }
        assert!(self.source.pending().is_empty() && !self.source.has_changes());
        let sent = self.server.requests().len();
        self.source.sync().await.unwrap();
        assert_eq!(self.server.requests().len(), sent, "nothing is sent again");
    }
}

impl World {
    /// Page by page, everything the server has is shown, and the total says how much that is.
    async fn converge_pages(&mut self, size: usize) {
        let all = self.server.rows();
        let mut seen = Vec::new();
        for page in 1..=all.len().div_ceil(size).max(1) {
            let query = || QueryOptions::new().page(page).page_size(size);
            while self.source.query(query()).await.is_err() {}
            assert_eq!(self.source.total(), all.len(), "the total with page {page}");
            assert!(self.source.len() <= size, "page {page} is no longer than that");
            seen.extend(self.source.data().iter().map(|entry| entry.record().clone()));
        }
        assert_eq!(seen, all, "all pages");
        assert!(!self.source.has_changes());
        let last: Vec<Record> = self.source.data().iter().map(|entry| entry.record().clone()).collect();
        self.reopen().await;
        let stored: Vec<Record> = self.source.data().iter().map(|entry| entry.record().clone()).collect();
        assert_eq!(stored, last, "the last page after a restart");
    }
}

fn live(config: Config, ops: &[Op], storage: Arc<dyn Storage>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(config, storage).await;
        world.check();
        for op in ops {
            world.step(op).await;
        }
        world.converge().await;
    });
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("LANDFALL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4096, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn nothing_accepted_is_lost_in_memory(config in configs(), ops in proptest::collection::vec(ops(), 0..30)) {
        live(config, &ops, Arc::new(MemoryStorage::new()));
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn nothing_accepted_is_lost_in_sqlite(config in configs(), ops in proptest::collection::vec(ops(), 0..30)) {
        let folder = tempfile::tempdir().unwrap();
        live(config, &ops, Arc::new(SqliteStorage::open(folder.path().join("rows.sqlite")).unwrap()));
    }
}
