//! The stored form: the only module that knows what the texts of a [`StoredRow`] and the meta document mean.
//!
//! `kind` stands there only where it differs from the row's state: an update that waits behind a create in doubt.
//!
//! `record`: the accepted values (the base while nothing is accepted) in the server's member names. `change`: one object
//!
//! ```json
//! {"seq":3,"key":"…","was":{"name":"old"},"new":["note"],"changed":["name"],"accepted":true,
//!  "offline":{"kind":"update","record":{…}},"standing":"queued","attempts":1,"error":{"message":"…","status":503},
//!  "sent":{"kind":"update","record":{…},"key":"…","changed":["name"],"attempts":1},"since":51}
//! ```
//!
//! `error` may also hold `body` (what the server said), `verdict` (what the failure policy made of it), `at` and `wait` (when, and
//! how long the change waits since then; milliseconds), and of a conflict `theirs` (the server's record, null when it is gone).
//!
//! The base is what `record` becomes with the members of `was` put back and those of `new` taken out; where that does not
//! give its members in their order, `base` holds it whole (in format 1 always).
//!
//! `meta`: `{"format":2}`, with `groups` (the tree of server groups, leaves by row id) where there is one, and with
//! `sending` while a sync is under way, or was when the program ended:
//!
//! ```json
//! {"mark":52,"batch":7,"lists":[{"key":"…","rows":[4096,1,1,10]}]}
//! ```
//!
//! The rows of the lists (the first id, then the distance to the one before) are sent as they were accepted: each as if its
//! `change` said so in `sent`, with the place it has in its list, and the key of the list where it has one. Not those whose
//! `since` is the mark: they were written later and say for themselves what is sent. So the marks of a sync cost a few bytes
//! a row, and no row is written for being sent.

use super::{
    Engine, Step, Steps,
    change::{Accepted, Change, Failure, Removed, Sent, Standing, Theirs, difference},
    gone::Gone,
    groups::{GroupItems, GroupNode},
    policy::Verdict,
    step::{Cont, Then},
    table::{Row, Uid},
};
use crate::{
    ChangeKind, Date, Delta, Error, ErrorKind, Record, Result, RowId, StoredRow, StoredState, Text, Value, depth,
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The version of the stored form that this program writes.
pub(crate) const FORMAT: i64 = 2;

/// What a stored state holds, decoded.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) rows: Vec<(Row, Option<Change>)>,
    pub(crate) removed: Gone,
    pub(crate) groups: Option<Vec<GroupNode>>,
    /// Some rows have more members than are stored: declared numbers and dates that they lacked.
    pub(crate) filled: bool,
    /// What the meta document says about rows that are sent.
    pub(crate) mark: Option<Mark>,
    /// The meta document is of an older format than this program writes.
    pub(crate) old: bool,
}

/// Rows that are sent as they were accepted: said in one place instead of in each row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// Another one for every sync.
    pub(crate) number: u64,
    /// The number of the batch they travel in.
    pub(crate) batch: Option<u64>,
    /// The rows that travel together in their order, with their key; without a key, each travels alone with its own.
    pub(crate) lists: Vec<(Option<Text>, Vec<RowId>)>,
}

impl Mark {
    fn to_value(&self) -> Value {
        let mut out = Record::from([("mark", self.number)]);
        if let Some(batch) = self.batch {
            out.set("batch", batch);
        }
        let lists = self.lists.iter().map(|(key, rows)| {
            let mut list = Record::new();
            if let Some(key) = key {
                list.set("key", key);
            }
            let mut before = 0_u64;
            let distances = rows.iter().map(|row| {
                let before = std::mem::replace(&mut before, *row);
                match row.checked_sub(before) {
                    Some(distance) => Value::from(distance),
                    None => Value::from(-i64::try_from(before - row).unwrap_or(i64::MAX)),
                }
            });
            list.set("rows", Value::array(distances.collect::<Vec<_>>()));
            Value::from(list)
        });
        out.set("lists", Value::array(lists.collect::<Vec<_>>()));
        out.into()
    }

    fn from_value(value: &Value) -> Option<Self> {
        let record = value.as_object()?;
        let lists = record.get("lists")?.as_array()?.iter().filter_map(Value::as_object).map(|list| {
            let key = list.get("key").and_then(Value::as_str).map(Text::from);
            let mut at = 0_u64;
            let distances = list.get("rows").and_then(Value::as_array).unwrap_or_default();
            let rows = distances.iter().map(|distance| {
                at = match distance.as_i64() {
                    Some(distance) => at.wrapping_add_signed(distance),
                    None => at.wrapping_add(number(Some(distance)).unwrap_or_default()),
                };
                at
            });
            (key, rows.collect())
        });
        Some(Self { number: number(record.get("mark"))?, batch: number(record.get("batch")), lists: lists.collect() })
    }

    /// The place of each row: which list, and where in it.
    fn places(&self) -> HashMap<RowId, (usize, usize)> {
        let lists = self.lists.iter().enumerate();
        lists.flat_map(|(list, (_, rows))| rows.iter().enumerate().map(move |(at, row)| (*row, (list, at)))).collect()
    }

    /// Says in the bookkeeping of one row what the mark says about it.
    fn say(&self, book: &mut Record, state: ChangeKind, (list, place): (usize, usize)) {
        let later = number(book.get("since")) == Some(self.number);
        if later || book.contains("sent") || !book.get("accepted").is_some_and(Value::is_truthy) {
            return;
        }
        let mut sent = Record::from([("kind", kind_in(book).unwrap_or(state).as_str())]);
        let key = self.lists.get(list).and_then(|(key, _)| key.as_ref());
        if let Some(key) = key.map(Value::from).or_else(|| book.get("key").cloned()) {
            sent.set("key", key);
        }
        if let Some(changed) = book.get("changed") {
            sent.set("changed", changed.clone());
        }
        // The try that was about to be made is counted.
        sent.set("attempts", count(book.get("attempts")).saturating_add(1));
        if let Some(batch) = self.batch {
            sent.set("batch", batch);
            sent.set("place", place);
        }
        book.set("sent", sent);
    }
}

/// Whether two values are written with the same letters.
fn spelled_alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Null, Value::Null) => true,
        _ => a.to_json() == b.to_json(),
    }
}

/// The base of a change in its stored form: by its difference from the record where that gives it back as it is.
fn base_out(out: &mut Record, base: Record, record: &Record) {
    let was: Record = base
        .iter()
        .filter(|(name, value)| !record.get(name).is_some_and(|now| spelled_alike(now, value)))
        .map(|(name, value)| (name, value.clone()))
        .collect();
    let new: Vec<Text> =
        record.iter().filter(|(name, _)| !base.contains(name)).map(|(name, _)| Text::from(name)).collect();
    let names = record.iter().map(|(name, _)| name).filter(|name| base.contains(name));
    let lost = was.iter().map(|(name, _)| name).filter(|name| !record.contains(name));
    if names.chain(lost).eq(base.iter().map(|(name, _)| name)) {
        out.set("was", was);
        if !new.is_empty() {
            out.set("new", list(&new));
        }
    } else {
        out.set("base", base);
    }
}

/// The base of a change from its stored form; `record` is the text of the stored record.
fn base_in(book: &Record, record: &str) -> Result<Option<Record>> {
    let Some(was) = book.get("was").and_then(Value::as_object) else {
        return Ok(book.get("base").and_then(Value::as_object).cloned());
    };
    let mut base = Record::from_json(record).map_err(damaged)?;
    for name in texts(book.get("new")) {
        base.remove(&name);
    }
    for (name, value) in was.iter() {
        base.set(name, value.clone());
    }
    Ok(Some(base))
}

fn number(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_number).and_then(crate::Number::as_u64)
}

fn texts(value: Option<&Value>) -> Vec<Text> {
    let items = value.and_then(Value::as_array).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(Text::from)).collect()
}

fn list(texts: &[Text]) -> Value {
    Value::array(texts.iter().map(Value::from))
}

fn count(value: Option<&Value>) -> u32 {
    value.and_then(Value::as_i64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// A length of time, in milliseconds.
fn millis(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

fn kind_in(record: &Record) -> Option<ChangeKind> {
    record.get("kind").and_then(Value::as_str).and_then(ChangeKind::from_marker)
}

impl Engine {
    // ---- writing

    fn out(&self, record: &Record) -> Record {
        match self.options.schema.model() {
            Some(model) => model.write(record.clone()),
            None => record.clone(),
        }
    }

    pub(crate) fn order_of(&self, uid: Uid) -> u64 {
        self.table
            .get(uid)
            .map(|row| row.order)
            .or_else(|| self.gone(uid).map(|gone| gone.row.order))
            .unwrap_or(u64::MAX >> 12)
    }

    /// The stored form of a row of the table; `None` for a draft that nothing is stored of.
    pub(crate) fn encode(&self, uid: Uid) -> Option<StoredRow> {
        if !self.options.offline_storage {
            return None;
        }
        let row = self.table.get(uid)?;
        match self.overlay.get(&uid) {
            Some(change) => self.encode_layers(uid, row.order, change),
            None => Some(self.plain(uid, row.order, row.record)),
        }
    }

    fn plain(&self, uid: Uid, order: u64, record: &Record) -> StoredRow {
        StoredRow { id: uid.0, order, state: None, record: Arc::from(self.out(record).to_json()), change: None }
    }

    /// The stored form of the layers below the draft.
    pub(crate) fn encode_layers(&self, uid: Uid, order: u64, change: &Change) -> Option<StoredRow> {
        if !self.options.offline_storage {
            return None;
        }
        let (kind, record) = match (&change.accepted, &change.sent) {
            (Some(accepted), _) => (accepted.kind, &accepted.record),
            (None, Some(sent)) => (sent.kind, &sent.record),
            (None, None) => return change.base.as_ref().map(|base| self.plain(uid, order, base)),
        };
        let written = self.out(record);
        let mut out = Record::new();
        let created = change.sent.as_ref().is_some_and(|sent| sent.kind == ChangeKind::Create);
        let state = if created && kind == ChangeKind::Update {
            // An update behind a create in doubt: to everybody else the record is still new.
            out.set("kind", kind.as_str());
            ChangeKind::Create
        } else {
            kind
        };
        if kind == ChangeKind::Destroy {
            out.set("seq", self.removed.place(uid));
        }
        if let Some(base) = &change.base {
            base_out(&mut out, self.out(base), &written);
        }
        if let Some(accepted) = &change.accepted {
            out.set("accepted", true);
            out.set("key", &accepted.key);
            out.set("changed", list(&accepted.changed));
            if let Some(offline) = &accepted.offline {
                let (kind, values) = &**offline;
                let mut entry = Record::from([("kind", kind.as_str())]);
                if !values.same(record) {
                    entry.set("record", self.out(values));
                }
                out.set("offline", entry);
            }
            if accepted.standing != Standing::Queued {
                out.set("standing", accepted.standing.as_str());
            }
            if accepted.attempts > 0 {
                out.set("attempts", accepted.attempts);
            }
            if let Some(failure) = &accepted.failure {
                out.set("error", self.failure_out(failure));
            }
        }
        if let Some(sent) = &change.sent {
            let mut entry = Record::from([("kind", sent.kind.as_str())]);
            if !sent.record.same(record) {
                entry.set("record", self.out(&sent.record));
            }
            entry.set("key", &sent.key);
            entry.set("changed", list(&sent.changed));
            if sent.attempts > 0 {
                entry.set("attempts", sent.attempts);
            }
            if let Some(batch) = sent.batch {
                entry.set("batch", batch);
                entry.set("place", sent.place);
            }
            if let Some(failure) = &sent.failure {
                entry.set("error", self.failure_out(failure));
            }
            out.set("sent", entry);
        }
        if let Some(mark) = &self.mark {
            out.set("since", mark.number);
        }
        Some(StoredRow {
            id: uid.0,
            order,
            state: Some(state),
            record: Arc::from(written.to_json()),
            change: Some(Arc::from(out.to_json())),
        })
    }

    /// Everything, to replace whatever is stored.
    pub(crate) fn snapshot(&mut self) -> Delta {
        // Each row says for itself what is sent.
        self.mark = None;
        let mut put: Vec<StoredRow> = self.table.rows().filter_map(|row| self.encode(row.uid)).collect();
        for removed in self.removed.iter().chain(self.parked.iter()) {
            put.extend(self.encode_layers(removed.row.uid, removed.row.order, &removed.change));
        }
        Delta { clear: true, delete: Vec::new(), put, meta: Some(self.meta()) }
    }

    fn meta(&self) -> Arc<str> {
        let mut out = Record::from([("format", FORMAT)]);
        if let Some(groups) = &self.groups {
            out.set("groups", Value::array(groups.iter().map(group_out)));
        }
        if let Some(mark) = &self.mark {
            out.set("sending", mark.to_value());
        }
        Arc::from(out.to_json())
    }

    /// Takes over what a stored state says about itself: what is written from now on goes with it.
    pub(crate) fn go_on_with(&mut self, restored: &Restored) {
        self.mark.clone_from(&restored.mark);
        // An older program must not take what this one writes for its own.
        self.meta_dirty |= restored.old;
    }

    /// A commit of the delta with nothing to be done after it, if there is a storage and something to commit.
    pub(crate) fn storage_steps(&mut self, delta: Delta) -> Steps {
        match self.commit(delta, Cont::Stored(None)) {
            Some(step) => Steps::from([step]),
            None => Steps::new(),
        }
    }

    /// A commit step; the whole state where single rows do not do.
    pub(crate) fn commit(&mut self, mut delta: Delta, then: Cont) -> Option<Step> {
        if !self.options.offline_storage {
            return None;
        }
        // A commit behind one of everything must not rely on that one: it may fail.
        let renumbered = self.table.take_renumbered();
        let unsure = (self.meta_dirty || !delta.is_empty()) && self.handed.contains(&true);
        if renumbered || self.snapshot_needed || unsure {
            self.snapshot_needed = false;
            self.meta_dirty = false;
            self.commits += 1;
            self.handed.push_back(true);
            return Some(Step::Commit(self.snapshot(), Then(then)));
        }
        if std::mem::take(&mut self.meta_dirty) {
            delta.meta = Some(self.meta());
        }
        if delta.is_empty() {
            return None;
        }
        self.commits += 1;
        self.handed.push_back(false);
        Some(Step::Commit(delta, Then(then)))
    }

    // ---- reading

    /// Decodes a stored state. Nothing is changed.
    pub(crate) fn decode(&self, state: &StoredState) -> Result<Restored> {
        let mut out = Restored::default();
        if let Some(meta) = &state.meta {
            let meta = Record::from_json(meta).map_err(damaged)?;
            if meta.get("format").and_then(Value::as_i64).is_some_and(|format| format > FORMAT) {
                return Err(Error::new(
                    ErrorKind::NewerFormat,
                    "written by a newer version of landfall; update this program",
                ));
            }
            out.old = meta.get("format").and_then(Value::as_i64).is_none_or(|format| format < FORMAT);
            out.mark = meta.get("sending").and_then(Mark::from_value);
            if let Some(groups) = meta.get("groups").and_then(Value::as_array) {
                out.groups = Some(groups.iter().filter_map(group_in).collect());
            }
        }
        let mut removed: Vec<(i64, Removed)> = Vec::new();
        let (records, filled) = self.records_in(&state.rows)?;
        out.filled = filled;
        let looks_new = self.newness();
        let places = out.mark.as_ref().map(Mark::places).unwrap_or_default();
        out.rows.reserve(records.len());
        for (stored, record) in state.rows.iter().zip(records) {
            let row = Row { uid: Uid(stored.id), order: stored.order, record: record.clone() };
            let Some(kind) = stored.state else {
                let change = looks_new(&record).then(|| Change {
                    base: Some(record.clone()),
                    looks_new: true,
                    ..Change::default()
                });
                out.rows.push((row, change));
                continue;
            };
            let mut book = match &stored.change {
                Some(text) => Record::from_json(text).map_err(damaged)?,
                None => Record::new(),
            };
            if let (Some(mark), Some(place)) = (&out.mark, places.get(&stored.id)) {
                mark.say(&mut book, kind, *place);
            }
            let base = base_in(&book, &stored.record)?;
            let base = base.map(|base| self.read_in(base, kind == ChangeKind::Create));
            let change = self.change_in(kind, &record, base, &book, stored.change.is_none());
            if kind == ChangeKind::Destroy {
                let seq = book.get("seq").and_then(Value::as_i64).unwrap_or(i64::MAX);
                removed.push((seq, Removed { row, change }));
            } else {
                out.rows.push((row, Some(change)));
            }
        }
        removed.sort_by_key(|(seq, _)| *seq);
        for (seq, gone) in removed {
            // What came from elsewhere says nothing of its place.
            out.removed.put(u64::try_from(seq).ok().filter(|_| seq < i64::MAX).unwrap_or(0), gone);
        }
        Ok(out)
    }

    /// The values of all rows, as the program sees them, and whether they have more members than are stored.
    fn records_in(&self, rows: &[StoredRow]) -> Result<(Vec<Record>, bool)> {
        let dates = self.options.schema.model().map(crate::Model::dates).unwrap_or_default();
        let mut objects = crate::json::Objects::with_dates(&dates);
        for stored in rows {
            objects.read(&stored.record).map_err(damaged)?;
        }
        let mut records = objects.finish();
        let members = |records: &[Record]| records.iter().map(Record::len).sum::<usize>();
        let stored = members(&records);
        let mut filled = false;
        if let Some(model) = self.options.schema.model() {
            model.mapper(self.options.schema.zone()).read_all(&mut records);
            filled = members(&records) > stored;
            for (stored, record) in rows.iter().zip(&mut records) {
                if stored.state == Some(ChangeKind::Create) {
                    model.restore_id(record);
                }
            }
        }
        Ok((records, filled))
    }

    fn read_in(&self, record: Record, create: bool) -> Record {
        match self.options.schema.model() {
            Some(model) => model.read_stored(record, create, self.options.schema.zone()),
            None => record,
        }
    }

    fn failure_out(&self, failure: &Failure) -> Value {
        let mut out = Record::from([("message", Value::from(failure.message.as_str()))]);
        if let Some(status) = failure.status {
            out.set("status", status);
        }
        if let Some(body) = &failure.body {
            out.set("body", body.clone());
        }
        if failure.verdict != Verdict::Retry {
            out.set("verdict", failure.verdict.as_str());
        }
        if let Some(at) = failure.at {
            out.set("at", at.millis());
        }
        if let Some(wait) = failure.wait {
            out.set("wait", millis(wait));
        }
        match &failure.theirs {
            Theirs::Unknown => {}
            Theirs::Gone => drop(out.set("theirs", Value::Null)),
            Theirs::Record(record) => drop(out.set("theirs", self.out(record))),
        }
        out.into()
    }

    fn failure_in(&self, value: &Value) -> Option<Failure> {
        let record = value.as_object()?;
        let wait = record.get("wait").and_then(Value::as_i64).and_then(|wait| u64::try_from(wait).ok());
        let mut failure = Failure {
            message: record.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            status: record.get("status").and_then(Value::as_i64).and_then(|n| u16::try_from(n).ok()),
            body: record.get("body").cloned(),
            verdict: record.get("verdict").and_then(Value::as_str).and_then(Verdict::from_marker).unwrap_or_default(),
            at: record.get("at").and_then(Value::as_i64).map(Date::from_millis),
            wait: wait.map(Duration::from_millis),
            theirs: match record.get("theirs") {
                None => Theirs::Unknown,
                Some(Value::Object(theirs)) => Theirs::Record(self.read_in(theirs.clone(), false)),
                Some(_) => Theirs::Gone,
            },
            due: None,
        };
        failure.due = self.due_of(&failure);
        Some(failure)
    }

    fn change_in(
        &self,
        kind: ChangeKind,
        record: &Record,
        base: Option<Record>,
        book: &Record,
        foreign: bool,
    ) -> Change {
        let inner = |value: Option<&Value>| {
            value.and_then(Value::as_object).map(|found| self.read_in(found.clone(), kind == ChangeKind::Create))
        };
        let mut change = Change { base, ..Change::default() };
        if foreign || book.get("accepted").is_some_and(Value::is_truthy) {
            let key = book.get("key").and_then(Value::as_str).map_or_else(|| self.new_key(), Text::from);
            let offline = match book.get("offline").and_then(Value::as_object) {
                Some(entry) => {
                    let values = inner(entry.get("record")).unwrap_or_else(|| record.clone());
                    Some(Box::new((kind_in(entry).unwrap_or(kind), values)))
                }
                None if foreign => Some(Box::new((kind, record.clone()))),
                None => None,
            };
            let mut changed = texts(book.get("changed"));
            if foreign && kind == ChangeKind::Update {
                changed = record.iter().map(|(name, _)| Text::from(name)).collect();
            }
            change.accepted = Some(Accepted {
                kind: kind_in(book).unwrap_or(kind),
                record: record.clone(),
                key,
                changed,
                offline,
                standing: book.get("standing").and_then(Value::as_str).map_or(Standing::Queued, Standing::from_marker),
                attempts: count(book.get("attempts")),
                failure: book.get("error").and_then(|error| self.failure_in(error)),
                unstored: false,
                before: None,
            });
        }
        if let Some(entry) = book.get("sent").and_then(Value::as_object) {
            change.sent = Some(Sent {
                kind: kind_in(entry).unwrap_or(kind),
                record: inner(entry.get("record")).unwrap_or_else(|| record.clone()),
                key: entry.get("key").and_then(Value::as_str).map_or_else(|| self.new_key(), Text::from),
                changed: texts(entry.get("changed")),
                in_doubt: true,
                in_flight: false,
                read_since: true,
                batch: entry.get("batch").and_then(Value::as_number).and_then(crate::Number::as_u64),
                place: count(entry.get("place")),
                attempts: count(entry.get("attempts")),
                asked: 0,
                unknown: false,
                counted: false,
                failure: entry.get("error").and_then(|error| self.failure_in(error)),
            });
        }
        let sent_create = change.sent.as_ref().is_some_and(|sent| sent.kind == ChangeKind::Create);
        change.added = kind == ChangeKind::Create || sent_create;
        change.dirty = kind != ChangeKind::Destroy;
        if let Some(base) = &change.base {
            change.changed = difference(base, record);
        } else if let Some(accepted) = &change.accepted {
            change.changed.clone_from(&accepted.changed);
        }
        change
    }
}

fn damaged(error: Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the stored state cannot be read; it was kept as it is")
        .during("load")
        .caused_by(error)
}

fn group_out(group: &GroupNode) -> Value {
    let mut out = group.head.clone();
    match &group.items {
        GroupItems::Groups(groups) => out.set("groups", Value::array(groups.iter().map(group_out))),
        GroupItems::Rows(rows) => out.set("rows", Value::array(rows.iter().map(|uid| Value::from(uid.0)))),
    };
    out.into()
}

fn group_in(value: &Value) -> Option<GroupNode> {
    let mut head = value.as_object()?.clone();
    let items = match (head.remove("groups"), head.remove("rows")) {
        (Some(Value::Array(groups)), _) => GroupItems::Groups(groups.iter().filter_map(group_in).collect()),
        (_, Some(Value::Array(rows))) => GroupItems::Rows(
            rows.iter().filter_map(|row| row.as_number().and_then(crate::Number::as_u64)).map(Uid).collect(),
        ),
        _ => GroupItems::Rows(Vec::new()),
    };
    Some(GroupNode { head, items })
}

// ---- Kendo's own form

/// The member of a row in Kendo's form that holds landfall's bookkeeping.
const BOOKKEEPING: &str = "__landfall";
const STATE: &str = "__state__";

impl StoredState {
    /// The state as Kendo stores it: rows in data order, then removals in theirs, with `__state__` (R6.12-R6.17). With
    /// bookkeeping, changed rows carry landfall's own in one member `__landfall`, so that nothing is lost on the way
    /// back.
    ///
    /// # Errors
    /// `Corrupt` when the state cannot be read.
    pub fn to_kendo(&self, bookkeeping: bool) -> Result<Value> {
        let meta = match &self.meta {
            Some(meta) => Record::from_json(meta).map_err(damaged)?,
            None => Record::new(),
        };
        // What is no list of rows stands until there are rows.
        if let Some(raw) = meta.get("raw").filter(|_| self.rows.is_empty()) {
            return Ok(raw.clone());
        }
        let mark = meta.get("sending").and_then(Mark::from_value).filter(|_| bookkeeping);
        let places = mark.as_ref().map(Mark::places).unwrap_or_default();
        let mut rows: Vec<(RowId, Value)> = Vec::with_capacity(self.rows.len());
        let mut removed: Vec<(i64, Value)> = Vec::new();
        for row in &self.rows {
            let mut record = Record::from_json(&row.record).map_err(damaged)?;
            if let Some(state) = row.state {
                record.set(STATE, state.as_str());
            }
            let book = row.change.as_ref().map(|text| Record::from_json(text)).transpose().map_err(damaged)?;
            // Removals of ours come last, in their order; one of Kendo's own stays where it stood.
            let seq = book.as_ref().and_then(|book| book.get("seq")).and_then(Value::as_i64);
            if let (true, Some(mut book)) = (bookkeeping, book) {
                if let (Some(mark), Some(state), Some(place)) = (&mark, row.state, places.get(&row.id)) {
                    // Here there is no other place for it.
                    mark.say(&mut book, state, *place);
                }
                book.set("id", row.id);
                record.set(BOOKKEEPING, book);
            }
            match seq.filter(|_| row.state == Some(ChangeKind::Destroy)) {
                Some(seq) => removed.push((seq, record.into())),
                None => rows.push((row.id, record.into())),
            }
        }
        removed.sort_by_key(|(seq, _)| *seq);
        let mut out: Vec<Value> = match meta.get("groups").and_then(Value::as_array) {
            Some(groups) => {
                let mut by_id: HashMap<RowId, Value> = rows.iter().cloned().collect();
                let mut out: Vec<Value> = groups.iter().filter_map(|group| group_to_kendo(group, &mut by_id)).collect();
                out.extend(rows.into_iter().filter_map(|(id, _)| by_id.remove(&id)));
                out
            }
            None => rows.into_iter().map(|(_, value)| value).collect(),
        };
        out.extend(removed.into_iter().map(|(_, value)| value));
        Ok(out.into())
    }

    /// Reads a state in Kendo's form, with or without landfall's bookkeeping. Null is the empty state; what is no list of
    /// objects is kept verbatim and holds no rows.
    ///
    /// # Errors
    /// `Limit` when the value is nested deeper than anything that is written.
    pub fn from_kendo(value: &Value) -> Result<Self> {
        // A record within its change within its row within the list.
        if depth::is_deeper(value, depth::DEEPEST + 8) {
            return Err(Error::new(ErrorKind::Limit, "the state is nested too deep"));
        }
        let mut out = Self::default();
        let raw = |value: &Value| {
            let meta = Record::from([("format", Value::from(FORMAT)), ("raw", value.clone())]);
            Self { meta: Some(Arc::from(meta.to_json())), ..Self::default() }
        };
        let items = match value {
            Value::Null => return Ok(out),
            Value::Array(items) if items.iter().all(|item| item.as_object().is_some()) => items,
            other => return Ok(raw(other)),
        };
        let mut groups = Vec::new();
        let mut ids = Ids::of(items);
        for item in items.iter() {
            let Some(record) = item.as_object() else { continue };
            match group_from_kendo(record, &mut out.rows, &mut ids) {
                Some(group) => groups.push(group),
                None => {
                    row_from_kendo(record, &mut out.rows, &mut ids);
                }
            }
        }
        let mut meta = Record::from([("format", FORMAT)]);
        if !groups.is_empty() {
            meta.set("groups", groups);
        }
        out.meta = Some(Arc::from(meta.to_json()));
        Ok(out)
    }
}

fn group_to_kendo(group: &Value, rows: &mut HashMap<RowId, Value>) -> Option<Value> {
    let mut head = group.as_object()?.clone();
    let items: Vec<Value> = match (head.remove("groups"), head.remove("rows")) {
        (Some(Value::Array(groups)), _) => groups.iter().filter_map(|group| group_to_kendo(group, rows)).collect(),
        (_, Some(Value::Array(ids))) => ids
            .iter()
            .filter_map(|id| id.as_number().and_then(crate::Number::as_u64))
            .filter_map(|id| rows.remove(&id))
            .collect(),
        _ => Vec::new(),
    };
    head.set("items", items);
    Some(head.into())
}

/// Row ids for rows that bring none: those that no other row brings.
#[derive(Default)]
struct Ids {
    /// Whether a row took it already.
    brought: HashMap<RowId, bool>,
    last: RowId,
}

impl Ids {
    fn of(items: &[Value]) -> Self {
        let mut ids = Self::default();
        ids.collect(items);
        ids
    }

    fn collect(&mut self, items: &[Value]) {
        for record in items.iter().filter_map(Value::as_object) {
            if let (true, Some(items)) = (is_group(record), record.get("items").and_then(Value::as_array)) {
                self.collect(items);
            } else if let Some(id) = record.get(BOOKKEEPING).and_then(Value::as_object).and_then(brought_id) {
                self.brought.insert(id, false);
            }
        }
    }

    /// The id that a row brings, for the first that brings it; else a free one.
    fn take(&mut self, brought: Option<RowId>) -> RowId {
        if let Some(id) = brought
            && let Some(taken @ false) = self.brought.get_mut(&id)
        {
            *taken = true;
            return id;
        }
        loop {
            self.last += 1;
            if !self.brought.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

fn brought_id(book: &Record) -> Option<RowId> {
    book.get("id").and_then(Value::as_number).and_then(crate::Number::as_u64)
}

fn is_group(record: &Record) -> bool {
    record.contains("field") && record.contains("hasSubgroups")
}

fn group_from_kendo(record: &Record, rows: &mut Vec<StoredRow>, row_ids: &mut Ids) -> Option<Value> {
    let items = record.get("items")?.as_array()?;
    if !is_group(record) {
        return None;
    }
    let mut head = record.clone();
    head.remove("items");
    head.remove("uid");
    let mut groups: Vec<Value> = Vec::new();
    let mut ids: Vec<Value> = Vec::new();
    for item in items.iter().filter_map(Value::as_object) {
        match group_from_kendo(item, rows, row_ids) {
            Some(group) => groups.push(group),
            None => ids.push(Value::from(row_from_kendo(item, rows, row_ids))),
        }
    }
    if groups.is_empty() {
        head.set("rows", ids)
    } else {
        head.set("groups", groups)
    };
    Some(head.into())
}

fn row_from_kendo(record: &Record, rows: &mut Vec<StoredRow>, ids: &mut Ids) -> RowId {
    let mut record = record.clone();
    record.remove("uid");
    let state = record.get(STATE).and_then(Value::as_str).and_then(ChangeKind::from_marker);
    if state.is_some() {
        record.remove(STATE);
    }
    let order = (rows.len() as u64 + 1) << 20;
    let mut brought = None;
    let mut change = None;
    if let Some(Value::Object(mut book)) = record.remove(BOOKKEEPING) {
        brought = brought_id(&book);
        book.remove("id");
        change = state.map(|_| Arc::from(book.to_json()));
    }
    let id = ids.take(brought);
    rows.push(StoredRow { id, order, state, record: Arc::from(record.to_json()), change });
    id
}
