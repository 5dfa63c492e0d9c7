//! JSON text to and from values: records that look alike share their member names while a text is read.
//!
//! Owns both directions. Never changes a value: dates stay text until a schema parses them, or says where they are.

mod number;
mod parse;
#[cfg(test)]
mod tests;

pub(crate) use parse::{Hint, Progress};

use crate::{
    Error, ErrorKind, Number, Record, Result, Text, Value,
    number::Exact,
    record::{Cell, Rows, Shape},
};
use parse::Parser;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};
use std::{fmt, io, sync::Arc};

// ---- writing

/// Writes doubles as JavaScript does.
struct JavaScript;

impl serde_json::ser::Formatter for JavaScript {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format(value).as_bytes())
    }
}

fn write<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, JavaScript);
    // Writing to memory cannot fail, and every key of ours is text.
    if value.serialize(&mut serializer).is_err() {
        out.clear();
        out.extend_from_slice(b"null");
    }
    String::from_utf8(out).unwrap_or_default()
}

pub(crate) fn to_string(value: &Value) -> String {
    write(value)
}

/// A text as it stands in JSON, between quotes.
pub(crate) fn quoted(text: &str) -> String {
    write(text)
}

pub(crate) fn record_to_string(record: &Record) -> String {
    write(record)
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.exact() {
            Exact::Int(value) => serializer.serialize_i64(value),
            Exact::Uint(value) => serializer.serialize_u64(value),
            Exact::Float(value) if value.is_finite() => serializer.serialize_f64(value),
            Exact::Float(_) => serializer.serialize_unit(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Date(value) => serializer.collect_str(value),
            Self::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Object(record) => record.serialize(serializer),
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, cell) in self.cells() {
            map.serialize_entry(name, &cell)?;
        }
        map.end()
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Date(millis) => serializer.collect_str(&crate::Date::from_millis(*millis)),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

// ---- reading

/// The shapes met so far, most recent first, so that a record finds its own by its first member's name.
#[derive(Default)]
pub(crate) struct Shapes(Vec<Arc<Shape>>);

/// How many shapes a reader remembers; more kinds of records than this in one text are rare.
const REMEMBERED: usize = 8;

impl Shapes {
    fn keep(&mut self, names: Vec<Text>) -> Arc<Shape> {
        if let Some(shape) = self.0.iter().find(|shape| shape.names() == names.as_slice()) {
            return Arc::clone(shape);
        }
        let shape = Arc::new(Shape::new(names));
        self.0.insert(0, Arc::clone(&shape));
        self.0.truncate(REMEMBERED);
        shape
    }

    fn starting_with(&self, name: &Text) -> Option<Arc<Shape>> {
        self.0.iter().find(|shape| shape.names().first() == Some(name)).map(Arc::clone)
    }
}

struct ValueSeed<'a>(&'a mut Shapes, Option<&'a mut Taken>);

/// The rows of a list, and whether the last element was one of them.
#[derive(Default)]
struct Taken {
    rows: Rows,
    taken: bool,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut open = Taken::default();
        while let Some(item) = seq.next_element_seed(ValueSeed(self.0, Some(&mut open)))? {
            if !std::mem::take(&mut open.taken) {
                open.rows.push_other(item);
            }
        }
        Ok(Value::from(open.rows.finish()))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        let usual = self.1.as_ref().and_then(|open| open.rows.shape());
        let shape = visit_members(self.0, usual, &mut values, map)?;
        let Some(open) = self.1 else { return Ok(Value::Object(Record::from_parts(shape, values))) };
        // The row itself is on its way into a block.
        open.rows.push(shape, values);
        open.taken = true;
        Ok(Value::Null)
    }
}

/// Reads one member name and compares it with the expected one, so that the usual case copies nothing.
struct NameSeed<'a>(Option<&'a Text>);

enum Name {
    Expected,
    Other(Text),
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Name;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Name;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }
    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match self.0 {
            Some(expected) if expected.as_str() == name => Name::Expected,
            _ => Name::Other(Text::from(name)),
        })
    }
}

/// Reads the members of one object into `values`; gives their names. `usual`: the shape of the one before.
fn visit_members<'de, A: MapAccess<'de>>(
    shapes: &mut Shapes,
    usual: Option<&Arc<Shape>>,
    values: &mut Vec<Value>,
    mut map: A,
) -> Result<Arc<Shape>, A::Error> {
    let first = usual.and_then(|shape| shape.names().first());
    let (first, expected) = match map.next_key_seed(NameSeed(first))? {
        None => return Ok(shapes.keep(Vec::new())),
        Some(Name::Expected) => (None, usual.map(Arc::clone)),
        Some(Name::Other(first)) => {
            let known = shapes.starting_with(&first);
            (Some(first), known)
        }
    };
    values.reserve_exact(expected.as_ref().map_or(4, |shape| shape.names().len()));
    // While the names follow the expected shape nothing is collected; from the first other name on, names are.
    let mut names: Option<Vec<Text>> = if expected.is_none() { Some(first.into_iter().collect()) } else { None };
    values.push(map.next_value_seed(ValueSeed(shapes, None))?);
    loop {
        let hint = match (&names, &expected) {
            (None, Some(shape)) => shape.names().get(values.len()),
            _ => None,
        };
        let Some(name) = map.next_key_seed(NameSeed(hint))? else { break };
        let value = map.next_value_seed(ValueSeed(shapes, None))?;
        match name {
            Name::Expected => values.push(value),
            Name::Other(name) => {
                let count = values.len();
                let list = names.get_or_insert_with(|| {
                    let known = expected.as_ref().map_or(&[][..], |shape| shape.names());
                    known.get(..count).unwrap_or(known).to_vec()
                });
                // The last of several members of one name wins, in the place of the first.
                if let Some(at) = list.iter().position(|known| *known == name) {
                    if let Some(slot) = values.get_mut(at) {
                        *slot = value;
                    }
                } else {
                    list.push(name);
                    values.push(value);
                }
            }
        }
    }
    let count = values.len();
    Ok(match (names, expected) {
        (None, Some(shape)) if shape.names().len() == count => shape,
        (None, Some(shape)) => shapes.keep(shape.names().get(..count).unwrap_or_default().to_vec()),
        (names, _) => shapes.keep(names.unwrap_or_default()),
    })
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValueSeed(&mut Shapes::default(), None).deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(record) => Ok(record),
            _ => Err(D::Error::custom("expected a JSON object")),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(number),
            _ => Err(D::Error::custom("expected a number")),
        }
    }
}

fn undecodable(source: serde_json::Error) -> Error {
    Error::new(ErrorKind::Undecodable, "not the JSON that was expected")
        .with("at", format!("line {} column {}", source.line(), source.column()))
        .caused_by(source)
}

/// Reads JSON bytes; with a hint, some texts become instants at once. `progress` is told of rows, and may stop it.
pub(crate) fn from_slice_hinted(bytes: &[u8], hint: Option<&Hint>, progress: Option<&Progress>) -> Result<Value> {
    let mut shapes = Shapes::default();
    match Parser::new(bytes, &mut shapes, hint).told(progress).whole() {
        Ok(value) => Ok(value),
        Err(_stop) if progress.is_some_and(Progress::is_stopped) => {
            Err(Error::new(ErrorKind::Cancelled, "the read was cancelled"))
        }
        Err(_stop) => from_slice_usual(bytes),
    }
}

/// As [`from_slice`], by the usual reader.
fn from_slice_usual(bytes: &[u8]) -> Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = ValueSeed(&mut Shapes::default(), None).deserialize(&mut deserializer).map_err(undecodable)?;
    deserializer.end().map_err(undecodable)?;
    Ok(value)
}

/// Many objects, each from a text of its own, put into blocks as those of a list are.
#[derive(Default)]
pub(crate) struct Objects {
    shapes: Shapes,
    rows: Rows,
}

impl Objects {
    /// With members whose texts are to become instants.
    pub(crate) fn with_dates(dates: &[Text]) -> Self {
        Self { rows: Rows::with_dates(dates), ..Self::default() }
    }

    /// Reads one more.
    ///
    /// # Errors
    /// `Undecodable` when the text is not a JSON object; no more can be read then.
    pub(crate) fn read(&mut self, text: &str) -> Result<()> {
        if Parser::new(text.as_bytes(), &mut self.shapes, None).whole_row(&mut self.rows).is_err() {
            let Value::Object(record) = from_slice_usual(text.as_bytes())? else {
                return Err(Error::new(ErrorKind::Undecodable, "expected a JSON object"));
            };
            self.rows.push(Arc::clone(record.shape()), record.values().to_vec());
        }
        Ok(())
    }

    /// The objects in the order in which they were read.
    pub(crate) fn finish(self) -> Vec<Record> {
        self.rows.finish_records()
    }
}

pub(crate) fn from_slice(bytes: &[u8]) -> Result<Value> {
    from_slice_hinted(bytes, None, None)
}

pub(crate) fn from_str(text: &str) -> Result<Value> {
    from_slice(text.as_bytes())
}

pub(crate) fn record_from_str(text: &str) -> Result<Record> {
    match from_str(text)? {
        Value::Object(record) => Ok(record),
        _ => Err(Error::new(ErrorKind::Undecodable, "expected a JSON object")),
    }
}

/// As [`record_from_str`] for one of many: what was learned from those before serves it.
pub(crate) fn record_alike(text: &str, shapes: &mut Shapes) -> Result<Record> {
    match Parser::new(text.as_bytes(), shapes, None).whole().or_else(|_stop| from_slice_usual(text.as_bytes()))? {
        Value::Object(record) => Ok(record),
        _ => Err(Error::new(ErrorKind::Undecodable, "expected a JSON object")),
    }
}

pub(crate) fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Value> {
    let bytes = serde_json::to_vec(value)
        .map_err(|source| Error::new(ErrorKind::Invalid, "the value does not serialise to JSON").caused_by(source))?;
    from_slice(&bytes)
}

pub(crate) fn to_type<T: serde::de::DeserializeOwned, V: Serialize + ?Sized>(value: &V) -> Result<T> {
    serde_json::from_str(&write(value)).map_err(undecodable)
}
