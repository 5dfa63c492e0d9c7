//! Values of records: JSON's, plus instants.
//!
//! Owns conversions and JavaScript-like text. Absence (JavaScript's `undefined`) is `None` of an `Option<&Value>`,
//! never a value.

use crate::{Date, Number, Record, Text};
use std::{fmt, sync::Arc};

/// A value of a record. 24 bytes; cloning is cheap (containers are shared until changed).
#[derive(Clone, Default, PartialEq)]
pub enum Value {
    /// JSON's null.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(Text),
    /// An instant. Written to JSON as ISO 8601 text.
    Date(Date),
    /// A list.
    Array(Arc<Vec<Value>>),
    /// An object with ordered members.
    Object(Record),
}

impl Value {
    /// An empty or given list.
    pub fn array(items: impl IntoIterator<Item = Self>) -> Self {
        Self::Array(Arc::new(items.into_iter().collect()))
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<Number> {
        if let Self::Number(value) = self { Some(*value) } else { None }
    }

    /// The number as a double, if this is a number.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number().map(Number::as_f64)
    }

    /// The number as an integer, if this is a whole number that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(value) = self { Some(value.as_str()) } else { None }
    }

    /// The instant, if this is one.
    pub fn as_date(&self) -> Option<Date> {
        if let Self::Date(value) = self { Some(*value) } else { None }
    }

    /// The items, if this is a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The object, if this is one.
    pub fn as_object(&self) -> Option<&Record> {
        if let Self::Object(record) = self { Some(record) } else { None }
    }

    /// JavaScript's truthiness: not null, false, 0, NaN or the empty text.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => value.as_f64() != 0.0 && !value.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Date(_) | Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// "Empty" in the reference's sense (R0.3): no enumerable member. Numbers, truth values, null, the empty text,
    /// list and object.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::String(text) => text.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Object(record) => record.is_empty(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Date(_) => true,
        }
    }

    /// The text that JavaScript's `String(value)` gives. Dates come as ISO 8601 text instead (Q52).
    pub fn to_text(&self) -> Text {
        match self {
            Self::Null => Text::from("null"),
            Self::Bool(value) => Text::from(if *value { "true" } else { "false" }),
            Self::Number(value) => Text::from(value.to_string()),
            Self::String(text) => text.clone(),
            Self::Date(date) => Text::from(date.to_string()),
            Self::Array(items) => {
                let parts: Vec<String> = items
                    .iter()
                    .map(|item| if item.is_null() { String::new() } else { item.to_text().as_str().to_owned() })
                    .collect();
                Text::from(parts.join(","))
            }
            Self::Object(_) => Text::from("[object Object]"),
        }
    }

    /// JSON text as `JSON.stringify` writes it: no spaces, members in order, dates as ISO text, numbers that are not
    /// finite as null.
    pub fn to_json(&self) -> String {
        crate::json::to_string(self)
    }

    /// Reads JSON text.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) when the text is not JSON or is nested deeper than 128.
    pub fn from_json(text: &str) -> crate::Result<Self> {
        crate::json::from_str(text)
    }

    /// Takes over any serialisable value.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the value does not serialise to JSON.
    pub fn from_serialize<T: serde::Serialize + ?Sized>(value: &T) -> crate::Result<Self> {
        crate::json::from_serialize(value)
    }

    /// Turns into a type of yours.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) when the shape does not fit.
    pub fn to<T: serde::de::DeserializeOwned>(&self) -> crate::Result<T> {
        crate::json::to_type(self)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => fmt::Debug::fmt(value, f),
            Self::Number(value) => fmt::Debug::fmt(value, f),
            Self::String(value) => fmt::Debug::fmt(value, f),
            Self::Date(value) => write!(f, "Date({value})"),
            Self::Array(items) => f.debug_list().entries(items.iter()).finish(),
            Self::Object(record) => fmt::Debug::fmt(record, f),
        }
    }
}

macro_rules! from_int {
    ($($t:ty),*) => {$(
        impl From<$t> for Value {
            fn from(value: $t) -> Self {
                Self::Number(Number::from(i64::from(value)))
            }
        }
    )*};
}
from_int!(i8, i16, i32, i64, u8, u16, u32);

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Number(Number::from(value as u64))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(Text::from(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(Text::from(value))
    }
}

impl From<Text> for Value {
    fn from(value: Text) -> Self {
        Self::String(value)
    }
}

impl From<&Text> for Value {
    fn from(value: &Text) -> Self {
        Self::String(value.clone())
    }
}

impl From<Date> for Value {
    fn from(value: Date) -> Self {
        Self::Date(value)
    }
}

impl From<Record> for Value {
    fn from(value: Record) -> Self {
        Self::Object(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Self::Array(Arc::new(value))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
