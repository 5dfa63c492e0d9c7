//! Reading a field of many records that look alike.
//!
//! Owns the safe walk along a path (R0.7, Q34). Never fails: what is not there is absent.

use crate::{
    Record, Value,
    record::{Cell, Shape},
};
use std::sync::{Arc, LazyLock};

/// Stands for the item itself: every object behaves alike in comparisons.
static ITEM: LazyLock<Value> = LazyLock::new(|| Value::Object(Record::new()));

/// Reads one field; remembers where it was in records of the same shape.
pub(crate) struct FieldReader {
    head: String,
    rest: Vec<String>,
    item: bool,
    seen: Option<(Arc<Shape>, Option<usize>)>,
}

impl FieldReader {
    /// For a name, or a path such as `a.b` or `rows[0].name`. The empty name is the item itself (R7.17).
    pub(crate) fn new(field: &str) -> Self {
        let mut parts = if field.contains(['.', '[']) {
            field
                .split(['.', '[', ']'])
                .map(|part| part.trim_matches(['"', '\'']).to_owned())
                .filter(|part| !part.is_empty())
                .collect()
        } else if field.is_empty() {
            Vec::new()
        } else {
            vec![field.to_owned()]
        };
        let item = parts.is_empty();
        let rest = if item { Vec::new() } else { parts.split_off(1) };
        Self { head: parts.pop().unwrap_or_default(), rest, item, seen: None }
    }

    /// The value where it stands. A path through null or a scalar is null where it ends on null, else absent.
    pub(crate) fn cell<'a>(&mut self, record: &'a Record) -> Cell<'a> {
        if self.item {
            return Cell::Other(&ITEM);
        }
        let Some(position) = self.position(record) else { return Cell::Absent };
        record.cell_at(position).descend(&self.rest)
    }

    /// As [`Self::cell`] of the row that many rows behind this one in its block of columns.
    pub(crate) fn cell_behind<'a>(&mut self, first: &'a Record, offset: usize) -> Cell<'a> {
        if self.item {
            return Cell::Other(&ITEM);
        }
        let Some((columns, row)) = first.columns() else { return Cell::Absent };
        let Some(position) = self.position(first) else { return Cell::Absent };
        columns.cell(position, row + offset).descend(&self.rest)
    }

    /// The position of the path's first member.
    fn position(&mut self, record: &Record) -> Option<usize> {
        let shape = record.shape();
        match &self.seen {
            Some((seen, position)) if Arc::ptr_eq(seen, shape) => *position,
            _ => {
                let position = record.position(&self.head);
                self.seen = Some((Arc::clone(shape), position));
                position
            }
        }
    }

    /// The position of the member in records of this shape, if the field is one member; `None` otherwise.
    #[expect(
        clippy::option_option,
        reason = "a field that is no member and a record without that member are two things"
    )]
    pub(crate) fn member(&mut self, record: &Record) -> Option<Option<usize>> {
        (!self.item && self.rest.is_empty()).then(|| self.position(record))
    }
}
