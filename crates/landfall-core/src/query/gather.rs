//! Sums and ends of columns of numbers, many rows at once.
//!
//! Owns the quick way, in doubles. What the functions mean is said in `aggregate`; the results are the same to the last bit.

use super::aggregate::{Doubles, Tally};
use crate::record::{Codes, Column, Data, Whole, decimal};

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

    /// Adds these rows of a column; `into` says to which tally each goes.
    pub(crate) fn add(&mut self, column: &Column, rows: impl Iterator<Item = usize>, into: impl Fn(usize) -> usize) {
        match column.data() {
            Data::Whole(whole) => self.add_whole(whole, 1.0, column, rows, into),
            Data::Decimal(whole, power) => self.add_whole(whole, *power, column, rows, into),
            Data::Floats(values) => {
                self.add_each(column, rows, into, |row| values.get(row).copied().unwrap_or(0.0));
            }
            _ => {}
        }
    }

    fn add_whole(
        &mut self,
        whole: &Whole,
        power: f64,
        column: &Column,
        rows: impl Iterator<Item = usize>,
        into: impl Fn(usize) -> usize,
    ) {
        let value = |code: i64| decimal(whole.of_code(code), power);
        match &whole.codes {
            Codes::Narrow(codes) => {
                self.add_each(column, rows, into, |row| value(codes.get(row).map_or(0, |code| i64::from(*code))));
            }
            Codes::Short(codes) => {
                self.add_each(column, rows, into, |row| value(codes.get(row).map_or(0, |code| i64::from(*code))));
            }
            Codes::Word(codes) => {
                self.add_each(column, rows, into, |row| value(codes.get(row).map_or(0, |code| i64::from(*code))));
            }
            Codes::Wide(codes) => {
                self.add_each(column, rows, into, |row| value(codes.get(row).copied().unwrap_or(0)));
            }
        }
    }

    fn add_each(
        &mut self,
        column: &Column,
        rows: impl Iterator<Item = usize>,
        into: impl Fn(usize) -> usize,
        value: impl Fn(usize) -> f64,
    ) {
        let nulls = column.has_nulls();
        for (index, row) in rows.enumerate() {
            let Some(tally) = self.0.get_mut(into(index)) else { continue };
            if nulls && column.is_null(row) {
                tally.nulls = true;
                continue;
            }
            let value = value(row);
            tally.numbers += 1;
            tally.sum += value;
            if value < tally.least {
                tally.least = value;
            }
            if value > tally.most {
                tally.most = value;
            }
        }
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
