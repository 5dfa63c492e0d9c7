//! Fields of a model (R2.2-R2.7).

use super::{parse, validate::Rule, zone::Zone};
use crate::{Date, Error, ErrorKind, Record, Result, Text, Value};
use std::{fmt, sync::Arc};

/// The type of a field: how texts of the server and of edits are parsed (R2.31).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    String,
    /// Number, en-US notation.
    Number,
    /// True or false.
    Boolean,
    /// Instant.
    Date,
    /// Anything, as it is; no default value.
    Object,
    /// Anything, as it is; the default value is the empty text.
    #[default]
    Default,
}

impl FieldType {
    /// The type of this name, in any case. An unknown one is [`Object`](Self::Object), as in Kendo (R2.6).
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "string" => Self::String,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "default" | "" => Self::Default,
            _ => Self::Object,
        }
    }
}

#[derive(Clone)]
enum DefaultValue {
    OfType,
    Value(Value),
    Function(Arc<dyn Fn() -> Value + Send + Sync>),
}

type Parser = Arc<dyn Fn(Option<&Value>) -> Option<Value> + Send + Sync>;

/// One field of a model. Untyped, editable and without rules until told otherwise.
///
/// ```
/// use landfall_core::Field;
/// let price = Field::new("price").number().from("UnitPrice").nullable().min(0.0);
/// ```
#[derive(Clone)]
pub struct Field {
    pub(crate) name: Text,
    pub(crate) kind: FieldType,
    pub(crate) from: Option<Text>,
    default: DefaultValue,
    nullable: bool,
    pub(crate) editable: bool,
    pub(crate) rules: Vec<Rule>,
    parser: Option<Parser>,
    /// Kendo's `field` option: the id is matched against it (R2.9).
    pub(crate) alias: Option<Text>,
}

impl Field {
    /// A field of this name.
    pub fn new(name: impl Into<Text>) -> Self {
        Self {
            name: name.into(),
            kind: FieldType::Default,
            from: None,
            default: DefaultValue::OfType,
            nullable: false,
            editable: true,
            rules: Vec::new(),
            parser: None,
            alias: None,
        }
    }

    /// Sets the type. Default: untyped.
    #[must_use]
    pub fn kind(mut self, kind: FieldType) -> Self {
        self.kind = kind;
        self
    }

    /// A text.
    #[must_use]
    pub fn string(self) -> Self {
        self.kind(FieldType::String)
    }

    /// A number.
    #[must_use]
    pub fn number(self) -> Self {
        self.kind(FieldType::Number)
    }

    /// A truth value.
    #[must_use]
    pub fn boolean(self) -> Self {
        self.kind(FieldType::Boolean)
    }

    /// An instant.
    #[must_use]
    pub fn date(self) -> Self {
        self.kind(FieldType::Date)
    }

    /// An object or list, taken as it is.
    #[must_use]
    pub fn object(self) -> Self {
        self.kind(FieldType::Object)
    }

    /// The server's name of the field; a path may reach into an object. Default: the same name.
    #[must_use]
    pub fn from(mut self, source: impl Into<Text>) -> Self {
        self.from = Some(source.into());
        self
    }

    /// The value of the field in a new, empty record. Default: by type, `""`, 0, false, now (R2.6, Q26).
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = DefaultValue::Value(value.into());
        self
    }

    /// As [`default_value`](Self::default_value), asked for each new record.
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    #[must_use]
    pub fn default_with(mut self, value: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.default = DefaultValue::Function(Arc::new(value));
        self
    }

    /// New records start with null, unless the default value is truthy (R2.5).
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Whether `set` changes the field. Default: yes.
    #[must_use]
    pub fn editable(mut self, editable: bool) -> Self {
        self.editable = editable;
        self
    }

    /// A parser of your own in place of the type's. Gets `None` for an absent member and may leave it absent.
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    #[must_use]
    pub fn parse_with(mut self, parser: impl Fn(Option<&Value>) -> Option<Value> + Send + Sync + 'static) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    /// Adds a validation rule.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The value must be there: not null, not the empty text.
    #[must_use]
    pub fn required(self) -> Self {
        self.rule(Rule::Required)
    }

    /// The number must not be smaller.
    #[must_use]
    pub fn min(self, least: f64) -> Self {
        self.rule(Rule::Min(least))
    }

    /// The number must not be larger.
    #[must_use]
    pub fn max(self, most: f64) -> Self {
        self.rule(Rule::Max(most))
    }

    /// Reads Kendo's description of a field: an object, or a text that is the server's name (R2.3).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else.
    pub fn from_value(name: &str, value: &Value) -> Result<Self> {
        let mut field = Self::new(name);
        let options = match value {
            Value::String(source) => return Ok(field.from(source.clone())),
            Value::Object(options) => options,
            Value::Null => return Ok(field),
            _ => {
                return Err(
                    Error::new(ErrorKind::Invalid, "a field is described by an object or a text").with("field", name)
                );
            }
        };
        let text = |name: &str| options.get(name).and_then(Value::as_str);
        if let Some(kind) = text("type") {
            field.kind = FieldType::from_name(kind);
        }
        field.alias = text("field").map(Text::from);
        field.from =
            text("from").map(Text::from).or_else(|| field.alias.clone().filter(|alias| alias.as_str() != name));
        if let Some(default) = options.get("defaultValue") {
            field.default = DefaultValue::Value(default.clone());
        }
        field.nullable = options.get("nullable").is_some_and(Value::is_truthy);
        field.editable = options.get("editable") != Some(&Value::Bool(false));
        if let Some(rules) = options.get("validation").and_then(Value::as_object) {
            field.rules = Rule::list_from_value(rules).map_err(|error| error.with("field", name))?;
        }
        Ok(field)
    }

    /// The value in a new record; `None` leaves the member out (R2.5-R2.7).
    pub(crate) fn initial(&self, now: Date) -> Option<Value> {
        let given = match &self.default {
            DefaultValue::OfType => None,
            DefaultValue::Value(value) => Some(value.clone()),
            DefaultValue::Function(function) => return Some(function()),
        };
        if self.nullable && !given.as_ref().is_some_and(Value::is_truthy) {
            return Some(Value::Null);
        }
        given.or_else(|| self.initial_of_type(now))
    }

    /// As [`initial`](Self::initial), of an id. It is asked for whenever a record may be new, in the middle of anything: a
    /// function that panics is as if it were not there (I18).
    pub(super) fn initial_id(&self) -> Option<Value> {
        let epoch = Date::from_millis(0);
        match &self.default {
            DefaultValue::Function(function) => {
                super::guarded(|| Ok(function())).map_or_else(|_panic| self.initial_of_type(epoch), Some)
            }
            _ => self.initial(epoch),
        }
    }

    fn initial_of_type(&self, now: Date) -> Option<Value> {
        match self.kind {
            FieldType::String | FieldType::Default => Some(Value::from("")),
            FieldType::Number => Some(Value::from(0)),
            FieldType::Boolean => Some(Value::from(false)),
            FieldType::Date => Some(Value::from(now)),
            FieldType::Object => None,
        }
    }

    /// Parses a value of the server or of an edit. An absent number or date becomes null, others stay absent (R3.10).
    pub(crate) fn parse(&self, value: Option<&Value>, zone: &Zone) -> Option<Value> {
        if let Some(parser) = &self.parser {
            return parser(value);
        }
        parse::convert(self.kind, value, zone)
    }

    /// What an absent value is read as (R3.10): null for numbers and dates, else absent.
    pub(crate) fn absent(&self) -> Option<Value> {
        (self.parser.is_none() && matches!(self.kind, FieldType::Number | FieldType::Date)).then_some(Value::Null)
    }

    /// Whether a value would be parsed into itself.
    pub(crate) fn keeps(&self, value: &Value) -> bool {
        self.parser.is_none()
            && match (self.kind, value) {
                (FieldType::Object | FieldType::Default, _)
                | (_, Value::Null)
                | (FieldType::Boolean, Value::Bool(_))
                | (FieldType::Date, Value::Date(_)) => true,
                (FieldType::Number, Value::Number(number)) => !number.is_nan(),
                (FieldType::String, Value::String(text)) => !text.eq_ignore_ascii_case("null"),
                _ => false,
            }
    }

    /// Whether the program parses it itself.
    pub(crate) fn has_parser(&self) -> bool {
        self.parser.is_some()
    }

    /// Whether the server names it differently.
    pub(crate) fn is_renamed(&self) -> bool {
        *self.source() != self.name
    }

    pub(crate) fn source(&self) -> &Text {
        self.from.as_ref().unwrap_or(&self.name)
    }

    /// Members of records in the order of the fields.
    pub(crate) fn put_initial(&self, record: &mut Record, now: Date) {
        if let Some(value) = self.initial(now) {
            record.set(&self.name, value);
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}
