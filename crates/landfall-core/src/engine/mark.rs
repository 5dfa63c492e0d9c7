//! The mark of a sync: rows that are sent as they were accepted, said in one place instead of in each row.
//!
//! Owns the form of the mark in the meta document, and what it says about a row. When it is set is the sync's affair.

use super::restore::{count, kind_in, number};
use crate::{ChangeKind, Record, RowId, Text, Value};
use std::collections::HashMap;

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
    pub(super) fn to_value(&self) -> Value {
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

    pub(super) fn from_value(value: &Value) -> Option<Self> {
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
    pub(super) fn places(&self) -> HashMap<RowId, (usize, usize)> {
        let lists = self.lists.iter().enumerate();
        lists.flat_map(|(list, (_, rows))| rows.iter().enumerate().map(move |(at, row)| (*row, (list, at)))).collect()
    }

    /// Says in the bookkeeping of one row what the mark says about it.
    pub(super) fn say(&self, book: &mut Record, state: ChangeKind, (list, place): (usize, usize)) {
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
