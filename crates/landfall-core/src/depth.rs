//! How deep values may nest. What is nested deeper could not be stored and read again, and walks over it would end in the
//! middle of the stack; so it is refused where it comes in. Owns the limit, and takes too deep values apart without
//! recursion.

use crate::{Error, ErrorKind, Record, Result, Value};
use std::sync::Arc;

/// Lists and objects within each other, at most, in a record. JSON is read 127 deep; a stored change and the lists around it
/// need some of that.
pub(crate) const DEEPEST: usize = 100;

/// Whether there are more than so many lists and objects within each other.
pub(crate) fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(record) => is_record_deeper(record, levels),
        _ => false,
    }
}

/// As [`is_deeper`] for an object.
pub(crate) fn is_record_deeper(record: &Record, levels: usize) -> bool {
    levels == 0 || record.any_nested(|value| is_deeper(value, levels - 1))
}

fn too_deep() -> Error {
    Error::new(ErrorKind::Limit, "a value is nested too deep").with("limit", DEEPEST.to_string())
}

/// The record, if it is not too deep.
pub(crate) fn checked(record: Record) -> Result<Record> {
    if is_record_deeper(&record, DEEPEST) {
        take_apart(record.into());
        return Err(too_deep());
    }
    Ok(record)
}

/// The records, if none is too deep.
pub(crate) fn all_checked(records: Vec<Record>) -> Result<Vec<Record>> {
    // Of rows in columns of plain values the first speaks for all.
    let mut flat: Option<&Record> = None;
    let mut any_too_deep = false;
    for record in &records {
        if flat.is_some_and(|flat| flat.same_block(record)) {
            continue;
        }
        if record.is_flat() {
            flat = Some(record);
        } else if is_record_deeper(record, DEEPEST) {
            any_too_deep = true;
            break;
        }
    }
    if any_too_deep {
        for record in records {
            take_apart(record.into());
        }
        return Err(too_deep());
    }
    Ok(records)
}

/// The value, if it is not too deep by itself.
pub(crate) fn value_checked(value: Value) -> Result<Value> {
    if is_deeper(&value, DEEPEST) {
        take_apart(value);
        return Err(too_deep());
    }
    Ok(value)
}

/// Drops a value level by level, as far as nobody else holds parts of it.
fn take_apart(value: Value) {
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(Arc::into_inner(items).unwrap_or_default()),
            Value::Object(record) => left.extend(record.into_values()),
            _ => {}
        }
    }
}
