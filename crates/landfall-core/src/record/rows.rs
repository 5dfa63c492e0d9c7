//! Rows of a list on their way into blocks.
//!
//! Owns when rows go into columns: when many of one shape follow each other. Never reads a text.

use super::{Building, Columns, Record, Shape, columns::ROWS};
use crate::{Text, Value};
use std::sync::Arc;

/// So many rows of one shape are kept as values before the next ones make columns of them.
const FEW: u32 = if cfg!(test) { 3 } else { 16 };

/// What came so far, in order: the list itself is made at the end, at once.
enum Piece {
    /// The first of so many records of one block.
    Block(Record, u32),
    Other(Value),
}

/// Rows on their way.
#[derive(Default)]
pub(crate) struct Rows {
    pieces: Vec<Piece>,
    shape: Option<Arc<Shape>>,
    /// The rows of the block under way, as long as they are few.
    values: Vec<Value>,
    count: u32,
    columns: Vec<Building>,
    /// The rows of the block under way are in columns.
    in_columns: bool,
    /// Members whose texts are instants where all of them are in the usual form.
    dates: Vec<Text>,
}

impl Rows {
    /// With members whose texts are to become instants.
    pub(crate) fn with_dates(dates: &[Text]) -> Self {
        Self { dates: dates.to_vec(), ..Self::default() }
    }

    /// The shape of the rows under way.
    pub(crate) fn shape(&self) -> Option<&Arc<Shape>> {
        self.shape.as_ref()
    }

    /// The columns that the next row of this shape goes into, if it does, and the number of that row. To be followed by
    /// [`Self::pushed`] or [`Self::dropped`].
    pub(crate) fn open(&mut self) -> Option<(&Arc<Shape>, &mut [Building], usize)> {
        let shape = self.shape.as_ref().filter(|_| self.in_columns)?;
        Some((shape, &mut self.columns, usize::try_from(self.count).unwrap_or(usize::MAX)))
    }

    /// A whole row was pushed to the columns.
    pub(crate) fn pushed(&mut self) {
        self.count += 1;
        if self.count == ROWS || self.columns.iter().any(Building::is_full) {
            self.close();
        }
    }

    /// A row was pushed in part only: it is forgotten.
    pub(crate) fn dropped(&mut self) {
        let rows = usize::try_from(self.count).unwrap_or(usize::MAX);
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// Takes one row of this shape.
    pub(crate) fn push(&mut self, shape: Arc<Shape>, mut row: Vec<Value>) {
        if !self.shape.as_ref().is_some_and(|known| Arc::ptr_eq(known, &shape)) {
            self.close();
            self.in_columns = false;
            self.shape = Some(shape);
        }
        if self.in_columns {
            let at = usize::try_from(self.count).unwrap_or(usize::MAX);
            for (column, value) in self.columns.iter_mut().zip(row) {
                column.push(at, value);
            }
            self.pushed();
            return;
        }
        if self.count == 0 && self.values.is_empty() {
            self.values = row;
        } else {
            self.values.append(&mut row);
        }
        self.count += 1;
        if self.count > FEW {
            self.columnise();
        }
    }

    /// What is no row.
    pub(crate) fn push_other(&mut self, item: Value) {
        self.close();
        self.pieces.push(Piece::Other(item));
    }

    /// Moves the rows under way into columns.
    fn columnise(&mut self) {
        let Some(shape) = &self.shape else { return };
        let names = shape.names();
        if names.is_empty() {
            return;
        }
        self.columns.resize_with(names.len(), Building::default);
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.clear();
            column.dates = self.dates.contains(name);
        }
        let mut values = std::mem::take(&mut self.values).into_iter();
        for row in 0..usize::try_from(self.count).unwrap_or(0) {
            for (column, value) in self.columns.iter_mut().zip(values.by_ref()) {
                column.push(row, value);
            }
        }
        self.in_columns = true;
    }

    /// Closes the block under way; rows of the same shape go on as they did.
    fn close(&mut self) {
        let rows = std::mem::take(&mut self.count);
        let Some(shape) = self.shape.as_ref().filter(|_| rows > 0) else { return };
        let shape = Arc::clone(shape);
        let count = usize::try_from(rows).unwrap_or(0);
        if self.in_columns && rows > FEW {
            let columns = self.columns.iter_mut().map(|column| Arc::new(column.finish(count))).collect();
            self.pieces.push(Piece::Block(Record::of_columns(shape, Columns::new(columns, rows)), rows));
            return;
        }
        let mut values = std::mem::take(&mut self.values);
        if self.in_columns {
            values = (0..count).flat_map(|row| self.columns.iter().map(move |column| column.value(row))).collect();
            self.columns.iter_mut().for_each(Building::clear);
        }
        values.shrink_to_fit();
        self.pieces.push(Piece::Block(Record::of_values(shape, values), rows));
    }

    /// All items in order.
    pub(crate) fn finish(mut self) -> Vec<Value> {
        self.close();
        let mut items = Vec::with_capacity(self.pieces.iter().map(Piece::len).sum());
        for piece in self.pieces {
            match piece {
                Piece::Block(first, rows) => items.extend(first.run(rows).map(Value::Object)),
                Piece::Other(item) => items.push(item),
            }
        }
        items
    }

    /// All records in order.
    pub(crate) fn finish_records(mut self) -> Vec<Record> {
        self.close();
        let mut records = Vec::with_capacity(self.pieces.iter().map(Piece::len).sum());
        for piece in self.pieces {
            if let Piece::Block(first, rows) = piece {
                records.extend(first.run(rows));
            }
        }
        records
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Block(_, rows) => usize::try_from(*rows).unwrap_or(0),
            Self::Other(_) => 1,
        }
    }
}
