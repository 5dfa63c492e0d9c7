//! Values as a server sees them, after their way through JSON. Owns the small tools on values that the model needs.

use landfall_core::{Record, Value};

/// What is left of a value after JSON: dates are text, numbers that are not finite are null.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::Date(date) => Value::from(date.to_string()),
        Value::Number(number) if !number.is_finite() => Value::Null,
        Value::Array(items) => Value::array(items.iter().map(plain)),
        Value::Object(record) => plain_record(record.clone()).into(),
        other => other.clone(),
    }
}

/// [`plain`] for a record.
pub(crate) fn plain_record(record: Record) -> Record {
    let simple = |value: &Value| match value {
        Value::Date(_) | Value::Array(_) | Value::Object(_) => false,
        Value::Number(number) => number.is_finite(),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    };
    if record.iter().all(|(_, value)| simple(value)) {
        return record;
    }
    record.iter().map(|(name, value)| (name, plain(value))).collect()
}

/// Puts a value at a member name or dotted path; missing parents are made.
pub(crate) fn put(record: &mut Record, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            record.set(path, value);
        }
        Some((first, rest)) => {
            let mut child = record.get(first).and_then(Value::as_object).cloned().unwrap_or_default();
            put(&mut child, rest, value);
            record.set(first, child);
        }
    }
}

/// The records of a list; entries that are no objects are left out.
pub(crate) fn records(value: Option<&Value>) -> Vec<Record> {
    value.and_then(Value::as_array).unwrap_or_default().iter().filter_map(Value::as_object).cloned().collect()
}
