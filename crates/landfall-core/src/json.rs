//! JSON text to and from values: records that look alike share their member names while a text is read.
//!
//! Owns both directions. Never changes a value: dates stay text until a schema parses them.

use crate::{Error, ErrorKind, Number, Record, Result, Text, Value, number::Exact, record::Shape};
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

struct ValueSeed<'a>(&'a mut Shapes);

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
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = seq.next_element_seed(ValueSeed(self.0))? {
            items.push(item);
        }
        Ok(Value::from(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        visit_record(self.0, map).map(Value::Object)
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

fn visit_record<'de, A: MapAccess<'de>>(shapes: &mut Shapes, mut map: A) -> Result<Record, A::Error> {
    let Some(Name::Other(first)) = map.next_key_seed(NameSeed(None))? else {
        return Ok(Record::from_parts(shapes.keep(Vec::new()), Vec::new()));
    };
    let expected = shapes.0.iter().find(|shape| shape.names().first() == Some(&first)).map(Arc::clone);
    let mut values: Vec<Value> = Vec::with_capacity(expected.as_ref().map_or(0, |shape| shape.names().len()));
    // While the names follow the expected shape nothing is collected; from the first other name on, names are.
    let mut names: Option<Vec<Text>> = expected.is_none().then(|| vec![first]);
    values.push(map.next_value_seed(ValueSeed(shapes))?);
    loop {
        let hint = match (&names, &expected) {
            (None, Some(shape)) => shape.names().get(values.len()),
            _ => None,
        };
        let Some(name) = map.next_key_seed(NameSeed(hint))? else { break };
        let value = map.next_value_seed(ValueSeed(shapes))?;
        match name {
            Name::Expected => values.push(value),
            Name::Other(name) => {
                let list = names.get_or_insert_with(|| {
                    let known = expected.as_ref().map_or(&[][..], |shape| shape.names());
                    known.get(..values.len()).unwrap_or(known).to_vec()
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
    let shape = match (names, expected) {
        (None, Some(shape)) if shape.names().len() == values.len() => shape,
        (None, Some(shape)) => shapes.keep(shape.names().get(..values.len()).unwrap_or_default().to_vec()),
        (names, _) => shapes.keep(names.unwrap_or_default()),
    };
    Ok(Record::from_parts(shape, values))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValueSeed(&mut Shapes::default()).deserialize(deserializer)
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
    let value = ValueSeed(shapes).deserialize(&mut deserializer).map_err(undecodable)?;
    deserializer.end().map_err(undecodable)?;
    Ok(value)
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
