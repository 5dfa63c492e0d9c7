//! Cells: a value of a row where it stands, whichever way the row is stored.
//!
//! Owns the borrowed form of a value. Never copies a text.

use crate::{Date, Number, Text, Value};

/// A value that is looked at in its place. What goes over many rows reads cells: nothing is made for them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    /// The member is not there.
    Absent,
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    /// Milliseconds since 1970.
    Date(i64),
    /// A list or an object.
    Other(&'a Value),
}

impl Cell<'_> {
    pub(crate) fn is_missing(self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// The value as one of its own; `None` when absent.
    pub(crate) fn to_value(self) -> Option<Value> {
        Some(match self {
            Self::Absent => return None,
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::String(Text::from(text)),
            Self::Date(millis) => Value::Date(Date::from_millis(millis)),
            Self::Other(value) => value.clone(),
        })
    }

    /// Whether both hold the same, as [`Value`]s are compared.
    pub(crate) fn same(self, other: Cell<'_>) -> bool {
        match (self, other) {
            (Self::Absent, Cell::Absent) | (Self::Null, Cell::Null) => true,
            (Self::Bool(a), Cell::Bool(b)) => a == b,
            (Self::Number(a), Cell::Number(b)) => a == b,
            (Self::Text(a), Cell::Text(b)) => a == b,
            (Self::Date(a), Cell::Date(b)) => a == b,
            (Self::Other(a), Cell::Other(b)) => a == b,
            _ => false,
        }
    }

    /// What a path leads to from here: null stops it and is its value (R0.8).
    pub(crate) fn descend<T: AsRef<str>>(self, parts: &[T]) -> Self {
        let mut at = self;
        for part in parts {
            let part = part.as_ref();
            at = match at {
                Self::Null => return at,
                Self::Other(Value::Object(inner)) => inner.cell(part),
                Self::Other(Value::Array(items)) => {
                    part.parse::<usize>().ok().and_then(|index| items.get(index)).map_or(Self::Absent, Cell::from)
                }
                _ => return Self::Absent,
            };
        }
        at
    }
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Number(*value),
            Value::String(text) => Self::Text(text),
            Value::Date(date) => Self::Date(date.millis()),
            Value::Array(_) | Value::Object(_) => Self::Other(value),
        }
    }
}

impl<'a> From<Option<&'a Value>> for Cell<'a> {
    fn from(value: Option<&'a Value>) -> Self {
        value.map_or(Self::Absent, Cell::from)
    }
}
