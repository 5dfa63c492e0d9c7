//! Columns on their way: cells come in row by row, compact columns go out.
//!
//! Owns the choice of a column's form. Its room is used again for the next block.

use super::column::{Column, Data, EXACT, Texts, Whole, bits, doubles};
use crate::{Date, Number, Text, Value};

/// Texts of one block stay below this, so that places in them fit into 32 bits.
const FULL: usize = 1 << 22;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Nothing but nulls so far.
    #[default]
    Unknown,
    Bools,
    Whole,
    Floats,
    Dates,
    Texts,
    Mixed,
}

/// One column on its way.
#[derive(Debug, Default)]
pub(crate) struct Building {
    form: Form,
    /// The rows that are null, ascending.
    nulls: Vec<u32>,
    /// Truth values, whole numbers, instants.
    whole: Vec<i64>,
    floats: Vec<f64>,
    /// UTF-8: who puts bytes in has checked them.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    mixed: Vec<Value>,
    /// Texts are instants if all of them are in the usual form.
    pub(crate) dates: bool,
}

impl Building {
    /// Whether texts take so much room that the block should be closed.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// Takes the form for the first value, behind `row` nulls.
    fn begin(&mut self, form: Form, row: usize) {
        self.form = form;
        match form {
            Form::Unknown => {}
            Form::Bools | Form::Whole | Form::Dates => self.whole.resize(row, 0),
            Form::Floats => self.floats.resize(row, 0.0),
            Form::Texts => self.ends.resize(row, 0),
            Form::Mixed => self.mixed.resize(row, Value::Null),
        }
    }

    fn end(&self) -> u32 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// What a row before `rows` holds.
    pub(crate) fn value(&self, row: usize) -> Value {
        let null = u32::try_from(row).is_ok_and(|row| self.nulls.binary_search(&row).is_ok());
        if null {
            return Value::Null;
        }
        let whole = || self.whole.get(row).copied().unwrap_or(0);
        match self.form {
            Form::Unknown => Value::Null,
            Form::Bools => Value::Bool(whole() != 0),
            Form::Whole => Value::from(whole()),
            Form::Floats => Value::from(self.floats.get(row).copied().unwrap_or(0.0)),
            Form::Dates => Value::Date(Date::from_millis(whole())),
            Form::Texts => Value::String(Text::from(String::from_utf8_lossy(self.text(row)).as_ref())),
            Form::Mixed => self.mixed.get(row).cloned().unwrap_or_default(),
        }
    }

    fn text(&self, row: usize) -> &[u8] {
        let at = |row: usize| self.ends.get(row).and_then(|end| usize::try_from(*end).ok()).unwrap_or(0);
        self.bytes.get(row.checked_sub(1).map_or(0, at)..at(row)).unwrap_or_default()
    }

    /// Gives up the compact form.
    fn mix(&mut self, rows: usize) {
        if self.form != Form::Mixed {
            let mixed = (0..rows).map(|row| self.value(row)).collect();
            self.clear();
            self.form = Form::Mixed;
            self.mixed = mixed;
        }
    }

    pub(crate) fn push_null(&mut self, row: usize) {
        match self.form {
            Form::Unknown => {}
            Form::Bools | Form::Whole | Form::Dates => self.whole.push(0),
            Form::Floats => self.floats.push(0.0),
            Form::Texts => self.ends.push(self.end()),
            Form::Mixed => {
                self.mixed.push(Value::Null);
                return;
            }
        }
        self.nulls.push(u32::try_from(row).unwrap_or(u32::MAX));
    }

    fn push_of(&mut self, form: Form, row: usize, whole: i64, value: impl FnOnce() -> Value) {
        if self.form == Form::Unknown {
            self.begin(form, row);
        }
        if self.form == form {
            self.whole.push(whole);
        } else {
            self.mix(row);
            self.mixed.push(value());
        }
    }

    pub(crate) fn push_bool(&mut self, row: usize, value: bool) {
        self.push_of(Form::Bools, row, i64::from(value), || Value::Bool(value));
    }

    pub(crate) fn push_whole(&mut self, row: usize, value: i64) {
        if self.form == Form::Whole {
            self.whole.push(value);
        } else if self.form == Form::Floats && value.unsigned_abs() < EXACT.unsigned_abs() {
            self.floats.push(exact(value));
        } else {
            self.push_of(Form::Whole, row, value, || Value::from(value));
        }
    }

    pub(crate) fn push_float(&mut self, row: usize, value: f64) {
        match self.form {
            Form::Floats => {
                self.floats.push(value);
                return;
            }
            Form::Unknown => self.begin(Form::Floats, row),
            Form::Whole if self.whole.iter().all(|whole| whole.unsigned_abs() < EXACT.unsigned_abs()) => {
                self.floats.clear();
                self.floats.extend(self.whole.drain(..).map(exact));
                self.form = Form::Floats;
            }
            _ => {
                self.mix(row);
                self.mixed.push(Value::from(value));
                return;
            }
        }
        self.floats.push(value);
    }

    /// Room for the bytes of a text, to be closed by [`Self::end_text`]; `None` where the column has another form.
    pub(crate) fn begin_text(&mut self, row: usize) -> Option<&mut Vec<u8>> {
        if self.form == Form::Unknown {
            self.begin(Form::Texts, row);
        }
        (self.form == Form::Texts).then_some(&mut self.bytes)
    }

    pub(crate) fn end_text(&mut self) {
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    fn push_text(&mut self, row: usize, text: Text) {
        if let Some(bytes) = self.begin_text(row).filter(|bytes| bytes.len().saturating_add(text.len()) < 1 << 31) {
            bytes.extend_from_slice(text.as_bytes());
            self.end_text();
        } else {
            self.mix(row);
            self.mixed.push(Value::String(text));
        }
    }

    fn push_number(&mut self, row: usize, number: Number) {
        match number.whole() {
            Some(whole) => self.push_whole(row, whole),
            None if number.as_u64().is_some_and(|value| value > i64::MAX.unsigned_abs()) => {
                self.mix(row);
                self.mixed.push(Value::Number(number));
            }
            None => self.push_float(row, number.as_f64()),
        }
    }

    pub(crate) fn push_date(&mut self, row: usize, date: Date) {
        self.push_of(Form::Dates, row, date.millis(), || Value::Date(date));
    }

    pub(crate) fn push(&mut self, row: usize, value: Value) {
        match value {
            Value::Null => self.push_null(row),
            Value::Bool(value) => self.push_bool(row, value),
            Value::Number(number) => self.push_number(row, number),
            Value::Date(date) => self.push_date(row, date),
            Value::String(text) => self.push_text(row, text),
            Value::Array(_) | Value::Object(_) => {
                self.mix(row);
                self.mixed.push(value);
            }
        }
    }

    /// Forgets what was pushed for rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        while self.nulls.last().is_some_and(|row| usize::try_from(*row).is_ok_and(|row| row >= rows)) {
            self.nulls.pop();
        }
        self.whole.truncate(rows);
        self.floats.truncate(rows);
        self.mixed.truncate(rows);
        if self.form == Form::Texts {
            self.ends.truncate(rows);
            self.bytes.truncate(usize::try_from(self.end()).unwrap_or(0));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.form = Form::Unknown;
        self.nulls.clear();
        self.whole.clear();
        self.floats.clear();
        self.bytes.clear();
        self.ends.clear();
        self.mixed.clear();
    }

    /// The column of the first rows; empty afterwards.
    pub(crate) fn finish(&mut self, rows: usize) -> Column {
        // What stands in the place of a null must not make the others wider.
        if !self.nulls.is_empty() && matches!(self.form, Form::Whole | Form::Dates | Form::Floats) {
            let mut nulls = self.nulls.iter().map(|row| usize::try_from(*row).unwrap_or(usize::MAX)).peekable();
            let known = (0..rows).find(|row| nulls.next_if_eq(row).is_none()).unwrap_or(0);
            let whole = self.whole.get(known).copied().unwrap_or(0);
            let float = self.floats.get(known).copied().unwrap_or(0.0);
            for row in self.nulls.iter().filter_map(|row| usize::try_from(*row).ok()) {
                if let Some(slot) = self.whole.get_mut(row) {
                    *slot = whole;
                }
                if let Some(slot) = self.floats.get_mut(row) {
                    *slot = float;
                }
            }
        }
        let data = match self.form {
            Form::Unknown => Data::Nulls(rows),
            Form::Bools => {
                let set = self.whole.iter().enumerate().filter(|(_, value)| **value != 0).map(|(row, _)| row);
                Data::Bools(bits(rows, set))
            }
            Form::Whole => Data::Whole(Whole::of(&self.whole, false)),
            Form::Floats => doubles(&self.floats),
            Form::Dates => Data::Dates(Whole::of(&self.whole, true)),
            Form::Texts => self.finish_texts(rows),
            Form::Mixed => Data::Mixed(std::mem::take(&mut self.mixed).into()),
        };
        let nulls = matches!(self.form, Form::Unknown | Form::Mixed) || self.nulls.is_empty();
        let nulls = (!nulls).then(|| bits(rows, self.nulls.iter().filter_map(|row| usize::try_from(*row).ok())));
        self.clear();
        Column::new(data, nulls)
    }

    fn finish_texts(&mut self, rows: usize) -> Data {
        if self.dates && self.read_dates(rows) {
            return Data::Dates(Whole::of(&self.whole, true));
        }
        Data::Texts(Texts::of(String::from_utf8_lossy(&self.bytes).into_owned(), &self.ends))
    }

    /// Reads every text as an instant in the usual form, if all are.
    fn read_dates(&mut self, rows: usize) -> bool {
        let mut nulls = self.nulls.iter().copied().peekable();
        let mut known = 0;
        let mut missing: Vec<usize> = Vec::new();
        let mut whole = std::mem::take(&mut self.whole);
        whole.clear();
        for row in 0..rows {
            if nulls.next_if(|null| usize::try_from(*null).is_ok_and(|null| null == row)).is_some() {
                missing.push(row);
                whole.push(known);
            } else if let Some(date) = Date::from_usual(self.text(row)) {
                known = date.millis();
                whole.push(known);
            } else {
                self.whole = whole;
                self.whole.clear();
                return false;
            }
        }
        for row in missing {
            if let Some(slot) = whole.get_mut(row) {
                *slot = known;
            }
        }
        self.whole = whole;
        true
    }
}

#[expect(clippy::cast_precision_loss, reason = "smaller than 2^53")]
fn exact(value: i64) -> f64 {
    value as f64
}
