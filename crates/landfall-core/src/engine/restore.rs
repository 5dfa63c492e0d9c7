//! The stored form, read: from the texts of a [`StoredState`] to rows, their changes, and what is said about the whole.
//!
//! Changes nothing in the engine: what is read may turn out to be damaged, or be shown later.

use super::{
    Engine,
    change::{Accepted, Change, Failure, Removed, Sent, Standing, Theirs, difference},
    gone::Gone,
    groups::{GroupItems, GroupNode},
    mark::Mark,
    persist::FORMAT,
    policy::Verdict,
    table::{Row, Uid},
};
use crate::{
    ChangeKind, Date, Error, ErrorKind, Model, Record, Result, StoredRow, StoredState, Text, Value, json::Shapes,
    schema::Mapper,
};
use std::time::Duration;

/// What a stored state holds, decoded.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) rows: Vec<(Row, Option<Box<Change>>)>,
    pub(crate) removed: Gone,
    pub(crate) groups: Option<Vec<GroupNode>>,
    /// Some rows have more members than are stored: declared numbers and dates that they lacked.
    pub(crate) filled: bool,
    /// What the meta document says about rows that are sent.
    pub(crate) mark: Option<Mark>,
    /// Another program may know rows by their ids only.
    pub(crate) shared: bool,
    /// The meta document is of an older format than this program writes.
    pub(crate) old: bool,
}

/// Reads the documents of many rows: those that look alike share the names of their members, and how these are mapped.
struct Documents<'a> {
    shapes: Shapes,
    model: Option<(&'a Model, Mapper<'a>)>,
}

impl<'a> Documents<'a> {
    fn of(engine: &'a Engine) -> Self {
        let schema = &engine.options.schema;
        Self { shapes: Shapes::default(), model: schema.model().map(|model| (model, model.mapper(schema.zone()))) }
    }

    fn read(&mut self, text: &str) -> Result<Record> {
        crate::json::record_alike(text, &mut self.shapes).map_err(damaged)
    }

    /// The values of a stored record as the program sees them.
    fn values(&mut self, record: Record, create: bool) -> Record {
        let Some((model, mapper)) = &mut self.model else { return record };
        let mut record = mapper.read(record);
        if create {
            model.restore_id(&mut record);
        }
        record
    }

    /// The base of a change from its stored form; `record` is the text of the stored record.
    fn base(&mut self, book: &Record, record: &str) -> Result<Option<Record>> {
        let Some(was) = book.get("was").and_then(Value::as_object) else {
            return Ok(book.get("base").and_then(Value::as_object).cloned());
        };
        let mut base = self.read(record)?;
        for name in texts(book.get("new")) {
            base.remove(&name);
        }
        for (name, value) in was.iter() {
            base.set(name, value.clone());
        }
        Ok(Some(base))
    }
}

pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_number).and_then(crate::Number::as_u64)
}

fn texts(value: Option<&Value>) -> Vec<Text> {
    let items = value.and_then(Value::as_array).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(Text::from)).collect()
}

pub(super) fn count(value: Option<&Value>) -> u32 {
    value.and_then(Value::as_i64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

pub(super) fn kind_in(record: &Record) -> Option<ChangeKind> {
    record.get("kind").and_then(Value::as_str).and_then(ChangeKind::from_marker)
}

impl Engine {
    // ---- reading

    /// Decodes a stored state. Nothing is changed.
    ///
    /// # Errors
    /// `Callback` for a parser of the program's that panics, too (I18).
    pub(crate) fn decode(&self, state: &StoredState) -> Result<Restored> {
        crate::schema::guarded(|| self.decoded(state))
    }

    fn decoded(&self, state: &StoredState) -> Result<Restored> {
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
            out.shared = meta.get("shared").is_some_and(Value::is_truthy);
            out.mark = meta.get("sending").and_then(Mark::from_value);
            if let Some(groups) = meta.get("groups").and_then(Value::as_array) {
                out.groups = Some(groups.iter().filter_map(group_in).collect());
            }
        }
        let mut removed: Vec<(i64, Removed)> = Vec::new();
        let (records, filled) = self.records_in(&state.rows)?;
        out.filled = filled;
        let mut documents = Documents::of(self);
        let looks_new = self.newness();
        let places = out.mark.as_ref().map(Mark::places).unwrap_or_default();
        out.rows.reserve(records.len());
        for (stored, record) in state.rows.iter().zip(records) {
            let row = Row { uid: Uid(stored.id), order: stored.order, record: record.clone() };
            let Some(kind) = stored.state else {
                let change = looks_new(&record)
                    .then(|| Box::new(Change { base: Some(record.clone()), looks_new: true, ..Change::default() }));
                out.rows.push((row, change));
                continue;
            };
            let mut book = match &stored.change {
                Some(text) => documents.read(text)?,
                None => Record::new(),
            };
            if let (Some(mark), Some(place)) = (&out.mark, places.get(&stored.id)) {
                mark.say(&mut book, kind, *place);
            }
            let base = documents.base(&book, &stored.record)?;
            let base = base.map(|base| documents.values(base, kind == ChangeKind::Create));
            let change = self.change_in(&mut documents, kind, &record, base, &book, stored.change.is_none());
            if kind == ChangeKind::Destroy {
                let seq = book.get("seq").and_then(Value::as_i64).unwrap_or(i64::MAX);
                removed.push((seq, Removed { row, change }));
            } else {
                out.rows.push((row, Some(Box::new(change))));
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
        let dates = self.options.schema.model().map(Model::dates).unwrap_or_default();
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

    fn failure_in(&self, documents: &mut Documents<'_>, value: &Value) -> Option<Failure> {
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
                Some(Value::Object(theirs)) => Theirs::Record(documents.values(theirs.clone(), false)),
                Some(_) => Theirs::Gone,
            },
            due: None,
            together: record.get("together").is_some_and(Value::is_truthy),
        };
        failure.due = self.due_of(&failure);
        Some(failure)
    }

    fn change_in(
        &self,
        documents: &mut Documents<'_>,
        kind: ChangeKind,
        record: &Record,
        base: Option<Record>,
        book: &Record,
        foreign: bool,
    ) -> Change {
        let inner = |documents: &mut Documents<'_>, value: Option<&Value>| {
            value.and_then(Value::as_object).map(|found| documents.values(found.clone(), kind == ChangeKind::Create))
        };
        let mut change = Change { base, ..Change::default() };
        if foreign || book.get("accepted").is_some_and(Value::is_truthy) {
            let key = book.get("key").and_then(Value::as_str).map_or_else(|| self.new_key(), Text::from);
            let offline = match book.get("offline").and_then(Value::as_object) {
                Some(entry) => {
                    let values = inner(documents, entry.get("record")).unwrap_or_else(|| record.clone());
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
                failure: book.get("error").and_then(|error| self.failure_in(documents, error)),
                unstored: false,
                before: None,
            });
        }
        if let Some(entry) = book.get("sent").and_then(Value::as_object) {
            change.sent = Some(Sent {
                kind: kind_in(entry).unwrap_or(kind),
                record: inner(documents, entry.get("record")).unwrap_or_else(|| record.clone()),
                key: entry.get("key").and_then(Value::as_str).map_or_else(|| self.new_key(), Text::from),
                changed: texts(entry.get("changed")),
                in_doubt: true,
                in_flight: false,
                loaded: true,
                read_since: true,
                batch: entry.get("batch").and_then(Value::as_number).and_then(crate::Number::as_u64),
                place: count(entry.get("place")),
                attempts: count(entry.get("attempts")),
                asked: 0,
                unknown: false,
                counted: false,
                together: false,
                failure: entry.get("error").and_then(|error| self.failure_in(documents, error)),
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

pub(super) fn damaged(error: Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the stored state cannot be read; it was kept as it is")
        .during("load")
        .caused_by(error)
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
