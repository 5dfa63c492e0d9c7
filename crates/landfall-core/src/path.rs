//! Field paths: `address.city`, `lines[0].price`.
//!
//! Owns splitting, reading and writing by path (R0.7-R0.11). Never fails on a read: a null or absent intermediate is
//! null or absent (Q34).

use crate::{Error, ErrorKind, Record, Result, Text, Value, record::Cell};
use std::{fmt, sync::Arc};

/// How a field is found in a record: one member name, or several steps.
///
/// ```
/// use landfall_core::{Path, Record};
/// let record = Record::from_json(r#"{"a":{"b":[{"c":1}]},"n":null}"#)?;
/// assert_eq!(Path::parse("a.b[0].c").get(&record).and_then(|v| v.as_i64()), Some(1));
/// assert!(Path::parse("n.x").get(&record).is_some_and(|v| v.is_null()));
/// assert!(Path::parse("x.y").get(&record).is_none());
/// # Ok::<(), landfall_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    text: Text,
    parts: Vec<Text>,
}

impl Path {
    /// Splits a field name (R0.7). A name without `.` and `[` is one member; the empty name is the record itself. A
    /// member whose own name holds a dot cannot be addressed.
    pub fn parse(name: &str) -> Self {
        let parts = if name.contains(['.', '[']) {
            name.split(['.', '[', ']'])
                .map(|part| part.trim_matches(['"', '\'']))
                .filter(|part| !part.is_empty())
                .map(Text::from)
                .collect()
        } else if name.is_empty() {
            Vec::new()
        } else {
            vec![Text::from(name)]
        };
        Self { text: Text::from(name), parts }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The steps.
    pub fn parts(&self) -> &[Text] {
        &self.parts
    }

    /// Whether it names a member of the record itself.
    pub fn is_plain(&self) -> bool {
        self.parts.len() == 1
    }

    /// The member name, if the path is a single step.
    pub fn member(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The value in a record; `None` when absent, null when an intermediate is null (R0.8). The empty path has no value
    /// of its own here: use [`get_in`](Self::get_in).
    pub fn get<'a>(&self, record: &'a Record) -> Option<&'a Value> {
        let (first, rest) = self.parts.split_first()?;
        descend(record.get(first)?, rest)
    }

    /// As [`get`](Self::get) for a name, where the value stands; one without `.` and `[` is not split first.
    pub(crate) fn cell_named<'a>(name: &str, record: &'a Record) -> Cell<'a> {
        if !name.contains(['.', '[']) {
            return record.cell(name);
        }
        Self::parse(name).cell(record)
    }

    /// As [`get`](Self::get), where the value stands.
    pub(crate) fn cell<'a>(&self, record: &'a Record) -> Cell<'a> {
        self.parts.split_first().map_or(Cell::Absent, |(first, rest)| record.cell(first).descend(rest))
    }

    /// The value in a value; the empty path gives the value itself.
    pub fn get_in<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        descend(value, &self.parts)
    }

    /// Sets the value and creates missing or null parents (Q19). Gives false, and changes nothing, when the path leads
    /// through something that cannot hold it (a text, an index past the end of a list).
    pub fn set(&self, record: &mut Record, value: impl Into<Value>) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return false };
        if rest.is_empty() {
            record.set(first, value);
            return true;
        }
        if !self.fits(record) {
            return false;
        }
        if record.get(first).is_none_or(Value::is_null) {
            record.set(first, Record::new());
        }
        record.get_mut(first).is_some_and(|slot| place(slot, rest, value.into()))
    }

    /// Sets the value where every parent exists (R0.11).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a parent is missing, null, or cannot hold members; nothing is changed then.
    pub fn set_strict(&self, record: &mut Record, value: impl Into<Value>) -> Result<()> {
        let invalid = |message| Err(Error::new(ErrorKind::Invalid, message).with("field", self.as_str()));
        let Some((_, parents)) = self.parts.split_last() else {
            return invalid("an empty field name cannot be set");
        };
        if let Some((first, rest)) = parents.split_first() {
            let parent = record.get(first).and_then(|value| descend(value, rest));
            if !matches!(parent, Some(Value::Object(_) | Value::Array(_))) {
                return invalid("the parent of the field does not exist");
            }
        }
        if self.set(record, value) { Ok(()) } else { invalid("the parent of the field cannot hold it") }
    }

    /// Whether every step leads through something that can hold the next one.
    fn fits(&self, record: &Record) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return false };
        let mut at = record.get(first);
        for part in rest {
            at = match at {
                None | Some(Value::Null) => return true,
                Some(Value::Object(inner)) => inner.get(part),
                Some(Value::Array(items)) => match part.parse::<usize>() {
                    Ok(index) if index <= items.len() => items.get(index),
                    _ => return false,
                },
                Some(_) => return false,
            };
        }
        true
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&str> for Path {
    fn from(name: &str) -> Self {
        Self::parse(name)
    }
}

fn descend<'a>(value: &'a Value, parts: &[Text]) -> Option<&'a Value> {
    let mut at = value;
    for part in parts {
        at = match at {
            Value::Null => return Some(at),
            Value::Object(record) => record.get(part)?,
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

fn place(at: &mut Value, parts: &[Text], value: Value) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        *at = value;
        return true;
    };
    match at {
        Value::Null => {
            let mut record = Record::new();
            record.set(first, Value::Null);
            let done = record.get_mut(first).is_some_and(|slot| place(slot, rest, value));
            *at = Value::Object(record);
            done
        }
        Value::Object(record) => {
            if !record.contains(first) {
                record.set(first, Value::Null);
            }
            record.get_mut(first).is_some_and(|slot| place(slot, rest, value))
        }
        Value::Array(items) => {
            let Ok(index) = first.parse::<usize>() else { return false };
            let items = Arc::make_mut(items);
            if index == items.len() {
                items.push(Value::Null);
            }
            items.get_mut(index).is_some_and(|slot| place(slot, rest, value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &str, before: &str, after: &str) {
        let mut record = Record::from_json(before).unwrap();
        let done = Path::parse(path).set(&mut record, 7);
        assert_eq!(record.to_json(), after, "{path}");
        assert_eq!(done, before != after, "{path}");
    }

    #[test]
    fn r0_7_split() {
        let parts = |name| Path::parse(name).parts().iter().map(|p| p.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(parts("q[0].z"), ["q", "0", "z"]);
        assert_eq!(parts("a['b'][\"c\"]"), ["a", "b", "c"]);
        assert_eq!(parts("plain name"), ["plain name"]);
        assert!(parts("").is_empty());
    }

    #[test]
    fn r0_8_safe_reads_stop_at_null_and_absent() {
        let record = Record::from_json(r#"{"a":null,"t":"x","l":[1]}"#).unwrap();
        assert_eq!(Path::parse("a.b.c").get(&record), Some(&Value::Null));
        assert_eq!(Path::parse("t.b").get(&record), None);
        assert_eq!(Path::parse("l[0]").get(&record), Some(&Value::from(1)));
        assert_eq!(Path::parse("l[1]").get(&record), None);
        let whole = Value::from(record);
        assert_eq!(Path::parse("").get_in(&whole), Some(&whole));
    }

    #[test]
    fn q19_writes_create_parents() {
        set("a.b.c", "{}", r#"{"a":{"b":{"c":7}}}"#);
        set("a.b", r#"{"a":null,"z":1}"#, r#"{"a":{"b":7},"z":1}"#);
        set("a.b", r#"{"a":{"c":1}}"#, r#"{"a":{"c":1,"b":7}}"#);
        set("l[1]", r#"{"l":[1]}"#, r#"{"l":[1,7]}"#);
        set("l[0].x", r#"{"l":[{"x":1}]}"#, r#"{"l":[{"x":7}]}"#);
        set("l[5]", r#"{"l":[1]}"#, r#"{"l":[1]}"#);
        set("t.x.y", r#"{"t":"text"}"#, r#"{"t":"text"}"#);
        set("a.t.x", r#"{"a":{"t":"text"}}"#, r#"{"a":{"t":"text"}}"#);
    }

    #[test]
    fn r0_11_strict_writes_need_parents() {
        let mut record = Record::from_json(r#"{"a":{"b":1},"n":null}"#).unwrap();
        assert!(Path::parse("a.c").set_strict(&mut record, 2).is_ok());
        for bad in ["x.y", "n.y", "a.b.c", ""] {
            let error = Path::parse(bad).set_strict(&mut record, 2).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{bad}");
        }
        assert_eq!(record.to_json(), r#"{"a":{"b":1,"c":2},"n":null}"#);
    }
}
