//! Validation rules. Kept with the fields and evaluated when the program asks ([`super::Model::validate`]).

use crate::{Record, Text, Value};
use std::{fmt, sync::Arc};

type Check = Arc<dyn Fn(&Value, &Record) -> bool + Send + Sync>;

/// A rule that a field's value must keep.
#[derive(Clone)]
#[non_exhaustive]
pub enum Rule {
    /// Not null, not absent, not the empty text.
    Required,
    /// A number not smaller than this.
    Min(f64),
    /// A number not larger than this.
    Max(f64),
    /// A text of at least so many characters.
    MinLength(usize),
    /// A text of at most so many characters.
    MaxLength(usize),
    /// A text that matches this regular expression as a whole. Compiled when the rule is made.
    Pattern(Pattern),
    /// Any check: gets the value (null when absent) and the record.
    Custom(Text, Check),
    /// A rule with a message of its own.
    Told(Box<Rule>, Text),
}

/// A regular expression of a rule.
#[derive(Clone, Debug)]
pub struct Pattern(regex_lite::Regex);

impl Rule {
    /// A rule that the text matches this regular expression as a whole.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is no regular expression.
    pub fn pattern(text: &str) -> crate::Result<Self> {
        regex_lite::RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(1 << 20)
            .build()
            .map(|regex| Self::Pattern(Pattern(regex)))
            .map_err(|source| {
                crate::Error::new(crate::ErrorKind::Invalid, "not a regular expression")
                    .with("pattern", text)
                    .caused_by(source)
            })
    }

    /// A check of your own, with the message to show.
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    pub fn custom(message: impl Into<Text>, check: impl Fn(&Value, &Record) -> bool + Send + Sync + 'static) -> Self {
        Self::Custom(message.into(), Arc::new(check))
    }

    /// Gives the rule a message of its own.
    #[must_use]
    pub fn message(self, message: impl Into<Text>) -> Self {
        Self::Told(Box::new(self), message.into())
    }

    /// Reads Kendo's `validation`: each rule by its value, or as `{value, message}`. Members that are no rules are
    /// skipped, and so are rules that are switched off by false.
    pub(crate) fn list_from_value(rules: &Record) -> crate::Result<Vec<Self>> {
        let mut out = Vec::new();
        for (name, value) in rules.iter() {
            let (value, message) = match value {
                Value::Object(options) => {
                    let message = options.get("message").and_then(Value::as_str).map(Text::from);
                    (options.get("value").cloned().unwrap_or(Value::Bool(true)), message)
                }
                value => (value.clone(), None),
            };
            if matches!(value, Value::Null | Value::Bool(false)) {
                continue;
            }
            if let Some(rule) = Self::from_value(name, &value)? {
                out.push(message.map_or(rule.clone(), |message| rule.message(message)));
            }
        }
        Ok(out)
    }

    fn from_value(name: &str, value: &Value) -> crate::Result<Option<Self>> {
        let wrong = |message: &'static str| {
            crate::Error::new(crate::ErrorKind::Invalid, message).with("rule", name).with("value", value.to_json())
        };
        let number = || {
            let number = value.as_str().map_or(value.as_f64(), |text| text.trim().parse().ok());
            number.ok_or_else(|| wrong("the rule needs a number"))
        };
        let count = || {
            let whole = Value::from(number()?).as_i64();
            whole.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| wrong("the rule needs a count"))
        };
        Ok(Some(match name.to_ascii_lowercase().as_str() {
            "required" => Self::Required,
            "min" => Self::Min(number()?),
            "max" => Self::Max(number()?),
            "minlength" => Self::MinLength(count()?),
            "maxlength" => Self::MaxLength(count()?),
            "pattern" => Self::pattern(value.as_str().ok_or_else(|| wrong("the rule needs a text"))?)?,
            _ => return Ok(None),
        }))
    }

    fn name(&self) -> &str {
        match self {
            Self::Required => "required",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::MinLength(_) => "minlength",
            Self::MaxLength(_) => "maxlength",
            Self::Pattern(_) => "pattern",
            Self::Custom(..) => "custom",
            Self::Told(rule, _) => rule.name(),
        }
    }

    /// An empty value breaks `required` only, as in HTML forms.
    fn holds(&self, value: &Value, record: &Record) -> bool {
        let absent = value.is_null() || value.as_str() == Some("");
        let length = || value.as_str().map_or(0, |text| text.chars().count());
        match self {
            Self::Required => !absent,
            Self::Custom(_, check) => check(value, record),
            Self::Told(rule, _) => rule.holds(value, record),
            _ if absent => true,
            Self::Min(least) => value.as_f64().is_some_and(|number| number >= *least),
            Self::Max(most) => value.as_f64().is_some_and(|number| number <= *most),
            Self::MinLength(size) => length() >= *size,
            Self::MaxLength(size) => length() <= *size,
            Self::Pattern(pattern) => pattern.0.is_match(&value.to_text()),
        }
    }

    fn explain(&self, field: &str) -> String {
        match self {
            Self::Required => format!("{field} is required"),
            Self::Min(least) => format!("{field} must be {least} or more"),
            Self::Max(most) => format!("{field} must be {most} or less"),
            Self::MinLength(size) => format!("{field} must have {size} characters or more"),
            Self::MaxLength(size) => format!("{field} must have {size} characters or less"),
            Self::Pattern(_) => format!("{field} does not have the expected form"),
            Self::Custom(message, _) | Self::Told(_, message) => message.as_str().to_owned(),
        }
    }

    pub(crate) fn check(&self, field: &Text, record: &Record) -> Option<Violation> {
        let value = crate::Path::parse(field).get(record).unwrap_or(&Value::Null);
        (!self.holds(value, record)).then(|| Violation {
            field: field.clone(),
            rule: self.name().to_owned(),
            message: self.explain(field),
        })
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that a record breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The field.
    pub field: Text,
    /// The rule: `required`, `min`, `max`, `minlength`, `maxlength`, `pattern` or `custom`.
    pub rule: String,
    /// A message to show.
    pub message: String,
}
