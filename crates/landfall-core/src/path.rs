//! Field paths: `a.b`, `q[0].z` (R0.7-R0.11). A null or absent intermediate is absence everywhere (Q34, C29).

use crate::{Error, ErrorKind, Record, Result, Value};
use std::sync::Arc;

/// A parsed field path. A name with neither `.` nor `[` is one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// Parses a path. Empty parts and quotes are dropped.
    pub fn parse(text: &str) -> Self {
        if !text.contains(['.', '[']) {
            return Self(vec![text.to_owned()]);
        }
        let parts = text.split(['.', '[', ']']).map(|part| part.trim_matches(['"', '\'']).to_owned());
        Self(parts.filter(|part| !part.is_empty()).collect())
    }

    /// Whether it names a member of the record itself.
    pub fn is_plain(&self) -> bool {
        self.0.len() == 1
    }

    /// The value there; `None` when absent or when the way to it is null or absent.
    pub fn get<'a>(&self, record: &'a Record) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(record.get(first)?, |value, part| step(value, part))
    }

    /// The value there, from any value; the empty path is the value itself.
    pub fn get_in<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, part| step(value, part))
    }

    /// Sets the value, making missing objects on the way (Q19).
    pub fn set(&self, record: &mut Record, value: Value) {
        // Only the strict form fails.
        drop(set_in(record, &self.0, value, true));
    }

    /// Sets the value; every object on the way must be there.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when one is missing.
    pub fn set_strict(&self, record: &mut Record, value: Value) -> Result<()> {
        set_in(record, &self.0, value, false)
    }
}

fn step<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match value {
        Value::Object(record) => record.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    }
}

fn missing() -> Error {
    Error::new(ErrorKind::Invalid, "the parent of the nested field is missing; set the parent first")
}

fn set_in(record: &mut Record, parts: &[String], value: Value, make: bool) -> Result<()> {
    let Some((first, rest)) = parts.split_first() else { return Ok(()) };
    if rest.is_empty() {
        record.set(first, value);
        return Ok(());
    }
    if make && !record.get(first).is_some_and(|inner| matches!(inner, Value::Object(_) | Value::Array(_))) {
        record.set(first, Record::new());
    }
    set_value(record.get_mut(first).ok_or_else(missing)?, rest, value, make)
}

fn set_value(target: &mut Value, parts: &[String], value: Value, make: bool) -> Result<()> {
    match target {
        Value::Object(record) => set_in(record, parts, value, make),
        Value::Array(items) => {
            let Some((first, rest)) = parts.split_first() else { return Ok(()) };
            let slot =
                first.parse::<usize>().ok().and_then(|at| Arc::make_mut(items).get_mut(at)).ok_or_else(missing)?;
            if rest.is_empty() {
                *slot = value;
                return Ok(());
            }
            set_value(slot, rest, value, make)
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_stops_at_null() {
        let record = Record::from_json(r#"{"a":{"b":1},"n":null,"q":[{"z":5}]}"#).unwrap();
        let get = |path: &str| Path::parse(path).get(&record).map(Value::to_json);
        assert_eq!(get("a.b").as_deref(), Some("1"));
        assert_eq!(get("q[0].z").as_deref(), Some("5"));
        assert_eq!(get("a['b']").as_deref(), Some("1"));
        assert_eq!(get("n.x"), None);
        assert_eq!(get("x.y"), None);
    }

    #[test]
    fn set_makes_parents_only_when_asked() {
        let mut record = Record::from_json(r#"{"q":[{"z":5}]}"#).unwrap();
        Path::parse("addr.city").set(&mut record, Value::from("Q"));
        Path::parse("q[0].z").set_strict(&mut record, Value::from(6)).unwrap();
        assert_eq!(record.to_json(), r#"{"q":[{"z":6}],"addr":{"city":"Q"}}"#);
        let error = Path::parse("none.x").set_strict(&mut record, Value::from(1)).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
    }
}
