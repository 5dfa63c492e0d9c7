//! The reader: from a decoded answer to records (reference 3).

use super::{Accessor, Model, Schema};
use crate::{Error, ErrorKind, Record, Result, Value, depth, record::Shape};
use std::sync::Arc;

/// What a read's answer holds.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReadAnswer {
    /// The records, mapped and parsed. Empty when there are groups.
    pub rows: Vec<Record>,
    /// The groups, when the server grouped.
    pub groups: Option<Vec<ServerGroup>>,
    /// The total.
    pub total: Option<usize>,
    /// What the server complains about. The rest is empty then.
    pub errors: Option<Value>,
    /// The server's aggregates, by field and function.
    pub aggregates: Option<Record>,
}

/// A group as the server gave it.
#[derive(Debug)]
pub struct ServerGroup {
    /// All members but `items`; `field` and `value` in the model's terms (R3.16).
    pub head: Record,
    /// What it holds.
    pub items: ServerItems,
}

/// What a group holds.
#[derive(Debug)]
pub enum ServerItems {
    /// Groups.
    Groups(Vec<ServerGroup>),
    /// Records.
    Rows(Vec<Record>),
}

/// What a write's answer holds.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct WriteAnswer {
    /// The answered records, with the members that were present only; `None`: accepted as sent (R5.19).
    pub rows: Option<Vec<Record>>,
    /// What the server complains about.
    pub errors: Option<Value>,
}

impl Schema {
    /// Reads a read's answer. `grouped`: through `groups` instead of `data`.
    ///
    /// # Errors
    /// `Undecodable` for an answer without data where some is needed, `Callback` when a hook of yours panics.
    pub fn read_answer(&self, value: Option<Value>, grouped: bool) -> Result<ReadAnswer> {
        guarded(|| self.read_of(value, grouped))
    }

    fn read_of(&self, value: Option<Value>, grouped: bool) -> Result<ReadAnswer> {
        let value = value.unwrap_or(Value::Null);
        if value.is_null() {
            return Err(Error::new(
                ErrorKind::Undecodable,
                "the answer is empty; an empty list is expected for no rows",
            ));
        }
        let value = self.parsed(value);
        if let Some(errors) = self.errors_of(&value) {
            return Ok(ReadAnswer { errors: Some(errors), ..ReadAnswer::default() });
        }
        let aggregates = match &self.aggregates {
            Some(accessor) => accessor.get(&value).and_then(|found| found.as_object().cloned()),
            None => None,
        };
        let total = self.total.as_ref().map(|accessor| accessor.get(&value).as_ref().map_or(0, whole_number));
        if grouped {
            let value = depth::value_checked(value)?;
            let found = pick(self.groups.as_ref(), value);
            // An envelope whose groups nobody named holds none, as in Kendo.
            let found = found.filter(|found| self.groups.is_some() || found.as_object().is_none());
            let groups = self.groups_in(found)?;
            let total = total.unwrap_or(groups.len());
            return Ok(ReadAnswer { groups: Some(groups), total: Some(total), aggregates, ..ReadAnswer::default() });
        }
        let rows = self.rows(pick(self.data.as_ref(), value), false)?;
        let total = total.unwrap_or(rows.len());
        Ok(ReadAnswer { rows, total: Some(total), aggregates, ..ReadAnswer::default() })
    }

    /// Reads a write's answer.
    ///
    /// # Errors
    /// `Callback` when a hook of yours panics.
    pub fn write_answer(&self, value: Option<Value>) -> Result<WriteAnswer> {
        guarded(|| self.write_of(value))
    }

    fn write_of(&self, value: Option<Value>) -> Result<WriteAnswer> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(WriteAnswer::default()) };
        let value = self.parsed(value);
        if let Some(errors) = self.errors_of(&value) {
            return Ok(WriteAnswer { errors: Some(errors), ..WriteAnswer::default() });
        }
        let found = match pick(self.data.as_ref(), value) {
            None | Some(Value::Null) => return Ok(WriteAnswer { rows: Some(Vec::new()), ..WriteAnswer::default() }),
            Some(list @ Value::Array(_)) => list,
            Some(other) => Value::array([other]),
        };
        Ok(WriteAnswer { rows: Some(self.rows(Some(found), true)?), ..WriteAnswer::default() })
    }

    fn parsed(&self, value: Value) -> Value {
        match &self.parse {
            Some(parse) => parse(value),
            None => value,
        }
    }

    /// The errors of an answer: null, false, 0, empty text, list or object are none (Q29, C44), nor is an answer without
    /// the place (C42).
    fn errors_of(&self, value: &Value) -> Option<Value> {
        let default = Accessor::path("errors");
        let found = self.errors.as_ref().unwrap_or(&default).get(value)?;
        let empty = match &found {
            Value::Array(items) => items.is_empty(),
            Value::Object(record) => record.is_empty(),
            other => !other.is_truthy(),
        };
        (!empty).then_some(found)
    }

    fn rows(&self, found: Option<Value>, sparse: bool) -> Result<Vec<Record>> {
        let declared = self.model.as_ref().is_some_and(|model| !model.fields().is_empty());
        let items = match found {
            Some(Value::Array(items)) => Arc::try_unwrap(items).unwrap_or_else(|shared| Vec::clone(&shared)),
            Some(one @ Value::Object(_)) if declared || sparse => vec![one],
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) if text.is_empty() => Vec::new(),
            Some(other) => {
                let message = "the answer holds no list of records; name the place in the schema's `data`";
                return Err(misplaced(message, &other));
            }
        };
        let mut clean: Option<Arc<Shape>> = None;
        // Done in place: the list of values becomes the list of records.
        let rows = items.into_iter().map(|item| match item {
            Value::Object(mut record) => {
                // A marker of ours from a server means nothing (S12).
                if !clean.as_ref().is_some_and(|shape| Arc::ptr_eq(shape, record.shape())) {
                    record.remove("__state__");
                    record.remove("__landfall");
                    clean = Some(Arc::clone(record.shape()));
                }
                Ok(record)
            }
            // An answer such as "ok" says nothing about the record.
            _ if sparse => Ok(Record::new()),
            other => Err(misplaced("a record must be an object", &other)),
        });
        let mut rows: Vec<Record> = rows.collect::<Result<_>>()?;
        rows = depth::all_checked(rows)?;
        if let Some(model) = &self.model {
            let mut mapper = model.mapper(&self.zone);
            if sparse {
                for row in &mut rows {
                    *row = mapper.read_sparse(std::mem::take(row));
                }
            } else {
                mapper.read_all(&mut rows);
            }
        }
        Ok(rows)
    }

    fn groups_in(&self, found: Option<Value>) -> Result<Vec<ServerGroup>> {
        match found {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(groups)) => groups.iter().map(|group| self.group(group)).collect(),
            Some(other) => Err(misplaced("the answer holds no list of groups", &other)),
        }
    }

    fn group(&self, value: &Value) -> Result<ServerGroup> {
        let mut head = value.as_object().ok_or_else(|| misplaced("a group must be an object", value))?.clone();
        let items = head.remove("items");
        if let Some(model) = &self.model {
            rename(&mut head, model, &self.zone);
        }
        let nested = head.get("hasSubgroups").is_some_and(Value::is_truthy);
        let items = if nested {
            ServerItems::Groups(self.groups_in(items)?)
        } else {
            ServerItems::Rows(self.rows(items, false)?)
        };
        Ok(ServerGroup { head, items })
    }
}

/// Hooks of the program's that panic must not take the engine with them (I18).
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call))
        .unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Callback, "a hook of the schema panicked")))
}

fn misplaced(message: &'static str, found: &Value) -> Error {
    let start: String = found.to_json().chars().take(60).collect();
    Error::new(ErrorKind::Undecodable, message).with("found", start)
}

/// `field` from the server's name to the model's, `value` by that field's parser (R3.16).
fn rename(head: &mut Record, model: &Model, zone: &super::Zone) {
    let Some(source) = head.get("field").map(Value::to_text) else { return };
    let Some(field) = model.field_of_source(&source) else { return };
    head.set("field", field.name.clone());
    let value = head.get("value").cloned();
    if let Some(parsed) = field.parse(value.as_ref(), zone) {
        head.set("value", parsed);
    }
}

fn pick(accessor: Option<&Accessor>, value: Value) -> Option<Value> {
    match accessor {
        Some(accessor) => accessor.take(value),
        None => Some(value),
    }
}

/// `parseInt` of a number or numeric text; nonsense is 0 (R3.4).
fn whole_number(value: &Value) -> usize {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| floor(number.as_f64())),
        Value::String(text) => {
            let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        }
        _ => None,
    }
    .and_then(|number| usize::try_from(number).ok())
    .unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn floor(number: f64) -> Option<i64> {
    (0.0..9e15).contains(&number).then_some(number as i64)
}
