//! Passing over rows by their first sort field alone.
//!
//! Owns a quick look at columns of numbers and instants. What it lets through is compared in full by `order`.

use super::{field::FieldReader, order::By, sort::Direction, span::Span};
use crate::{
    Number, Record,
    record::{Cell, Codes, Column, Data, Whole, decimal},
};
use std::cmp::Ordering;

/// Stops rows of one span that certainly come behind a row.
pub(crate) struct Sieve<'a> {
    field: Option<(FieldReader, Direction)>,
    column: Option<&'a Column>,
    start: u32,
    /// The place of the span in its block.
    row: usize,
    limit: Limit,
}

enum Limit {
    None,
    /// Codes outside of this range are stopped.
    Codes(i64, i64),
    /// Doubles beyond this one are stopped.
    Double(f64),
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(by: Option<&By<'_>>, span: &'a Span) -> Self {
        let field = by.map(|by| (FieldReader::new(by.field), by.dir));
        let mut sieve = Self { field, column: None, start: span.start, row: 0, limit: Limit::None };
        if let (Some((reader, _)), Some((first, columns, row))) = (&mut sieve.field, span.columns()) {
            sieve.row = row;
            let position = reader.member(first).flatten();
            sieve.column = position.and_then(|position| columns.column(position)).map(AsRef::as_ref);
        }
        sieve
    }

    /// Stops from now on what comes behind this row.
    pub(crate) fn set(&mut self, last: &Record) {
        self.limit = Limit::None;
        let (Some((reader, dir)), Some(column)) = (&mut self.field, self.column) else { return };
        let dir = *dir;
        let limit = reader.cell(last);
        let number = match limit {
            Cell::Number(number) if !number.is_nan() => number,
            Cell::Date(millis) => Number::from(millis),
            _ => return,
        };
        let dates = matches!(limit, Cell::Date(_));
        self.limit = match column.data() {
            Data::Whole(whole) if !dates => codes(whole, number, dir, Number::from),
            Data::Dates(whole) if dates => codes(whole, number, dir, Number::from),
            Data::Decimal(whole, power) if !dates => {
                codes(whole, number, dir, |value| Number::from(decimal(value, *power)))
            }
            Data::Floats(_) if !dates => Limit::Double(number.as_f64()),
            _ => Limit::None,
        };
    }

    /// Whether a row of the span certainly comes behind.
    pub(crate) fn stops(&self, position: u32) -> bool {
        let Some(column) = self.column else { return false };
        let row = self.row + usize::try_from(position - self.start).unwrap_or(0);
        let behind = match &self.limit {
            Limit::None => return false,
            Limit::Codes(first, last) => {
                let (Data::Whole(whole) | Data::Dates(whole) | Data::Decimal(whole, _)) = column.data() else {
                    return false;
                };
                let code = match &whole.codes {
                    Codes::Narrow(codes) => codes.get(row).map_or(0, |code| i64::from(*code)),
                    Codes::Short(codes) => codes.get(row).map_or(0, |code| i64::from(*code)),
                    Codes::Word(codes) => codes.get(row).map_or(0, |code| i64::from(*code)),
                    Codes::Wide(_) => return false,
                };
                code < *first || code > *last
            }
            Limit::Double(limit) => {
                let Data::Floats(values) = column.data() else { return false };
                let descending = self.field.as_ref().is_some_and(|(_, dir)| *dir == Direction::Desc);
                values.get(row).is_some_and(|value| if descending { value < limit } else { value > limit })
            }
        };
        behind && !column.is_null(row)
    }
}

/// The codes whose values do not come behind a number.
fn codes(whole: &Whole, limit: Number, dir: Direction, number: impl Fn(i64) -> Number) -> Limit {
    let last = match &whole.codes {
        Codes::Narrow(_) => i64::from(u8::MAX),
        Codes::Short(_) => i64::from(u16::MAX),
        Codes::Word(_) => i64::from(u32::MAX),
        Codes::Wide(_) => return Limit::None,
    };
    // Beyond 2^53 whole numbers and doubles do not compare alike from all sides.
    let exact = |value: i64| value.unsigned_abs() < 1 << 53;
    let most = whole.step.checked_mul(last).and_then(|most| whole.base.checked_add(most));
    if !exact(whole.base) || !most.is_some_and(exact) {
        return Limit::None;
    }
    let fits = |code: i64| {
        let ordering = number(whole.of_code(code)).partial_cmp(&limit);
        match dir {
            Direction::Asc => ordering != Some(Ordering::Greater),
            Direction::Desc => ordering == Some(Ordering::Less),
        }
    };
    let (mut low, mut high) = (0, last + 1);
    while low < high {
        let middle = i64::midpoint(low, high);
        if fits(middle) { low = middle + 1 } else { high = middle }
    }
    match dir {
        Direction::Asc => Limit::Codes(0, low - 1),
        Direction::Desc => Limit::Codes(low, i64::MAX),
    }
}
