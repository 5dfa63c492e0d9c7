//! The model: which fields records have, which of them is the id (reference 2).

use super::{FieldType, field::Field, mapping::Mapper, validate::Violation, zone::Zone};
use crate::{Date, Error, ErrorKind, Path, Record, Result, Text, Value};

/// What records look like.
///
/// ```
/// use landfall_core::{Field, Model};
/// let product = Model::new()
///     .id("ProductID")
///     .field(Field::new("ProductID").number().editable(false))
///     .field(Field::new("ProductName").string().required())
///     .field(Field::new("UnitPrice").number().nullable().min(0.0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Model {
    id: Option<Text>,
    fields: Vec<Field>,
}

impl Model {
    /// A model without id and fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the id field. Needed for edits, and for an offline storage to be more than a read cache.
    #[must_use]
    pub fn id(mut self, field: impl Into<Text>) -> Self {
        self.id = Some(field.into());
        self
    }

    /// Declares a field; one of the same name is replaced.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        match self.fields.iter_mut().find(|known| known.name == field.name) {
            Some(known) => *known = field,
            None => self.fields.push(field),
        }
        self
    }

    /// Reads Kendo's `{id, fields}`; fields as an object or a list (R2.1-R2.3).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no object or a field is described by something else.
    pub fn from_value(value: &Value) -> Result<Self> {
        let options =
            value.as_object().ok_or_else(|| Error::new(ErrorKind::Invalid, "a model is described by an object"))?;
        let mut model = Self::new();
        model.id = options.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(Text::from);
        match options.get("fields") {
            Some(Value::Object(fields)) => {
                for (name, field) in fields.iter() {
                    model = model.field(Field::from_value(name, field)?);
                }
            }
            Some(Value::Array(fields)) => {
                for field in fields.iter() {
                    let name = match field {
                        Value::String(name) => name.clone(),
                        Value::Object(options) => {
                            options.get("field").and_then(Value::as_str).map(Text::from).unwrap_or_default()
                        }
                        _ => Text::default(),
                    };
                    if name.is_empty() {
                        return Err(Error::new(ErrorKind::Invalid, "a listed field needs a name"));
                    }
                    let described = if field.as_str().is_some() { &Value::Null } else { field };
                    model = model.field(Field::from_value(&name, described)?);
                }
            }
            _ => {}
        }
        Ok(model)
    }

    /// The id field, if there is one.
    pub fn id_field(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The declared fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(super) fn fields_mut(&mut self) -> &mut [Field] {
        &mut self.fields
    }

    pub(super) fn knows_field(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name.as_str() == name)
    }

    fn find(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.name.as_str() == name)
            .or_else(|| self.fields.iter().find(|field| field.alias.as_deref() == Some(name)))
    }

    /// The id of a record that the server does not know: `""` when the id field is not declared, else its default value
    /// (R2.8).
    pub fn default_id(&self) -> Option<Value> {
        let id = self.id.as_ref()?;
        let declared = self.fields.iter().find(|field| field.alias.as_ref().unwrap_or(&field.name) == id);
        match declared {
            Some(field) => field.initial_id(),
            None => Some(Value::from("")),
        }
    }

    /// Whether an id is the default id: the record is new (R2.17). Without an id field every record is (C37). An absent
    /// id counts as the default (R2.14).
    pub fn is_default_id(&self, id: Option<&Value>) -> bool {
        if self.id.is_none() {
            return true;
        }
        match id {
            None => true,
            Some(id) => self.default_id().as_ref() == Some(id),
        }
    }

    /// A new, empty record: the id first, then the fields with their defaults (R2.11).
    pub fn defaults(&self, now: Date) -> Record {
        let mut record = Record::new();
        if let Some(id) = &self.id {
            match self.fields.iter().find(|field| field.name == *id) {
                Some(field) => field.put_initial(&mut record, now),
                None => {
                    record.set(id, self.default_id());
                }
            }
        }
        for field in self.fields.iter().filter(|field| Some(&field.name) != self.id.as_ref()) {
            field.put_initial(&mut record, now);
        }
        record
    }

    /// Whether `set` changes the field (R2.46).
    pub fn editable(&self, name: &str) -> bool {
        self.fields.iter().find(|field| field.name.as_str() == name).is_none_or(|field| field.editable)
    }

    /// Whether the field is declared; without declared fields, every field is. A path is known when its root is.
    pub fn knows(&self, name: &str) -> bool {
        let root = name.split(['.', '[']).next().unwrap_or(name);
        self.fields.is_empty()
            || self.id.as_deref() == Some(root)
            || self.find(name).or_else(|| self.find(root)).is_some()
    }

    /// Parses the value of an edit as the field's type says (R2.29, R2.31).
    pub fn parse_field(&self, name: &str, value: Value, zone: &Zone) -> Value {
        match self.find(name) {
            Some(field) => field.parse(Some(&value), zone).unwrap_or(Value::Null),
            None => value,
        }
    }

    /// Takes a record of the server over: fields renamed and parsed, every declared field assigned (R3.9-R3.12).
    pub fn read(&self, record: Record, zone: &Zone) -> Record {
        self.mapper(zone).read(record)
    }

    /// As [`read`](Self::read) for an answer to a write: members that are absent stay absent (Q6, C06).
    pub fn read_sparse(&self, record: Record, zone: &Zone) -> Record {
        self.mapper(zone).read_sparse(record)
    }

    /// As [`read`](Self::read) for a stored record. A created record that lacks its id gets the default id back (Q3).
    pub fn read_stored(&self, record: Record, created: bool, zone: &Zone) -> Record {
        let mut record = self.read(record, zone);
        if created {
            self.restore_id(&mut record);
        }
        record
    }

    /// Gives a created record that lacks its id the default id back (Q3).
    pub(crate) fn restore_id(&self, record: &mut Record) {
        if let Some(id) = &self.id {
            let lost = record.get(id).is_none_or(Value::is_null);
            let default = self.default_id();
            let declared = self.fields.iter().any(|field| field.name == *id);
            if lost && default.as_ref().is_some_and(|default| !default.is_null()) && (declared || record.contains(id)) {
                record.set(id, default);
            }
        }
    }

    /// The server's names of members that are read as instants and as nothing else.
    pub(crate) fn dates(&self) -> Vec<Text> {
        let is_date = |field: &&Field| field.kind == FieldType::Date && !field.has_parser();
        let read = |field: &Field, name: &Text| field.source() == name || field.name == *name;
        let names = self.fields.iter().filter(is_date).map(Field::source);
        names
            .filter(|name| self.fields.iter().filter(|field| read(field, name)).all(|field| is_date(&field)))
            .cloned()
            .collect()
    }

    /// The record with null for every declared number and date that it lacks, as one that is read has them (R3.10); `None`
    /// when it lacks none.
    pub(crate) fn filled(&self, record: &Record) -> Option<Record> {
        let id = self.id.as_ref();
        let lacking = self.fields.iter().filter(|field| Some(&field.name) != id && !record.contains(&field.name));
        let mut lacking = lacking.filter_map(|field| field.absent().map(|value| (&field.name, value))).peekable();
        lacking.peek()?;
        let mut record = record.clone();
        for (name, value) in lacking {
            record.set(name, value);
        }
        Some(record)
    }

    /// A mapper for many records: what it learns about one record serves those that look alike.
    pub(crate) fn mapper<'a>(&'a self, zone: &'a Zone) -> Mapper<'a> {
        Mapper::new(self, zone)
    }

    /// Gives a record back in the server's names: renamed fields are appended in the order of the fields (R3.18-R3.20).
    pub fn write(&self, mut record: Record) -> Record {
        // All are taken out before the first is put in, so that fields may swap names with the server's.
        let mut moved = Vec::new();
        for field in self.fields.iter().filter(|field| field.is_renamed()) {
            if let Some(value) = record.remove(&field.name) {
                moved.push((field, value));
            }
        }
        for (field, value) in moved {
            if !Path::parse(field.source()).set(&mut record, value.clone()) {
                // A text or number of the server's stands in the way: rather an extra member than a lost value.
                record.set(&field.name, value);
            }
        }
        record
    }

    /// The server's name of a field (R7.68).
    pub fn source_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.fields.iter().find(|field| field.name.as_str() == name).map_or(name, |field| field.source().as_str())
    }

    /// The field of a server's name.
    pub(crate) fn field_of_source(&self, source: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.source().as_str() == source)
    }

    /// The rules that a record breaks; empty when it is fine.
    pub fn validate(&self, record: &Record) -> Vec<Violation> {
        self.fields
            .iter()
            .flat_map(|field| field.rules.iter().filter_map(|rule| rule.check(&field.name, record)))
            .collect()
    }
}
