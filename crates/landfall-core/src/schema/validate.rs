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
    pub fn custom(message: impl Into<Text>, check: impl Fn(&Value, &Record) -> bool + Send + Sync + 'static) -> Self {
        Self::Custom(message.into(), Arc::new(check))
    }

    pub(crate) fn list_from_value(rules: &Record) -> Vec<Self> {
        let mut out = Vec::new();
        for (name, value) in rules.iter() {
            let number = value.as_f64();
            let size = value.as_i64().and_then(|n| usize::try_from(n).ok());
            match (name.to_ascii_lowercase().as_str(), number, size) {
                ("required", ..) if value.is_truthy() => out.push(Self::Required),
                ("min", Some(least), _) => out.push(Self::Min(least)),
                ("max", Some(most), _) => out.push(Self::Max(most)),
                ("minlength", _, Some(size)) => out.push(Self::MinLength(size)),
                ("maxlength", _, Some(size)) => out.push(Self::MaxLength(size)),
                ("pattern", ..) => out.extend(value.as_str().and_then(|text| Self::pattern(text).ok())),
                _ => {}
            }
        }
        out
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
        }
    }

    /// An empty value breaks `required` only, as in HTML forms.
    fn holds(&self, value: &Value, record: &Record) -> bool {
        let absent = value.is_null() || value.as_str() == Some("");
        let length = || value.as_str().map_or(0, |text| text.chars().count());
        match self {
            Self::Required => !absent,
            Self::Custom(_, check) => check(value, record),
            _ if absent => true,
            Self::Min(least) => value.as_f64().is_some_and(|number| number >= *least),
            Self::Max(most) => value.as_f64().is_some_and(|number| number <= *most),
            Self::MinLength(size) => length() >= *size,
            Self::MaxLength(size) => length() <= *size,
            Self::Pattern(pattern) => pattern.0.is_match(&value.to_text()),
        }
    }

    fn message(&self, field: &str) -> String {
        match self {
            Self::Required => format!("{field} is required"),
            Self::Min(least) => format!("{field} must be {least} or more"),
            Self::Max(most) => format!("{field} must be {most} or less"),
            Self::MinLength(size) => format!("{field} must have {size} characters or more"),
            Self::MaxLength(size) => format!("{field} must have {size} characters or less"),
            Self::Pattern(_) => format!("{field} does not have the expected form"),
            Self::Custom(message, _) => message.as_str().to_owned(),
        }
    }

    pub(crate) fn check(&self, field: &Text, record: &Record) -> Option<Violation> {
        let value = crate::Path::parse(field).get(record).unwrap_or(&Value::Null);
        (!self.holds(value, record)).then(|| Violation {
            field: field.clone(),
            rule: self.name().to_owned(),
            message: self.message(field),
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
