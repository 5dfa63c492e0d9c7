//! Sums, averages, smallest, largest and counts (R7.55-R7.62).

use super::{
    collate,
    field::FieldReader,
    gather::Gathered,
    sort::{entries, field_of},
    span::{Run, Source, Span},
};
use crate::{Date, Error, ErrorKind, Number, Record, Result, Text, Value, record::Cell};
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
    let mut tally = Tally::new(aggregates);
    for record in rows {
        tally.add(record);
    }
    tally.finish()
}

/// Adds the rows of one span to tallies of the same aggregates: to the one that `into` says for each row, else to the first.
/// The rows themselves are not counted: see [`Tally::count`].
pub(crate) fn add(tallies: &mut [Tally<'_>], source: Source<'_>, span: &Span, run: &Run<'_>, into: Option<&[u32]>) {
    let at = |index: usize| {
        into.map_or(0, |into| into.get(index).and_then(|number| usize::try_from(*number).ok()).unwrap_or(usize::MAX))
    };
    let Some((first, columns, row)) = span.columns() else {
        for (index, position) in run.iter().enumerate() {
            if let Some(tally) = tallies.get_mut(at(index)) {
                tally.add_values(source.record(position));
            }
        }
        return;
    };
    let fields = tallies.first().map_or(0, |tally| tally.fields.len());
    for field in 0..fields {
        let Some(of_field) = tallies.first_mut().and_then(|tally| tally.fields.get_mut(field)) else { continue };
        if !of_field.reads() {
            continue;
        }
        let column =
            of_field.reader.member(first).map(|position| position.and_then(|position| columns.column(position)));
        let offset = |position: u32| usize::try_from(position - span.start).unwrap_or(0);
        if let Some(Some(column)) = &column
            && let Some(mut gathered) = Gathered::all(tallies, field, column)
        {
            match run {
                Run::All(_) => gathered.add_all(column, row..row + span.count(), into),
                Run::Some(_) => {
                    for (index, position) in run.iter().enumerate() {
                        gathered.add(column, row + offset(position), at(index));
                    }
                }
            }
            gathered.give(tallies, field);
            continue;
        }
        for (index, position) in run.iter().enumerate() {
            let Some(of_field) = tallies.get_mut(at(index)).and_then(|tally| tally.fields.get_mut(field)) else {
                continue;
            };
            let cell = of_field.reader.cell_behind(first, offset(position));
            of_field.add_cell(cell);
        }
    }
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

/// What of a field is in doubles, as long as they are exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubles {
    pub(crate) numbers: u32,
    /// -0 before the first number, which changes none.
    pub(crate) sum: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) nulls: bool,
}

/// Functions under way: each row is taken once, each field of it is read once.
pub(crate) struct Tally<'q> {
    aggregates: &'q [Aggregate],
    /// Of each aggregate, which of the fields it is about.
    places: Vec<usize>,
    fields: Vec<OfField>,
    rows: u64,
}

impl Tally<'_> {
    /// What is gathered of a field, in doubles; `None` where these do not do.
    pub(crate) fn doubles(&self, field: usize) -> Option<Doubles> {
        let field = self.fields.get(field)?;
        let end = |best: Best, none: f64| match best {
            Best::None => Some(none),
            Best::Number(number) => Some(number.as_f64()).filter(|number| number.abs() < EXACT),
            Best::Date(_) => None,
        };
        let sum = field.sum.map_or(-0.0, Number::as_f64);
        (sum.abs() < EXACT).then_some(())?;
        let (least, most) = (end(field.least, f64::INFINITY)?, end(field.most, f64::NEG_INFINITY)?);
        Some(Doubles { numbers: 0, sum, least, most, nulls: false })
    }

    /// Takes back what was gathered further in doubles.
    pub(crate) fn take_doubles(&mut self, field: usize, doubles: Doubles) {
        let Some(field) = self.fields.get_mut(field) else { return };
        if doubles.numbers > 0 {
            field.only_texts = false;
            if field.sums {
                field.numbers = field.numbers.saturating_add(doubles.numbers);
                field.sum = Some(number(doubles.sum));
            }
            if field.smallest {
                field.least = Best::Number(number(doubles.least));
            }
            if field.largest {
                field.most = Best::Number(number(doubles.most));
            }
        }
        if doubles.nulls {
            if field.sums && field.sum.is_none() {
                field.unsummed = Some(Value::Null);
            }
            if field.least.measure().is_none() && field.most.measure().is_none() {
                field.unmeasured = Some(Value::Null);
            }
        }
    }
}

/// Sums of doubles smaller than this, and of few numbers beside, are what the sums of whole numbers would be.
const EXACT: f64 = 4_503_599_627_370_496.0;

/// A number in the form that sums have.
fn number(value: f64) -> Number {
    Number::from(value).as_i64().map_or(Number::from(value), Number::from)
}

impl<'q> Tally<'q> {
    pub(crate) fn new(aggregates: &'q [Aggregate]) -> Self {
        let mut names: Vec<&Text> = Vec::new();
        let mut fields: Vec<OfField> = Vec::new();
        let mut places = Vec::with_capacity(aggregates.len());
        for aggregate in aggregates {
            let place = names.iter().position(|name| **name == aggregate.field).unwrap_or(names.len());
            if place == names.len() {
                names.push(&aggregate.field);
                fields.push(OfField::new(&aggregate.field));
            }
            if let Some(field) = fields.get_mut(place) {
                field.want(aggregate.function);
            }
            places.push(place);
        }
        Self { aggregates, places, fields, rows: 0 }
    }

    pub(crate) fn add(&mut self, record: &Record) {
        self.rows += 1;
        self.add_values(record);
    }

    /// Counts rows whose values are added by [`add`].
    pub(crate) fn count(&mut self, rows: usize) {
        self.rows += rows as u64;
    }

    fn add_values(&mut self, record: &Record) {
        for field in &mut self.fields {
            field.add(record);
        }
    }

    /// Empty without rows.
    pub(crate) fn finish(self) -> Record {
        if self.rows == 0 {
            return Record::new();
        }
        collect(self.aggregates.iter().zip(&self.places).map(|(aggregate, place)| {
            let value = match aggregate.function {
                AggregateFunction::Count => Some(Value::from(self.rows)),
                function => self.fields.get(*place).and_then(|field| field.result(function)),
            };
            (aggregate, value)
        }))
    }
}

/// The smallest or largest value so far.
#[derive(Clone, Copy)]
enum Best {
    None,
    Number(Number),
    Date(Date),
}

impl Best {
    /// Numbers and dates on one scale (R7.59).
    fn measure(self) -> Option<Number> {
        match self {
            Self::None => None,
            Self::Number(number) => Some(number),
            Self::Date(date) => Some(Number::from(date.millis())),
        }
    }

    fn take(&mut self, new: Self, measure: Number, better: Ordering) {
        if self.measure().is_none_or(|known| measure.partial_cmp(&known) == Some(better)) {
            *self = new;
        }
    }

    fn value(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Number(number) => Some(number.into()),
            Self::Date(date) => Some(date.into()),
        }
    }
}

/// What is gathered of one field.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a name of its own")]
struct OfField {
    reader: FieldReader,
    sums: bool,
    smallest: bool,
    largest: bool,
    numbers: u32,
    sum: Option<Number>,
    /// What Kendo has gathered before the first number (R7.57).
    unsummed: Option<Value>,
    least: Best,
    most: Best,
    /// What Kendo has gathered before the first number or date.
    unmeasured: Option<Value>,
    /// The smallest and the largest text, as long as there are texts and nothing else (C25).
    texts: Option<(Text, Text)>,
    only_texts: bool,
}

impl OfField {
    fn new(field: &str) -> Self {
        Self {
            reader: FieldReader::new(field),
            sums: false,
            smallest: false,
            largest: false,
            numbers: 0,
            sum: None,
            unsummed: None,
            least: Best::None,
            most: Best::None,
            unmeasured: None,
            texts: None,
            only_texts: true,
        }
    }

    fn want(&mut self, function: AggregateFunction) {
        match function {
            AggregateFunction::Sum | AggregateFunction::Average => self.sums = true,
            AggregateFunction::Min => self.smallest = true,
            AggregateFunction::Max => self.largest = true,
            AggregateFunction::Count => {}
        }
    }

    /// Whether the values are looked at at all.
    fn reads(&self) -> bool {
        self.sums || self.smallest || self.largest
    }

    fn add(&mut self, record: &Record) {
        if !self.reads() {
            return;
        }
        let cell = self.reader.cell(record);
        self.add_cell(cell);
    }

    fn add_cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Number(number) if !number.is_nan() => {
                self.only_texts = false;
                if self.sums {
                    self.numbers = self.numbers.saturating_add(1);
                    self.sum = Some(self.sum.map_or(number, |sum| plus(sum, number)));
                }
                self.pick(Best::Number(number), number);
            }
            other => self.add_other(other),
        }
    }

    fn add_other(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Absent | Cell::Null => {}
            Cell::Text(text) => {
                if self.only_texts {
                    self.add_text(text);
                }
            }
            _ => self.only_texts = false,
        }
        if self.sums && self.sum.is_none() {
            self.unsummed = cell.to_value();
        }
        match cell {
            Cell::Date(millis) => self.pick(Best::Date(Date::from_millis(millis)), Number::from(millis)),
            // Both ends have met a number or date or neither has.
            _ if self.least.measure().is_none() && self.most.measure().is_none() => self.unmeasured = cell.to_value(),
            _ => {}
        }
    }

    fn pick(&mut self, new: Best, measure: Number) {
        if self.smallest {
            self.least.take(new, measure, Ordering::Less);
        }
        if self.largest {
            self.most.take(new, measure, Ordering::Greater);
        }
    }

    fn add_text(&mut self, text: &str) {
        match &mut self.texts {
            None => self.texts = Some((Text::from(text), Text::from(text))),
            Some((least, most)) => {
                if self.smallest && collate::compare(text, least) == Ordering::Less {
                    *least = Text::from(text);
                }
                if self.largest && collate::compare(text, most) == Ordering::Greater {
                    *most = Text::from(text);
                }
            }
        }
    }

    fn result(&self, function: AggregateFunction) -> Option<Value> {
        if let (true, Some((least, most))) = (self.only_texts, &self.texts) {
            return match function {
                AggregateFunction::Min => Some(Value::from(least)),
                AggregateFunction::Max => Some(Value::from(most)),
                _ => None,
            };
        }
        match function {
            AggregateFunction::Sum => self.sum.map(Value::from).or_else(|| self.unsummed.clone()),
            AggregateFunction::Average => match self.sum {
                Some(sum) => Some(Value::Number(Number::from(sum.as_f64() / f64::from(self.numbers)))),
                None => self.unsummed.clone(),
            },
            AggregateFunction::Min => self.least.value().or_else(|| self.unmeasured.clone()),
            AggregateFunction::Max => self.most.value().or_else(|| self.unmeasured.clone()),
            AggregateFunction::Count => None,
        }
    }
}

/// Whole numbers are added exactly, where the result fits.
fn plus(a: Number, b: Number) -> Number {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) if a.checked_add(b).is_some() => Number::from(a.saturating_add(b)),
        _ => Number::from(a.as_f64() + b.as_f64()),
    }
}
