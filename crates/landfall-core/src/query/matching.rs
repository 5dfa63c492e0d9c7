//! Filters made ready for one pass over many records.
//!
//! Owns the meaning of operators (R7.19-R7.34 with the differences C26, C27 and Q44).

use super::{
    field::FieldReader,
    filter::{Condition, Filter, Logic, Node, Predicate},
    js::{Coerce, Lower, contains_lower, loosely_equal, relation, strictly_equal, text_to_number},
    operator::Operator,
};
use crate::{Number, Record, Value, record::Cell};
use memchr::memmem::Finder;
use std::cmp::Ordering;

/// A filter with its values prepared and its fields remembered.
pub(crate) enum Matcher<'f> {
    Condition(Box<Test<'f>>),
    Group(Logic, Vec<Self>),
    Custom(&'f Predicate),
    /// A filter in a form of the server's: nothing to be tested here.
    Everything,
}

impl<'f> Matcher<'f> {
    /// For the whole filter of a query: an empty group lets everything pass (R7.15).
    pub(crate) fn whole(filter: &'f Filter, locale: Option<&str>) -> Self {
        match &filter.0 {
            Node::Group { filters, .. } if filters.is_empty() => Self::Group(Logic::And, Vec::new()),
            _ => Self::new(filter, Lower::of(locale)),
        }
    }

    fn new(filter: &'f Filter, lower: Lower) -> Self {
        match &filter.0 {
            Node::Condition(condition) => Self::Condition(Box::new(Test::new(condition, lower))),
            Node::Group { logic, filters, .. } => {
                Self::Group(*logic, filters.iter().map(|filter| Self::new(filter, lower)).collect())
            }
            Node::Custom(passes) => Self::Custom(passes.as_ref()),
            Node::Foreign(_) => Self::Everything,
        }
    }

    pub(crate) fn passes(&mut self, record: &Record) -> bool {
        match self {
            Self::Condition(test) => test.passes(record),
            Self::Group(Logic::And, parts) => parts.iter_mut().all(|part| part.passes(record)),
            Self::Group(Logic::Or, parts) => parts.iter_mut().any(|part| part.passes(record)),
            Self::Custom(passes) => passes(record),
            Self::Everything => true,
        }
    }
}

/// The value of a condition, as the item's value is compared with it.
pub(crate) enum Wanted<'f> {
    /// Neither side is converted (R7.19, R7.23).
    Plain(Option<&'f Value>),
    /// Dates become milliseconds (R7.20, R7.22).
    Millis(Number),
    /// Texts in one case, numbers as text (R7.21).
    Text(String),
}

/// One condition.
pub(crate) struct Test<'f> {
    pub(crate) reader: FieldReader,
    pub(crate) operator: Operator,
    pub(crate) wanted: Wanted<'f>,
    /// How the item's text is lower-cased; not at all when case matters.
    lower: Option<Lower>,
    /// The wanted value as text, for operators on texts.
    pub(crate) needle: Finder<'static>,
    /// The wanted text is found without lower-casing the item's: it is ASCII, and case is ignored in the usual way.
    pub(crate) searches_in_place: bool,
    scratch: String,
}

impl<'f> Test<'f> {
    fn new(condition: &'f Condition, lower: Lower) -> Self {
        let lower = condition.ignore_case.then_some(lower);
        let wanted = match &condition.value {
            Some(Value::Date(date)) => Wanted::Millis(Number::from(date.millis())),
            Some(Value::String(text)) => match old_date(text) {
                Some(millis) => Wanted::Millis(millis),
                None => Wanted::Text(lower.map_or_else(
                    || text.as_str().to_owned(),
                    |lower| lower.apply(text, &mut String::new()).to_owned(),
                )),
            },
            other => Wanted::Plain(other.as_ref()),
        };
        let needle = Finder::new(wanted.operand().to_text().as_bytes()).into_owned();
        let searches_in_place = lower == Some(Lower::Plain) && matches!(&wanted, Wanted::Text(text) if text.is_ascii());
        Self {
            reader: FieldReader::new(&condition.field),
            operator: condition.operator,
            wanted,
            lower,
            needle,
            searches_in_place,
            scratch: String::new(),
        }
    }

    fn passes(&mut self, record: &Record) -> bool {
        let cell = self.reader.cell(record);
        self.passes_cell(cell)
    }

    /// Whether a value of the field lets its row pass.
    pub(crate) fn passes_cell(&mut self, cell: Cell<'_>) -> bool {
        if let (Cell::Text(text), Operator::Contains | Operator::DoesNotContain) = (cell, self.operator)
            && self.searches_in_place
            && let Some(found) = contains_lower(text, self.needle.needle())
        {
            return found == (self.operator == Operator::Contains);
        }
        let number;
        let item = match (&self.wanted, cell) {
            (Wanted::Millis(_), Cell::Date(millis)) => Cell::Number(Number::from(millis)),
            (Wanted::Text(_), Cell::Text(text)) => match self.lower {
                Some(lower) => Cell::Text(lower.apply(text, &mut self.scratch)),
                None => Cell::Text(text),
            },
            (Wanted::Text(_), Cell::Number(value)) if value.is_finite() => {
                number = value.to_string();
                Cell::Text(&number)
            }
            (_, other) => other,
        };
        compare(self.operator, item, self.wanted.operand(), &self.needle)
    }
}

impl Wanted<'_> {
    fn operand(&self) -> Cell<'_> {
        match self {
            Self::Plain(value) => Cell::from(*value),
            Self::Millis(number) => Cell::Number(*number),
            Self::Text(text) => Cell::Text(text),
        }
    }
}

fn compare(operator: Operator, item: Cell<'_>, wanted: Cell<'_>, needle: &Finder<'_>) -> bool {
    // Rows without a value are in no range (C26); null bounds none and is in no text (C27).
    let both = !item.is_missing() && !wanted.is_missing();
    let ordered = |fits: fn(Ordering) -> bool| both && relation(item, wanted).is_some_and(fits);
    // What is no text is spelled first (Q44).
    let spelled = |fits: &dyn Fn(&[u8]) -> bool| both && fits(item.to_text().as_bytes());
    let empty = matches!(item, Cell::Text(""));
    match operator {
        Operator::Eq => strictly_equal(item, wanted),
        Operator::Neq => !loosely_equal(item, wanted),
        Operator::Gt => ordered(Ordering::is_gt),
        Operator::Gte => ordered(Ordering::is_ge),
        Operator::Lt => ordered(Ordering::is_lt),
        Operator::Lte => ordered(Ordering::is_le),
        Operator::StartsWith => spelled(&|text| text.starts_with(needle.needle())),
        Operator::DoesNotStartWith => !spelled(&|text| text.starts_with(needle.needle())),
        Operator::EndsWith => spelled(&|text| text.ends_with(needle.needle())),
        Operator::DoesNotEndWith => !spelled(&|text| text.ends_with(needle.needle())),
        Operator::Contains => spelled(&|text| needle.find(text).is_some()),
        Operator::DoesNotContain => !spelled(&|text| needle.find(text).is_some()),
        Operator::IsEmpty => empty,
        Operator::IsNotEmpty => !empty,
        Operator::IsNull => item.is_missing(),
        Operator::IsNotNull => !item.is_missing(),
        Operator::IsNullOrEmpty => item.is_missing() || empty,
        Operator::IsNotNullOrEmpty => !item.is_missing() && !empty,
    }
}

/// The milliseconds of `/Date(n)/` (R7.20).
pub(crate) fn old_date(text: &str) -> Option<Number> {
    let inside = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    Some(text_to_number(inside)).filter(|number| number.is_finite())
}
