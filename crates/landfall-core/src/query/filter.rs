//! Filters as they are written: conditions, groups of them, closures.
//!
//! Owns their normal form (R7.8-R7.16). Never tests a record: see `matching`.

use super::operator::Operator;
use crate::{Error, ErrorKind, Record, Result, Text, Value, late::Late};
use std::{fmt, sync::Arc};

/// Filters may be nested this deep.
const MAX_DEPTH: usize = 100;

pub(crate) type Predicate = dyn Fn(&Record) -> bool + Send + Sync;

/// Which records to show: a condition on a field, a group of filters, or a closure.
///
/// ```
/// use landfall_core::Filter;
/// let filter = Filter::gte("price", 10).and(Filter::contains("name", "cha"));
/// assert_eq!(
///     filter.to_value(&str::to_owned).to_json(),
///     r#"{"logic":"and","filters":[{"field":"price","operator":"gte","value":10},{"field":"name","operator":"contains","value":"cha"}]}"#
/// );
/// ```
#[derive(Clone)]
pub struct Filter(pub(crate) Node);

#[derive(Clone)]
pub(crate) enum Node {
    Condition(Condition),
    Group {
        logic: Logic,
        filters: Vec<Filter>,
        given: Option<Record>,
    },
    Custom(Arc<Predicate>),
    /// A condition whose operator only the server knows, as given.
    Foreign(Record),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
}

impl Logic {
    fn name(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
        }
    }
}

#[derive(Clone)]
pub(crate) struct Condition {
    /// Empty for the item itself.
    pub(crate) field: Text,
    pub(crate) operator: Operator,
    /// `None` is JavaScript's undefined.
    pub(crate) value: Option<Value>,
    pub(crate) ignore_case: bool,
    /// The descriptor as given, to be sent as it was.
    given: Option<Record>,
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $operator:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(field: impl Into<Text>, value: impl Into<Value>) -> Self {
            Self::condition(field, Operator::$operator, Some(value.into()))
        }
    )*};
}

macro_rules! tests {
    ($($(#[$doc:meta])* $name:ident = $operator:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(field: impl Into<Text>) -> Self {
            Self::condition(field, Operator::$operator, None)
        }
    )*};
}

impl Filter {
    /// A condition on a field. Texts are compared without regard to case, until [`Filter::case_sensitive`].
    ///
    /// `value` is `None` for operators that need none.
    pub fn condition(field: impl Into<Text>, operator: Operator, value: Option<Value>) -> Self {
        Self(Node::Condition(Condition { field: field.into(), operator, value, ignore_case: true, given: None }))
    }

    conditions! {
        /// Equal and of the same type; a text also equals the number it spells (R7.21, R7.25).
        eq = Eq;
        /// Not equal in JavaScript's loose sense: not the complement of [`Filter::eq`] (R7.26, Q46).
        neq = Neq;
        /// Greater. Rows without a value never pass (unlike Kendo).
        gt = Gt;
        /// Greater or equal. Rows without a value never pass (unlike Kendo).
        gte = Gte;
        /// Less. Rows without a value never pass (unlike Kendo).
        lt = Lt;
        /// Less or equal. Rows without a value never pass (unlike Kendo).
        lte = Lte;
        /// The text begins with the value. Rows without a value never pass (Q45).
        starts_with = StartsWith;
        /// The text does not begin with the value. Rows without a value pass.
        does_not_start_with = DoesNotStartWith;
        /// The text ends with the value. Rows without a value never pass (Q45).
        ends_with = EndsWith;
        /// The text does not end with the value. Rows without a value pass.
        does_not_end_with = DoesNotEndWith;
        /// The text contains the value. Rows without a value never pass (Q45).
        contains = Contains;
        /// The text does not contain the value. Rows without a value pass.
        does_not_contain = DoesNotContain;
    }

    tests! {
        /// The empty text.
        is_empty = IsEmpty;
        /// Anything but the empty text.
        is_not_empty = IsNotEmpty;
        /// Null or absent.
        is_null = IsNull;
        /// Neither null nor absent.
        is_not_null = IsNotNull;
        /// Null, absent or the empty text.
        is_null_or_empty = IsNullOrEmpty;
        /// Neither null nor absent nor the empty text.
        is_not_null_or_empty = IsNotNullOrEmpty;
    }

    /// Records for which the closure says yes. A server is never told: see [`Filter::to_value`].
    ///
    /// It runs while the data source is locked. Calls of it from here fail with
    /// [`ErrorKind::Callback`](crate::ErrorKind::Callback), or panic where they give no error.
    pub fn custom(passes: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        let passes = Late::new(passes);
        Self(Node::Custom(Arc::new(move |record| passes(record))))
    }

    /// Records that pass every one of these. None at all: every record.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::group(Logic::And, filters.into_iter().collect())
    }

    /// Records that pass at least one of these. None at all: no record, but every record when this is the whole filter
    /// (R7.15).
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::group(Logic::Or, filters.into_iter().collect())
    }

    fn group(logic: Logic, filters: Vec<Self>) -> Self {
        Self(Node::Group { logic, filters, given: None })
    }

    /// Records that pass both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.joined(Logic::And, other)
    }

    /// Records that pass one or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.joined(Logic::Or, other)
    }

    fn joined(self, with: Logic, other: Self) -> Self {
        match self.0 {
            // An empty group means something else when it stands alone, so only filled ones are extended.
            Node::Group { logic, mut filters, given: None } if logic == with && !filters.is_empty() => {
                filters.push(other);
                Self::group(with, filters)
            }
            node => Self::group(with, vec![Self(node), other]),
        }
    }

    /// Regards case, here and in all filters inside (Kendo's `ignoreCase: false`). Default: case is ignored.
    #[must_use]
    #[doc(alias = "ignoreCase")]
    pub fn case_sensitive(mut self) -> Self {
        match &mut self.0 {
            Node::Condition(condition) => {
                condition.ignore_case = false;
                if let Some(given) = &mut condition.given {
                    given.set("ignoreCase", false);
                }
            }
            Node::Group { filters, .. } => {
                *filters = std::mem::take(filters).into_iter().map(Self::case_sensitive).collect();
            }
            Node::Foreign(given) => drop(given.set("ignoreCase", false)),
            Node::Custom(_) => {}
        }
        self
    }

    /// Reads Kendo's forms: a descriptor, a list of them (all must pass), or `{logic, filters}`, nested at will
    /// (R7.8-R7.16). `None` for null, `{}` and `[]`: no filter.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown operator (Q41) or logic, or an entry that is no object;
    /// [`ErrorKind::Limit`] when nested deeper than 100.
    pub fn from_value(value: &Value) -> Result<Option<Self>> {
        Self::read(value, false)
    }

    /// As [`Filter::from_value`] for a filter that a server applies: operators that only the server knows are sent as they
    /// are. Where such a filter has to be applied here, offline, every record passes these conditions.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown logic or an entry that is no object, [`ErrorKind::Limit`] when nested deeper
    /// than 100.
    pub fn from_value_for_server(value: &Value) -> Result<Option<Self>> {
        Self::read(value, true)
    }

    fn read(value: &Value, foreign: bool) -> Result<Option<Self>> {
        match value {
            value if value.is_empty() => Ok(None),
            Value::Array(items) => {
                let filters = items.iter().map(|item| Self::entry(item, 1, foreign)).collect::<Result<_>>()?;
                Ok(Some(Self::group(Logic::And, filters)))
            }
            value => Self::entry(value, 0, foreign).map(Some),
        }
    }

    fn entry(value: &Value, depth: usize, foreign: bool) -> Result<Self> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::Limit, "filter is nested too deep").with("limit", MAX_DEPTH.to_string()));
        }
        let Some(record) = value.as_object() else {
            return Err(Error::new(ErrorKind::Invalid, "a filter must be an object")
                .with("got", value.to_json().chars().take(40).collect::<String>()));
        };
        let Some(filters) = record.get("filters").filter(|filters| filters.is_truthy()) else {
            let known = |operator: &Value| Operator::from_name(&operator.to_text()).is_ok();
            if foreign && record.get("operator").is_some_and(|operator| operator.is_truthy() && !known(operator)) {
                return Ok(Self(Node::Foreign(record.clone())));
            }
            return Condition::from_record(record).map(|condition| Self(Node::Condition(condition)));
        };
        let Some(filters) = filters.as_array() else {
            return Err(Error::new(ErrorKind::Invalid, "the filters of a filter must be a list"));
        };
        let logic = match record.get("logic") {
            Some(Value::String(name)) if name.as_str() == "or" => Logic::Or,
            Some(Value::String(name)) if name.as_str() == "and" => Logic::And,
            Some(other) if other.is_truthy() => {
                return Err(Error::new(ErrorKind::Invalid, "the logic of a filter must be \"and\" or \"or\"")
                    .with("logic", other.to_text().as_str().chars().take(40).collect::<String>()));
            }
            _ => Logic::And,
        };
        let filters = filters.iter().map(|item| Self::entry(item, depth + 1, foreign)).collect::<Result<_>>()?;
        Ok(Self(Node::Group { logic, filters, given: Some(record.clone()) }))
    }

    /// The normal form that requests carry, `{"logic":"and","filters":[...]}` (R7.9), with field names translated by
    /// `name`. Descriptors read by [`Filter::from_value`] keep the order of their members and members of their own.
    ///
    /// A closure cannot be sent. Where it is one of several that must all pass it is left out; where it is an
    /// alternative the alternatives are left out, so that the server answers too much rather than too little.
    pub fn to_value(&self, name: &dyn Fn(&str) -> String) -> Value {
        match self.described(name) {
            Some(group @ Value::Object(_)) if matches!(self.0, Node::Group { .. }) => group,
            other => Record::from([("logic", Value::from("and")), ("filters", Value::array(other))]).into(),
        }
    }

    fn described(&self, name: &dyn Fn(&str) -> String) -> Option<Value> {
        match &self.0 {
            Node::Condition(condition) => Some(condition.described(name)),
            Node::Custom(_) => None,
            Node::Foreign(given) => {
                let mut out = given.clone();
                if let Some(field) = given.get("field").map(Value::to_text).filter(|field| !field.is_empty()) {
                    out.set("field", name(&field));
                }
                Some(out.into())
            }
            Node::Group { logic, filters, given } => {
                let described: Vec<Value> = filters.iter().filter_map(|filter| filter.described(name)).collect();
                let lost = match logic {
                    Logic::And => described.is_empty() && !filters.is_empty(),
                    Logic::Or => described.len() < filters.len(),
                };
                if lost {
                    return None;
                }
                let mut group = given.clone().unwrap_or_else(|| Record::from([("logic", logic.name())]));
                group.set("filters", Value::from(described));
                Some(group.into())
            }
        }
    }

    /// Whether a closure of the program's is asked.
    pub(crate) fn asks(&self) -> bool {
        match &self.0 {
            Node::Condition(_) | Node::Foreign(_) => false,
            Node::Group { filters, .. } => filters.iter().any(Self::asks),
            Node::Custom(_) => true,
        }
    }

    /// Whether both let the same records pass because they are written alike.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Node::Condition(a), Node::Condition(b)) => {
                (&a.field, a.operator, &a.value, a.ignore_case) == (&b.field, b.operator, &b.value, b.ignore_case)
            }
            (Node::Group { logic: a, filters: of_a, .. }, Node::Group { logic: b, filters: of_b, .. }) => {
                a == b && of_a.len() == of_b.len() && of_a.iter().zip(of_b).all(|(a, b)| a.same(b))
            }
            (Node::Custom(a), Node::Custom(b)) => Arc::ptr_eq(a, b),
            (Node::Foreign(_), Node::Foreign(_)) => true,
            _ => false,
        }
    }

    /// The fields that conditions ask for, each once, in the order of their first use.
    pub fn fields(&self) -> Vec<String> {
        fn walk(filter: &Filter, out: &mut Vec<String>) {
            match &filter.0 {
                Node::Condition(condition) => {
                    let field = condition.field.as_str();
                    if !field.is_empty() && !out.iter().any(|known| known == field) {
                        out.push(field.to_owned());
                    }
                }
                Node::Group { filters, .. } => filters.iter().for_each(|filter| walk(filter, out)),
                Node::Foreign(given) => {
                    let field = given.get("field").map(Value::to_text).unwrap_or_default();
                    if !field.is_empty() && !out.iter().any(|known| known == field.as_str()) {
                        out.push(field.as_str().to_owned());
                    }
                }
                Node::Custom(_) => {}
            }
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }
}

impl Condition {
    fn from_record(record: &Record) -> Result<Self> {
        let mut given = record.clone();
        let operator = match record.get("operator") {
            None => Operator::Eq,
            Some(value) => {
                let name = value.to_text();
                let operator = match value {
                    Value::Null => Operator::Eq,
                    Value::String(name) if name.is_empty() => Operator::Eq,
                    _ => Operator::from_name(&name)?,
                };
                // Aliases are translated; a name of its own travels as it was spelled.
                if !name.eq_ignore_ascii_case(operator.name()) {
                    given.set("operator", operator.name());
                }
                operator
            }
        };
        let field = match record.get("field") {
            None | Some(Value::Null) => Text::default(),
            Some(field) => field.to_text(),
        };
        Ok(Self {
            field,
            operator,
            value: record.get("value").cloned(),
            ignore_case: record.get("ignoreCase").is_none_or(Value::is_truthy),
            given: Some(given),
        })
    }

    fn described(&self, name: &dyn Fn(&str) -> String) -> Value {
        let mut out = if let Some(given) = &self.given {
            given.clone()
        } else {
            let mut out = Record::from([("field", self.field.clone()), ("operator", self.operator.name().into())]);
            if let Some(value) = &self.value {
                out.set("value", value.clone());
            }
            if !self.ignore_case {
                out.set("ignoreCase", false);
            }
            out
        };
        if !self.field.is_empty() {
            out.set("field", name(&self.field));
        }
        out.into()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Node::Condition(condition) => {
                write!(f, "{:?} {} ", condition.field, condition.operator.name())?;
                condition.value.as_ref().map_or(Ok(()), |value| fmt::Debug::fmt(value, f))?;
                f.write_str(if condition.ignore_case { "" } else { " (case-sensitive)" })
            }
            Node::Group { logic, filters, .. } => f.debug_tuple(logic.name()).field(filters).finish(),
            Node::Custom(_) => f.write_str("custom"),
            Node::Foreign(given) => write!(f, "{}", Value::from(given.clone()).to_json()),
        }
    }
}
