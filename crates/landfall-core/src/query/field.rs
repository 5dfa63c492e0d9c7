//! Reading a field of many records that look alike.
//!
//! Owns the safe walk along a path (R0.7, Q34). Never fails: what is not there is absent.

use crate::{Record, Value, record::Shape};
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

    /// The value; `None` when absent. A path through null or a scalar is null where it ends on null, else absent.
    pub(crate) fn get<'a>(&mut self, record: &'a Record) -> Option<&'a Value> {
        if self.item {
            return Some(&ITEM);
        }
        let shape = record.shape();
        let position = match &self.seen {
            Some((seen, position)) if Arc::ptr_eq(seen, shape) => *position,
            _ => {
                let position = record.position(&self.head);
                self.seen = Some((Arc::clone(shape), position));
                position
            }
        };
        let mut value = record.value_at(position?)?;
        for part in &self.rest {
            value = match value {
                // The safe getter stops at the first null and gives it (R0.8).
                Value::Null => return Some(value),
                Value::Object(inner) => inner.get(part)?,
                Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }
}
