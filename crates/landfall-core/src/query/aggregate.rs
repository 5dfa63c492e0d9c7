//! Sums, averages, smallest, largest and counts (R7.55-R7.62).

use super::{
    collate,
    field::FieldReader,
    sort::{entries, field_of},
};
use crate::{Error, ErrorKind, Number, Record, Result, Text, Value};
use std::cmp::Ordering;

/// A function over the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// The sum of all numbers.
    Sum,
    /// The sum of all numbers by their count.
    Average,
    /// The smallest number, date or text.
    Min,
    /// The largest number, date or text.
    Max,
    /// The number of rows, those without a value included.
    Count,
}

impl AggregateFunction {
    /// By name, in any case.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the function and the known ones.
    pub fn from_name(name: &str) -> Result<Self> {
        [Self::Sum, Self::Average, Self::Min, Self::Max, Self::Count]
            .into_iter()
            .find(|function| function.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Error::new(ErrorKind::Invalid, "unknown aggregate function")
                    .with("aggregate", name)
                    .with("known", "sum, average, min, max, count")
            })
    }

    /// The name that requests carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Average => "average",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
        }
    }
}

/// A field and a function over its values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aggregate {
    /// The field, or a path such as `price.net`; the key of the result.
    pub field: Text,
    /// The name of the function as written (`SUM`); the key inside of the field's result (R7.55).
    pub name: Text,
    /// The function.
    pub function: AggregateFunction,
    /// The descriptor named the function before the field.
    swapped: bool,
}

impl Aggregate {
    /// A function over a field.
    pub fn new(field: impl Into<Text>, function: AggregateFunction) -> Self {
        Self { field: field.into(), name: function.name().into(), function, swapped: false }
    }

    /// The sum of a field.
    pub fn sum(field: impl Into<Text>) -> Self {
        Self::new(field, AggregateFunction::Sum)
    }

    /// The average of a field.
    pub fn average(field: impl Into<Text>) -> Self {
        Self::new(field, AggregateFunction::Average)
    }

    /// The smallest value of a field.
    pub fn min(field: impl Into<Text>) -> Self {
        Self::new(field, AggregateFunction::Min)
    }

    /// The largest value of a field.
    pub fn max(field: impl Into<Text>) -> Self {
        Self::new(field, AggregateFunction::Max)
    }

    /// The number of rows.
    pub fn count(field: impl Into<Text>) -> Self {
        Self::new(field, AggregateFunction::Count)
    }

    /// Reads a descriptor `{field, aggregate}` or a list of them; none of null and `{}`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown function or an entry that is no object.
    pub fn list_from_value(value: &Value) -> Result<Vec<Self>> {
        if value.is_empty() {
            return Ok(Vec::new());
        }
        entries(value)
            .iter()
            .map(|item| {
                let record = item
                    .as_object()
                    .ok_or_else(|| Error::new(ErrorKind::Invalid, "an aggregate descriptor must be an object"))?;
                let name = record.get("aggregate").map(Value::to_text).unwrap_or_default();
                let function = AggregateFunction::from_name(&name)?;
                let first = record.iter().next().map(|(name, _)| name);
                Ok(Self { field: field_of(record), name, function, swapped: first == Some("aggregate") })
            })
            .collect()
    }

    /// `[{"field","aggregate"}]` as requests carry it, with field names translated by `name`.
    pub fn list_to_value(aggregates: &[Self], name: &dyn Fn(&str) -> String) -> Value {
        Value::array(aggregates.iter().map(|aggregate| {
            let field = ("field", Value::from(name(&aggregate.field)));
            let function = ("aggregate", Value::from(&aggregate.name));
            Record::from(if aggregate.swapped { [function, field] } else { [field, function] }).into()
        }))
    }
}

/// The result of all functions over some rows, `{field: {name: value}}`; empty without rows (R7.56).
pub(crate) fn compute<'a>(rows: impl Iterator<Item = &'a Record>, aggregates: &[Aggregate]) -> Record {
    let mut running: Vec<Running<'_>> = aggregates.iter().map(Running::new).collect();
    let mut any = false;
    for record in rows {
        any = true;
        for running in &mut running {
            running.add(record);
        }
    }
    if any { collect(running.into_iter().map(|running| (running.aggregate, running.finish()))) } else { Record::new() }
}

/// What no rows amount to: 0 for each function asked of each field (C24).
pub(crate) fn zeros(aggregates: &[Aggregate]) -> Record {
    collect(aggregates.iter().map(|aggregate| (aggregate, Some(Value::from(0)))))
}

fn collect<'a>(results: impl Iterator<Item = (&'a Aggregate, Option<Value>)>) -> Record {
    let mut out = Record::new();
    for (aggregate, value) in results {
        let mut of_field = out.get(&aggregate.field).and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(value) = value {
            of_field.set(&aggregate.name, value);
        }
        out.set(&aggregate.field, of_field);
    }
    out
}

/// A function under way.
struct Running<'q> {
    aggregate: &'q Aggregate,
    reader: FieldReader,
    /// What Kendo has gathered so far; `None` is undefined.
    gathered: Option<Value>,
    rows: u64,
    numbers: u32,
    /// The smallest or largest text, as long as there are texts and nothing else (C25).
    text: Option<Text>,
    only_texts: bool,
}

impl<'q> Running<'q> {
    fn new(aggregate: &'q Aggregate) -> Self {
        let reader = FieldReader::new(&aggregate.field);
        Self { aggregate, reader, gathered: None, rows: 0, numbers: 0, text: None, only_texts: true }
    }

    fn add(&mut self, record: &Record) {
        self.rows += 1;
        if self.aggregate.function == AggregateFunction::Count {
            return;
        }
        let value = self.reader.get(record);
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if self.only_texts => self.add_text(text),
            Some(_) => self.only_texts = false,
        }
        match self.aggregate.function {
            AggregateFunction::Sum | AggregateFunction::Average => self.add_up(value),
            AggregateFunction::Min => self.pick(value, Ordering::Less),
            AggregateFunction::Max => self.pick(value, Ordering::Greater),
            AggregateFunction::Count => {}
        }
    }

    fn add_text(&mut self, text: &Text) {
        let better = match (&self.text, self.aggregate.function) {
            (None, _) => true,
            (Some(known), AggregateFunction::Min) => collate::compare(text, known) == Ordering::Less,
            (Some(known), AggregateFunction::Max) => collate::compare(text, known) == Ordering::Greater,
            _ => false,
        };
        if better {
            self.text = Some(text.clone());
        }
    }

    /// R7.57, R7.58.
    fn add_up(&mut self, value: Option<&Value>) {
        let number = value.and_then(number_of);
        if number.is_some() {
            self.numbers = self.numbers.saturating_add(1);
        }
        match self.gathered.as_ref().and_then(number_of) {
            None => self.gathered = value.cloned(),
            Some(sum) => {
                if let Some(number) = number {
                    self.gathered = Some(Value::Number(plus(sum, number)));
                }
            }
        }
    }

    /// R7.59.
    fn pick(&mut self, value: Option<&Value>, better: Ordering) {
        match self.gathered.as_ref().and_then(measure) {
            None => self.gathered = value.cloned(),
            Some(known) => {
                if value.and_then(measure).is_some_and(|new| new.partial_cmp(&known) == Some(better)) {
                    self.gathered = value.cloned();
                }
            }
        }
    }

    fn finish(self) -> Option<Value> {
        let function = self.aggregate.function;
        if function == AggregateFunction::Count {
            return Some(Value::from(self.rows));
        }
        if let (true, Some(text)) = (self.only_texts, self.text) {
            let chosen = matches!(function, AggregateFunction::Min | AggregateFunction::Max);
            return chosen.then_some(Value::String(text));
        }
        match (function, self.gathered.as_ref().and_then(number_of)) {
            (AggregateFunction::Average, Some(sum)) => {
                Some(Value::Number(Number::from(sum.as_f64() / f64::from(self.numbers))))
            }
            _ => self.gathered,
        }
    }
}

/// A number that is one (R0.5).
fn number_of(value: &Value) -> Option<Number> {
    value.as_number().filter(|number| !number.is_nan())
}

/// Numbers and dates on one scale.
fn measure(value: &Value) -> Option<Number> {
    number_of(value).or_else(|| value.as_date().map(|date| Number::from(date.millis())))
}

/// Whole numbers are added exactly, where the result fits.
fn plus(a: Number, b: Number) -> Number {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) if a.checked_add(b).is_some() => Number::from(a.saturating_add(b)),
        _ => Number::from(a.as_f64() + b.as_f64()),
    }
}
