//! The schema: how answers are read and what records look like (reference 2 and 3).
//!
//! Owns names, types and places. Never does I/O and never keeps a record.

mod columns;
mod dates;
mod field;
mod kind;
mod mapping;
mod model;
mod parse;
mod reader;
#[cfg(test)]
mod tests;
mod validate;
mod xml;
mod zone;

pub use field::{Field, FieldType};
pub(crate) use mapping::Mapper;
pub use model::Model;
pub(crate) use reader::guarded;
pub use reader::{ReadAnswer, ServerGroup, ServerItems, WriteAnswer};
pub use validate::{Pattern, Rule, Violation};
pub use zone::Zone;

use crate::{Error, ErrorKind, Path, Record, Result, Value, json::Hint};
use std::{fmt, sync::Arc};

/// A place in an answer: a path, or a function of the answer.
#[derive(Clone)]
pub struct Accessor(Place);

type Get = Arc<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

#[derive(Clone)]
enum Place {
    Path(Path),
    Function(Get),
}

impl Accessor {
    /// A member or dotted path, such as `Data` or `d.results`.
    pub fn path(path: &str) -> Self {
        Self(Place::Path(Path::parse(path)))
    }

    /// A function of the whole answer.
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    pub fn function(get: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        Self(Place::Function(Arc::new(get)))
    }

    fn get(&self, value: &Value) -> Option<Value> {
        match &self.0 {
            Place::Path(path) => path.get_in(value).cloned(),
            Place::Function(get) => get(value),
        }
    }

    /// As `get`, but moves the value out instead of sharing it.
    fn take(&self, value: Value) -> Option<Value> {
        let found = self.get(&value);
        drop(value);
        found
    }
}

impl From<&str> for Accessor {
    fn from(path: &str) -> Self {
        Self::path(path)
    }
}

impl fmt::Debug for Accessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Path(path) => fmt::Debug::fmt(path, f),
            Place::Function(_) => f.write_str("function"),
        }
    }
}

type Parse = Arc<dyn Fn(Value) -> Value + Send + Sync>;
type Serialize = Arc<dyn Fn(Vec<Record>) -> Value + Send + Sync>;

/// How answers are read and what records look like. The default: an answer is a bare list, errors are in a member
/// `errors`, there is no model.
#[derive(Clone, Default)]
pub struct Schema {
    data: Option<Accessor>,
    total: Option<Accessor>,
    errors: Option<Accessor>,
    groups: Option<Accessor>,
    aggregates: Option<Accessor>,
    parse: Option<Parse>,
    serialize: Option<Serialize>,
    model: Option<Model>,
    zone: Zone,
}

impl Schema {
    /// The default schema.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the records are. Default: the answer itself.
    #[must_use]
    pub fn data(mut self, place: impl Into<Accessor>) -> Self {
        self.data = Some(place.into());
        self
    }

    /// Where the total is. Default: the number of records (Q30).
    #[must_use]
    pub fn total(mut self, place: impl Into<Accessor>) -> Self {
        self.total = Some(place.into());
        self
    }

    /// Where errors are. Default: the member `errors`. Null, empty text, list or object are no errors (Q29).
    #[must_use]
    pub fn errors(mut self, place: impl Into<Accessor>) -> Self {
        self.errors = Some(place.into());
        self
    }

    /// Where groups are, when the server groups. Default: the answer itself.
    #[must_use]
    pub fn groups(mut self, place: impl Into<Accessor>) -> Self {
        self.groups = Some(place.into());
        self
    }

    /// Where aggregates are, when the server aggregates. Default: none.
    #[must_use]
    pub fn aggregates(mut self, place: impl Into<Accessor>) -> Self {
        self.aggregates = Some(place.into());
        self
    }

    /// A function that turns every answer into another before anything else reads it.
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    #[must_use]
    pub fn parse(mut self, parse: impl Fn(Value) -> Value + Send + Sync + 'static) -> Self {
        self.parse = Some(Arc::new(parse));
        self
    }

    /// A function that turns the records of a batch into what is sent as `models` (R3.21).
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    #[must_use]
    pub fn serialize_with(mut self, serialize: impl Fn(Vec<Record>) -> Value + Send + Sync + 'static) -> Self {
        self.serialize = Some(Arc::new(serialize));
        self
    }

    /// What records look like. Default: no model; the data source is read-only then, as in Kendo.
    #[must_use]
    pub fn with_model(mut self, model: Model) -> Self {
        self.model = Some(model);
        self
    }

    /// The zone of dates without one. Default: UTC.
    #[must_use]
    pub fn with_zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Reads Kendo's schema object: `data`, `total`, `errors`, `groups`, `aggregates` as paths, and `model`. With `type: "xml"` the
    /// paths are like `XPath`, over the object form of a document (R3.23 to R3.25).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no object, or the model cannot be understood.
    pub fn from_value(value: &Value) -> Result<Self> {
        let options =
            value.as_object().ok_or_else(|| Error::new(ErrorKind::Invalid, "a schema is described by an object"))?;
        let place = |name: &str| options.get(name).and_then(Value::as_str).map(Accessor::path);
        let schema = Self {
            data: place("data"),
            total: place("total"),
            errors: place("errors"),
            groups: place("groups"),
            aggregates: place("aggregates"),
            model: options.get("model").filter(|model| !model.is_null()).map(Model::from_value).transpose()?,
            ..Self::default()
        };
        Ok(match options.get("type").and_then(Value::as_str) {
            Some("xml") => schema.of_xml(options),
            _ => schema,
        })
    }

    /// The model, if there is one.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// The zone of dates without one.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Where the rows of an answer are and which of their texts are instants; none where a function of the program's looks
    /// at the answer, or may.
    pub(crate) fn hint(&self) -> Option<Hint> {
        let named = |place: Option<&Accessor>| place.is_none_or(|place| matches!(place.0, Place::Path(_)));
        let functions = [&self.total, &self.errors, &self.aggregates].into_iter().any(|place| !named(place.as_ref()));
        if functions || self.parse.is_some() {
            return None;
        }
        let path = match &self.data {
            None => Vec::new(),
            Some(Accessor(Place::Path(path))) => path.parts().to_vec(),
            Some(Accessor(Place::Function(_))) => return None,
        };
        Some(Hint { path, dates: self.model.as_ref().map(Model::dates).unwrap_or_default() })
    }

    /// Tells what the clock says, for dates that leave out the day.
    pub(crate) fn tick(&mut self, now: crate::Date) {
        self.zone.tick(now);
    }

    /// What a custom serialize function makes of the records of a batch.
    ///
    /// # Errors
    /// `Callback` when it panics.
    pub(crate) fn serialize(&self, records: Vec<Record>) -> Result<Option<Value>> {
        guarded(|| Ok(self.serialize.as_ref().map(|serialize| serialize(records))))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("data", &self.data)
            .field("total", &self.total)
            .field("errors", &self.errors)
            .field("groups", &self.groups)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
