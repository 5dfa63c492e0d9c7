//! Columns: one member of many rows, each kind of value in its narrowest form.
//!
//! Owns the compact forms and how cells are read from them. Never changes: an edited row gets values of its own.

use super::Cell;
use crate::{Number, Value};

/// One member of the rows of a block.
#[derive(Debug)]
pub(crate) struct Column {
    data: Data,
    /// One bit a row, set where the value is null.
    nulls: Option<Box<[u64]>>,
}

/// The values of a column; where a row is null its place holds anything.
#[derive(Debug)]
pub(crate) enum Data {
    /// Nothing but nulls.
    Nulls(usize),
    /// One bit a row.
    Bools(Box<[u64]>),
    Whole(Whole),
    /// Decimal fractions: whole numbers to be divided by a power of ten, which gives the very double that was read.
    Decimal(Whole, f64),
    Floats(Box<[f64]>),
    Dates(Whole),
    Texts(Texts),
    Mixed(Box<[Value]>),
}

/// Whole numbers as `base + step * code`.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) base: i64,
    pub(crate) step: i64,
    pub(crate) codes: Codes,
}

#[derive(Debug)]
pub(crate) enum Codes {
    Narrow(Box<[u8]>),
    Short(Box<[u16]>),
    Word(Box<[u32]>),
    Wide(Box<[i64]>),
}

/// Texts one behind the other.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) all: Box<str>,
    /// Where each ends.
    pub(crate) ends: Ends,
}

#[derive(Debug)]
pub(crate) enum Ends {
    Short(Box<[u16]>),
    Word(Box<[u32]>),
}

/// Beyond this a double does not tell all whole numbers apart.
pub(crate) const EXACT: i64 = 1 << 53;

/// Where a power of ten makes whole numbers of all decimal fractions: the powers that are tried.
const POWERS: [f64; 2] = [100.0, 10_000.0];

impl Column {
    pub(crate) fn new(data: Data, nulls: Option<Box<[u64]>>) -> Self {
        Self { data, nulls }
    }

    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    pub(crate) fn has_nulls(&self) -> bool {
        self.nulls.is_some() || matches!(self.data, Data::Nulls(_))
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_deref().is_some_and(|bits| bit(bits, row))
    }

    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        if self.is_null(row) {
            return Cell::Null;
        }
        match &self.data {
            Data::Nulls(rows) if row < *rows => Cell::Null,
            Data::Nulls(_) => Cell::Absent,
            Data::Bools(bits) => Cell::Bool(bit(bits, row)),
            Data::Whole(whole) => Cell::Number(Number::from(whole.get(row))),
            Data::Decimal(whole, power) => Cell::Number(Number::from(decimal(whole.get(row), *power))),
            Data::Floats(values) => values.get(row).map_or(Cell::Absent, |value| Cell::Number(Number::from(*value))),
            Data::Dates(whole) => Cell::Date(whole.get(row)),
            Data::Texts(texts) => Cell::Text(texts.get(row)),
            Data::Mixed(values) => Cell::from(values.get(row)),
        }
    }
}

fn bit(bits: &[u64], row: usize) -> bool {
    bits.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
}

/// One bit a row from the rows whose bit is set.
pub(crate) fn bits(rows: usize, set: impl Iterator<Item = usize>) -> Box<[u64]> {
    let mut bits = vec![0_u64; rows.div_ceil(64)];
    for row in set {
        if let Some(word) = bits.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }
    bits.into()
}

/// The double that a decimal fraction stands for: the quotient of two exact doubles is rounded as a reader rounds.
#[expect(clippy::cast_precision_loss, reason = "smaller than 2^53")]
pub(crate) fn decimal(whole: i64, power: f64) -> f64 {
    whole as f64 / power
}

impl Whole {
    /// `dates`: whole seconds are told apart from milliseconds.
    pub(crate) fn of(values: &[i64], dates: bool) -> Self {
        let least = values.iter().copied().min().unwrap_or(0);
        let most = values.iter().copied().max().unwrap_or(0);
        let wide = || Self { base: 0, step: 1, codes: Codes::Wide(values.into()) };
        let Some(span) = most.checked_sub(least) else { return wide() };
        let seconds = dates && span > 0xFFFF && values.iter().all(|value| (value - least) % 1000 == 0);
        let step = if seconds { 1000 } else { 1 };
        let code = |value: &i64| (value - least) / step;
        let span = span / step;
        let codes = if span <= i64::from(u8::MAX) {
            Codes::Narrow(values.iter().map(|value| narrow(code(value))).collect())
        } else if span <= i64::from(u16::MAX) {
            Codes::Short(values.iter().map(|value| short(code(value))).collect())
        } else if span <= i64::from(u32::MAX) {
            Codes::Word(values.iter().map(|value| word(code(value))).collect())
        } else {
            return wide();
        };
        Self { base: least, step, codes }
    }

    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> i64 {
        let code = match &self.codes {
            Codes::Narrow(codes) => codes.get(row).map_or(0, |code| i64::from(*code)),
            Codes::Short(codes) => codes.get(row).map_or(0, |code| i64::from(*code)),
            Codes::Word(codes) => codes.get(row).map_or(0, |code| i64::from(*code)),
            Codes::Wide(codes) => codes.get(row).copied().unwrap_or(0),
        };
        self.of_code(code)
    }

    /// The value of a code.
    pub(crate) fn of_code(&self, code: i64) -> i64 {
        self.base.wrapping_add(self.step.wrapping_mul(code))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the caller knows the range")]
fn narrow(code: i64) -> u8 {
    code as u8
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the caller knows the range")]
fn short(code: i64) -> u16 {
    code as u16
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the caller knows the range")]
fn word(code: i64) -> u32 {
    code as u32
}

/// Doubles in their narrowest form. `nulls`: whose places may be filled with anything.
pub(crate) fn doubles(values: &[f64]) -> Data {
    for power in POWERS {
        let mut whole = Vec::with_capacity(values.len());
        if values.iter().all(|value| scaled(*value, power).map(|scaled| whole.push(scaled)).is_some()) {
            return Data::Decimal(Whole::of(&whole, false), power);
        }
    }
    Data::Floats(values.into())
}

/// The whole number that, divided by the power, is this very double.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn scaled(value: f64, power: f64) -> Option<i64> {
    let product = value * power;
    if product.is_nan() || product.abs() >= 4e9 {
        return None;
    }
    let whole = (product + if product < 0.0 { -0.5 } else { 0.5 }) as i64;
    (decimal(whole, power).to_bits() == value.to_bits()).then_some(whole)
}

impl Texts {
    pub(crate) fn of(all: String, ends: &[u32]) -> Self {
        let ends = if u16::try_from(all.len()).is_ok() {
            Ends::Short(ends.iter().map(|end| short(i64::from(*end))).collect())
        } else {
            Ends::Word(ends.into())
        };
        Self { all: all.into(), ends }
    }

    pub(crate) fn get(&self, row: usize) -> &str {
        let (start, end) = self.range(row);
        self.all.get(start..end).unwrap_or_default()
    }

    /// Where the text of a row stands.
    pub(crate) fn range(&self, row: usize) -> (usize, usize) {
        let before = row.checked_sub(1);
        match &self.ends {
            Ends::Short(ends) => {
                let at = |row: usize| ends.get(row).map_or(0, |end| usize::from(*end));
                (before.map_or(0, at), at(row))
            }
            Ends::Word(ends) => {
                let at = |row: usize| ends.get(row).and_then(|end| usize::try_from(*end).ok()).unwrap_or(0);
                (before.map_or(0, at), at(row))
            }
        }
    }
}
