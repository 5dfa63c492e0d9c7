//! JSON text to and from values: records that look alike share their member names while a text is read.
//!
//! Owns both directions. Never changes a value: dates stay text until a schema parses them.

use crate::{
    Error, ErrorKind, Number, Record, Result, Text, Value,
    number::Exact,
    record::{BLOCK, Shape},
};
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
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
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
}

/// Rows of a list on their way into blocks, and what came before them.
#[derive(Default)]
struct Open {
    items: Vec<Value>,
    shape: Option<Arc<Shape>>,
    values: Vec<Value>,
    rows: u32,
    /// The last element went into the block.
    taken: bool,
}

impl Open {
    /// Closes the block under way.
    fn close(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let mut values = std::mem::take(&mut self.values);
        if let (Some(shape), true) = (&self.shape, rows > 0) {
            if rows == BLOCK {
                // More of the same are to be expected.
                self.values = Vec::with_capacity(values.len());
            } else {
                values.shrink_to_fit();
            }
            self.items.extend(Record::rows(Arc::clone(shape), values, rows).map(Value::Object));
        }
    }

    /// The values from `start` on are a row of this shape.
    fn row(&mut self, start: usize, shape: Arc<Shape>) {
        if !self.shape.as_ref().is_some_and(|known| Arc::ptr_eq(known, &shape)) {
            let row = self.values.split_off(start.min(self.values.len()));
            self.close();
            self.values = row;
            self.shape = Some(shape);
        }
        self.rows += 1;
        self.taken = true;
        if self.rows == BLOCK {
            self.close();
        }
    }
}

struct ValueSeed<'a>(&'a mut Shapes, Option<&'a mut Open>);

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
        let mut open = Open::default();
        while let Some(item) = seq.next_element_seed(ValueSeed(self.0, Some(&mut open)))? {
            if !std::mem::take(&mut open.taken) {
                open.close();
                open.items.push(item);
            }
        }
        open.close();
        Ok(Value::from(open.items))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let Some(open) = self.1 else {
            let mut values = Vec::new();
            let shape = visit_members(self.0, None, &mut values, map)?;
            return Ok(Value::Object(Record::from_parts(shape, values)));
        };
        let start = open.values.len();
        let shape = visit_members(self.0, open.shape.as_ref(), &mut open.values, map)?;
        open.row(start, shape);
        // The row itself is in the block.
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

/// Reads the members of one object to the end of `values`; gives their names. `usual`: the shape of the one before.
fn visit_members<'de, A: MapAccess<'de>>(
    shapes: &mut Shapes,
    usual: Option<&Arc<Shape>>,
    values: &mut Vec<Value>,
    mut map: A,
) -> Result<Arc<Shape>, A::Error> {
    let start = values.len();
    let first = usual.and_then(|shape| shape.names().first());
    let (first, expected) = match map.next_key_seed(NameSeed(first))? {
        None => return Ok(shapes.keep(Vec::new())),
        Some(Name::Expected) => (None, usual.map(Arc::clone)),
        Some(Name::Other(first)) => {
            let known = shapes.0.iter().find(|shape| shape.names().first() == Some(&first)).map(Arc::clone);
            (Some(first), known)
        }
    };
    if start == 0 {
        values.reserve_exact(expected.as_ref().map_or(4, |shape| shape.names().len()));
    }
    // While the names follow the expected shape nothing is collected; from the first other name on, names are.
    let mut names: Option<Vec<Text>> = if expected.is_none() { Some(first.into_iter().collect()) } else { None };
    values.push(map.next_value_seed(ValueSeed(shapes, None))?);
    loop {
        let hint = match (&names, &expected) {
            (None, Some(shape)) => shape.names().get(values.len() - start),
            _ => None,
        };
        let Some(name) = map.next_key_seed(NameSeed(hint))? else { break };
        let value = map.next_value_seed(ValueSeed(shapes, None))?;
        match name {
            Name::Expected => values.push(value),
            Name::Other(name) => {
                let count = values.len() - start;
                let list = names.get_or_insert_with(|| {
                    let known = expected.as_ref().map_or(&[][..], |shape| shape.names());
                    known.get(..count).unwrap_or(known).to_vec()
                });
                // The last of several members of one name wins, in the place of the first.
                if let Some(at) = list.iter().position(|known| *known == name) {
                    if let Some(slot) = values.get_mut(start + at) {
                        *slot = value;
                    }
                } else {
                    list.push(name);
                    values.push(value);
                }
            }
        }
    }
    let count = values.len() - start;
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

/// Reads JSON bytes with a memory of shapes that may outlive the text.
pub(crate) fn from_slice_shared(bytes: &[u8], shapes: &mut Shapes) -> Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = ValueSeed(shapes, None).deserialize(&mut deserializer).map_err(undecodable)?;
    deserializer.end().map_err(undecodable)?;
    Ok(value)
}

/// Many objects, each from a text of its own, put into blocks as those of a list are.
#[derive(Default)]
pub(crate) struct Objects {
    shapes: Shapes,
    open: Open,
}

impl Objects {
    /// Reads one more.
    ///
    /// # Errors
    /// `Undecodable` when the text is not a JSON object; what was read so far stays.
    pub(crate) fn read(&mut self, text: &str) -> Result<()> {
        let mut deserializer = serde_json::Deserializer::from_slice(text.as_bytes());
        ValueSeed(&mut self.shapes, Some(&mut self.open)).deserialize(&mut deserializer).map_err(undecodable)?;
        deserializer.end().map_err(undecodable)?;
        if std::mem::take(&mut self.open.taken) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Undecodable, "expected a JSON object"))
        }
    }

    /// The objects in the order in which they were read.
    pub(crate) fn finish(mut self) -> Vec<Record> {
        self.open.close();
        let objects = self.open.items.into_iter().filter_map(|item| match item {
            Value::Object(record) => Some(record),
            _ => None,
        });
        objects.collect()
    }
}

pub(crate) fn from_slice(bytes: &[u8]) -> Result<Value> {
    from_slice_shared(bytes, &mut Shapes::default())
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

pub(crate) fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Value> {
    let bytes = serde_json::to_vec(value)
        .map_err(|source| Error::new(ErrorKind::Invalid, "the value does not serialise to JSON").caused_by(source))?;
    from_slice(&bytes)
}

pub(crate) fn to_type<T: serde::de::DeserializeOwned, V: Serialize + ?Sized>(value: &V) -> Result<T> {
    serde_json::from_str(&write(value)).map_err(undecodable)
}
