//! The judge: whether a trace equals the expected one, and if not, where first.
//!
//! Only the member `steps` is compared. Whole numbers are compared exactly, others to a relative 1e-12. Owns no file.

use landfall_core::{Error, ErrorKind, Number, Record, Result, Value};
use std::fmt;

/// The first place at which two traces differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The JSON path, such as `$.steps[2].state.total`.
    pub path: String,
    /// What was expected; `None` when nothing was.
    pub golden: Option<Value>,
    /// What the trace holds; `None` when it holds nothing.
    pub trace: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: expected {}, found {}", self.path, show(self.golden.as_ref()), show(self.trace.as_ref()))
    }
}

fn show(value: Option<&Value>) -> String {
    let Some(value) = value else { return "(nothing)".to_owned() };
    let text = value.to_json();
    if text.chars().count() <= 300 { text } else { text.chars().take(300).chain("...".chars()).collect() }
}

/// Replaces every `{"$": n}` of a packed trace by entry n of its member `pool`. Other traces come back as they are.
///
/// # Errors
/// [`ErrorKind::Undecodable`] when an entry is missing.
pub fn expand(trace: &Value) -> Result<Value> {
    let Some((record, pool)) = trace.as_object().and_then(|record| Some((record, record.get("pool")?.as_array()?)))
    else {
        return Ok(trace.clone());
    };
    let mut done = Vec::with_capacity(pool.len());
    for entry in pool {
        let entry = unpack(entry, &done)?;
        done.push(entry);
    }
    let mut expanded = Record::new();
    for (name, value) in record.iter().filter(|(name, _)| *name != "pool") {
        expanded.set(name, unpack(value, &done)?);
    }
    Ok(expanded.into())
}

fn unpack(value: &Value, pool: &[Value]) -> Result<Value> {
    match value {
        Value::Array(items) => items.iter().map(|item| unpack(item, pool)).collect::<Result<Vec<_>>>().map(Value::from),
        Value::Object(record) => {
            if let (1, Some(entry)) = (record.len(), record.get("$").and_then(Value::as_i64)) {
                let found = usize::try_from(entry).ok().and_then(|entry| pool.get(entry)).cloned();
                return found.ok_or_else(|| Error::new(ErrorKind::Undecodable, "the trace's pool lacks an entry"));
            }
            let mut unpacked = Record::new();
            for (name, value) in record.iter() {
                unpacked.set(name, unpack(value, pool)?);
            }
            Ok(unpacked.into())
        }
        other => Ok(other.clone()),
    }
}

/// Compares the steps of two traces, packed or not.
///
/// # Errors
/// [`ErrorKind::Undecodable`] when one cannot be unpacked.
pub fn compare(golden: &Value, trace: &Value) -> Result<Option<Difference>> {
    let (golden, trace) = (expand(golden)?, expand(trace)?);
    let steps = |of: &Value| of.as_object().and_then(|record| record.get("steps")).cloned();
    Ok(difference_of(steps(&golden).as_ref(), steps(&trace).as_ref(), "$.steps"))
}

fn difference_of(golden: Option<&Value>, trace: Option<&Value>, path: &str) -> Option<Difference> {
    match (golden, trace) {
        (Some(golden), Some(trace)) => difference(golden, trace, path),
        (None, None) => None,
        _ => Some(Difference { path: path.to_owned(), golden: golden.cloned(), trace: trace.cloned() }),
    }
}

/// The first difference of two values, members in the order of their names.
pub fn difference(golden: &Value, trace: &Value, path: &str) -> Option<Difference> {
    let same = match (golden, trace) {
        (Value::Number(a), Value::Number(b)) => same_number(*a, *b),
        (Value::Array(a), Value::Array(b)) => {
            return (0..a.len().max(b.len()))
                .find_map(|at| difference_of(a.get(at), b.get(at), &format!("{path}[{at}]")));
        }
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&str> = a.iter().chain(b.iter()).map(|(name, _)| name).collect();
            names.sort_unstable();
            names.dedup();
            return names
                .into_iter()
                .find_map(|name| difference_of(a.get(name), b.get(name), &format!("{path}.{name}")));
        }
        (a, b) => a == b,
    };
    if same {
        None
    } else {
        difference_of(Some(golden), None, path).map(|one| Difference { trace: Some(trace.clone()), ..one })
    }
}

fn same_number(a: Number, b: Number) -> bool {
    let whole = |number: Number| number.as_i64().is_some() || number.as_u64().is_some();
    if a == b {
        return true;
    }
    if whole(a) && whole(b) {
        return false;
    }
    let (a, b) = (a.as_f64(), b.as_f64());
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(golden: &str, trace: &str) -> Option<String> {
        let read = |text: &str| Value::from_json(&format!("{{\"steps\":{text}}}")).unwrap();
        compare(&read(golden), &read(trace)).unwrap().map(|one| one.to_string())
    }

    fn differs(golden: &str, trace: &str, expected: &str) {
        assert_eq!(at(golden, trace).as_deref(), Some(expected));
    }

    #[test]
    fn equal_whatever_the_order_of_members() {
        assert_eq!(at(r#"[{"a":1,"b":[2,null]}]"#, r#"[{"b":[2,null],"a":1.0}]"#), None);
    }

    #[test]
    fn the_first_difference_is_named() {
        differs("[1,2]", "[1,3]", "at $.steps[1]: expected 2, found 3");
        differs("[1]", "[1,3]", "at $.steps[1]: expected (nothing), found 3");
        differs(r#"[{"b":1,"a":{"x":1}}]"#, r#"[{"b":2,"a":{}}]"#, "at $.steps[0].a.x: expected 1, found (nothing)");
        differs(r#"["1"]"#, "[1]", "at $.steps[0]: expected \"1\", found 1");
        differs("[true]", "[1]", "at $.steps[0]: expected true, found 1");
        differs("[null]", "[0]", "at $.steps[0]: expected null, found 0");
    }

    #[test]
    fn numbers() {
        assert_eq!(at("[0.30000000000000004]", "[0.3]"), None);
        differs("[0.3]", "[0.3000001]", "at $.steps[0]: expected 0.3, found 0.3000001");
        differs(
            "[9007199254740993]",
            "[9007199254740992]",
            "at $.steps[0]: expected 9007199254740993, found 9007199254740992",
        );
        differs("[0]", "[1e-13]", "at $.steps[0]: expected 0, found 1e-13");
    }

    #[test]
    fn packed_traces() {
        let packed =
            Value::from_json(r#"{"pool":[{"id":1},[{"$":0},2]],"steps":[{"$":1},{"$":"x"}],"name":"n"}"#).unwrap();
        assert_eq!(expand(&packed).unwrap().to_json(), r#"{"steps":[[{"id":1},2],{"$":"x"}],"name":"n"}"#);
        assert!(expand(&Value::from_json(r#"{"pool":[],"steps":[{"$":0}]}"#).unwrap()).is_err());
    }
}
