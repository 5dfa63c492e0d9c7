//! The last few changes of a state, kept with its head so that a commit writes one page. Owns their text; never asks what
//! rows they stand in place of.

use crate::{
    error,
    head::{Weight, signed},
    schema,
};
use landfall_storage::{Delta, Result, RowId, StoredRow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the text may measure in bytes: with the rest of a head it fills one page of 4,096, not two.
const ROOM: usize = 3_900;

/// What an entry takes, at least.
const LEAST: usize = 64;

/// Changed rows, the oldest first; each stands in place of all others of its id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail(Vec<Entry>);

/// One changed row.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: RowId,
    /// None when it was deleted.
    pub(crate) row: Option<StoredRow>,
    pub(crate) crc: u32,
    /// As it is stored.
    text: String,
}

/// An entry as it is stored: its members are the columns of `recent`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    id: i64,
    ord: i64,
    marker: Option<Arc<str>>,
    record: Option<Arc<str>>,
    change: Option<Arc<str>>,
    crc: u32,
}

impl Entry {
    pub(crate) fn put(row: StoredRow) -> Result<Self> {
        let crc = schema::row_crc(&row);
        Self::new(row.id, Some(row), crc)
    }

    pub(crate) fn delete(id: RowId) -> Result<Self> {
        Self::new(id, None, 0)
    }

    fn new(id: RowId, row: Option<StoredRow>, crc: u32) -> Result<Self> {
        let columns = Columns {
            id: signed(id),
            ord: signed(row.as_ref().map_or(0, |row| row.order)),
            marker: row.as_ref().and_then(|row| row.state).map(|state| state.as_str().into()),
            record: row.as_ref().map(|row| Arc::clone(&row.record)),
            change: row.as_ref().and_then(|row| row.change.clone()),
            crc,
        };
        Ok(Self { id, row, crc, text: serde_json::to_string(&columns).map_err(error::json)? })
    }

    fn read(columns: Columns) -> Result<Self> {
        let id = columns.id.cast_unsigned();
        let Some(record) = columns.record else { return Self::delete(id) };
        let state = schema::marker(columns.marker.as_deref())?;
        let row = StoredRow { id, order: columns.ord.cast_unsigned(), state, record, change: columns.change };
        if schema::row_crc(&row) != columns.crc {
            return Err(error::damaged_row(id));
        }
        Self::new(id, Some(row), columns.crc)
    }

    /// What it counts for; none for one that was deleted.
    pub(crate) fn weight(&self) -> Option<Weight> {
        self.row.as_ref().map(|row| Weight { bytes: row.size() as u64, crc: self.crc })
    }
}

impl Tail {
    pub(crate) fn read(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::default()) };
        let columns: Vec<Columns> = serde_json::from_str(text).map_err(error::json)?;
        Ok(Self(columns.into_iter().map(Entry::read).collect::<Result<_>>()?))
    }

    /// As it is stored; none when it is empty.
    pub(crate) fn text(&self) -> Option<String> {
        let mut text = String::with_capacity(self.length());
        for entry in &self.0 {
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&entry.text);
        }
        (!text.is_empty()).then(|| text + "]")
    }

    fn length(&self) -> usize {
        self.0.iter().map(|entry| entry.text.len() + 1).sum::<usize>() + 1
    }

    /// The changes of rows as entries, if there is room for them.
    pub(crate) fn room_for(&self, delta: &Delta) -> Result<Option<Vec<Entry>>> {
        let count = delta.delete.len() + delta.put.len();
        if count > ROOM / LEAST || delta.put.iter().map(StoredRow::size).sum::<usize>() > ROOM {
            return Ok(None);
        }
        let deleted = delta.delete.iter().map(|id| Entry::delete(*id));
        let entries: Vec<Entry> = deleted.chain(delta.put.iter().cloned().map(Entry::put)).collect::<Result<_>>()?;
        let kept = self.0.iter().filter(|old| entries.iter().all(|new| new.id != old.id));
        let length: usize = kept.chain(&entries).map(|entry| entry.text.len() + 1).sum();
        Ok((length < ROOM).then_some(entries))
    }

    pub(crate) fn find(&self, id: RowId) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.id == id)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.retain(|old| old.id != entry.id);
        self.0.push(entry);
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_storage::ChangeKind;

    fn row(id: u64, record: &str) -> StoredRow {
        StoredRow { id, order: id, state: Some(ChangeKind::Update), record: record.into(), change: Some("{}".into()) }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut tail = Tail::default();
        assert_eq!(tail.text(), None);
        tail.push(Entry::put(row(1, r#"{"a":"\"é"}"#)).unwrap());
        tail.push(Entry::delete(2).unwrap());
        tail.push(Entry::put(row(u64::MAX, "no JSON, \0\n")).unwrap());
        tail.push(Entry::put(row(1, "newer")).unwrap());
        let text = tail.text().unwrap();
        assert_eq!(text.len(), tail.length());
        let read = Tail::read(Some(&text)).unwrap();
        assert_eq!(read.text(), Some(text));
        let rows: Vec<_> = read.into_entries().map(|entry| (entry.id, entry.row)).collect();
        assert_eq!(rows, [(2, None), (u64::MAX, Some(row(u64::MAX, "no JSON, \0\n"))), (1, Some(row(1, "newer")))]);
    }

    #[test]
    fn what_was_changed_is_refused() {
        let mut tail = Tail::default();
        tail.push(Entry::put(row(1, "some text")).unwrap());
        let text = tail.text().unwrap();
        for (what, with) in
            [("some", "same"), ("update", "create"), ("update", "other"), ("\"ord\":1", "\"ord\":2"), ("]", "")]
        {
            let changed = text.replace(what, with);
            assert_ne!(changed, text);
            assert!(Tail::read(Some(&changed)).is_err(), "{changed}");
        }
    }
}
