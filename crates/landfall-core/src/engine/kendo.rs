//! The stored state in Kendo's own form, and back: one list of records with `__state__`, as `offlineStorage` holds it.
//!
//! Owns the two conversions of a [`StoredState`]; what the documents in it mean is said in `persist`.

use super::{mark::Mark, persist::FORMAT, restore::damaged};
use crate::{ChangeKind, Error, ErrorKind, Record, Result, RowId, StoredRow, StoredState, Value, depth};
use std::{collections::HashMap, sync::Arc};

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
