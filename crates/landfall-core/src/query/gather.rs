//! Sums and ends of columns of numbers, many rows at once.
//!
//! Owns the quick way, in doubles. What the functions mean is said in `aggregate`; the results are the same to the last bit.

use super::aggregate::{Doubles, Tally};
use crate::record::{Cell, Codes, Column, Data, Whole, decimal};
use std::ops::Range;

/// One field of several tallies, in doubles.
pub(crate) struct Gathered(Vec<Doubles>);

/// Many numbers below this do not lead out of the whole numbers that doubles tell apart.
const SMALL: f64 = 2_199_023_255_552.0;

/// With more tallies than this it does not pay to take all of them over for one span.
const MANY: usize = 64;

impl Gathered {
    /// Takes a field of all tallies over, if the column holds numbers and doubles are exact enough.
    pub(crate) fn all(tallies: &[Tally<'_>], field: usize, column: &Column) -> Option<Self> {
        if tallies.len() > MANY || !is_small(column) {
            return None;
        }
        tallies.iter().map(|tally| tally.doubles(field)).collect::<Option<_>>().map(Self)
    }

    /// Gives them back.
    pub(crate) fn give(self, tallies: &mut [Tally<'_>], field: usize) {
        for (tally, doubles) in tallies.iter_mut().zip(self.0) {
            tally.take_doubles(field, doubles);
        }
    }

    /// Adds one row of a column to one tally.
    pub(crate) fn add(&mut self, column: &Column, row: usize, into: usize) {
        let Some(tally) = self.0.get_mut(into) else { return };
        match column.cell(row) {
            Cell::Number(number) => tally.add(number.as_f64()),
            _ => tally.nulls = true,
        }
    }

    /// Adds rows of a column that follow each other; `into` says to which tally each goes, else it is the first.
    pub(crate) fn add_all(&mut self, column: &Column, rows: Range<usize>, into: Option<&[u32]>) {
        match column.data() {
            Data::Whole(whole) => self.add_whole(whole, None, column, rows, into),
            Data::Decimal(whole, power) => self.add_whole(whole, Some(*power), column, rows, into),
            Data::Floats(values) => {
                let values = values.get(rows.clone()).unwrap_or_default();
                self.add_each(column, rows, into, values.iter().copied());
            }
            _ => {}
        }
    }

    fn add_whole(
        &mut self,
        whole: &Whole,
        power: Option<f64>,
        column: &Column,
        rows: Range<usize>,
        into: Option<&[u32]>,
    ) {
        match &whole.codes {
            Codes::Narrow(codes) => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                self.add_codes(whole, power, column, rows, into, codes.iter().map(|code| i64::from(*code)));
            }
            Codes::Short(codes) => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                self.add_codes(whole, power, column, rows, into, codes.iter().map(|code| i64::from(*code)));
            }
            Codes::Word(codes) => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                self.add_codes(whole, power, column, rows, into, codes.iter().map(|code| i64::from(*code)));
            }
            Codes::Wide(codes) => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                self.add_codes(whole, power, column, rows, into, codes.iter().copied());
            }
        }
    }

    fn add_codes(
        &mut self,
        whole: &Whole,
        power: Option<f64>,
        column: &Column,
        rows: Range<usize>,
        into: Option<&[u32]>,
        codes: impl Iterator<Item = i64>,
    ) {
        match power {
            None => self.add_each(column, rows, into, codes.map(|code| decimal(whole.of_code(code), 1.0))),
            Some(power) => self.add_each(column, rows, into, codes.map(|code| decimal(whole.of_code(code), power))),
        }
    }

    fn add_each(
        &mut self,
        column: &Column,
        rows: Range<usize>,
        into: Option<&[u32]>,
        values: impl Iterator<Item = f64>,
    ) {
        let nulls = column.has_nulls();
        let tallies = self.0.as_mut_slice();
        match into {
            None => {
                let Some(tally) = tallies.first_mut() else { return };
                // In registers, not in memory.
                let mut gathered = *tally;
                for (row, value) in rows.zip(values) {
                    if nulls && column.is_null(row) {
                        gathered.nulls = true;
                    } else {
                        gathered.add(value);
                    }
                }
                *tally = gathered;
            }
            Some(into) => {
                for ((row, value), into) in rows.zip(values).zip(into) {
                    let Some(tally) = usize::try_from(*into).ok().and_then(|into| tallies.get_mut(into)) else {
                        continue;
                    };
                    if nulls && column.is_null(row) {
                        tally.nulls = true;
                    } else {
                        tally.add(value);
                    }
                }
            }
        }
    }
}

impl Doubles {
    fn add(&mut self, value: f64) {
        self.numbers += 1;
        self.sum += value;
        self.least = if value < self.least { value } else { self.least };
        self.most = if value > self.most { value } else { self.most };
    }
}

/// Whether the column holds numbers, none of them large.
fn is_small(column: &Column) -> bool {
    let whole = |whole: &Whole, power: f64| {
        let last = match &whole.codes {
            Codes::Narrow(_) => i64::from(u8::MAX),
            Codes::Short(_) => i64::from(u16::MAX),
            Codes::Word(_) => i64::from(u32::MAX),
            Codes::Wide(codes) => {
                return codes.iter().all(|value| decimal(*value, power).abs() < SMALL);
            }
        };
        let ends = [Some(whole.base), whole.step.checked_mul(last).and_then(|most| whole.base.checked_add(most))];
        ends.into_iter().all(|end| end.is_some_and(|end| decimal(end, power).abs() < SMALL))
    };
    match column.data() {
        Data::Whole(numbers) => whole(numbers, 1.0),
        Data::Decimal(numbers, power) => whole(numbers, *power),
        Data::Floats(values) => values.iter().all(|value| value.abs() < SMALL),
        _ => false,
    }
}
