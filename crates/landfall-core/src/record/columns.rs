//! Blocks of columns: rows of one shape that came together, and the values of those rows that somebody looked at.
//!
//! Owns the values that are made of cells. Never changes a column.

use super::{Cell, Column, Data};
use crate::Value;
use std::sync::{Arc, OnceLock};

/// How many rows a block holds at most.
pub(crate) const ROWS: u32 = 1024;

/// So many rows share one list of values to be made.
const GROUP: usize = 32;

type Row = OnceLock<Box<[Value]>>;
type Made = OnceLock<Box<[Row]>>;

/// The columns of some rows, in the order of their shape.
#[derive(Debug)]
pub(crate) struct Columns {
    cells: Box<[Arc<Column>]>,
    rows: u32,
    /// The values of rows that were looked at, in groups: nothing until the first look.
    made: OnceLock<Box<[Made]>>,
}

impl Columns {
    pub(crate) fn new(columns: Vec<Arc<Column>>, rows: u32) -> Self {
        Self { cells: columns.into(), rows, made: OnceLock::new() }
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    pub(crate) fn column(&self, position: usize) -> Option<&Arc<Column>> {
        self.cells.get(position)
    }

    pub(crate) fn cell(&self, position: usize, row: usize) -> Cell<'_> {
        self.cells.get(position).map_or(Cell::Absent, |column| column.cell(row))
    }

    /// Whether a value of a row that is in no typed column is such.
    pub(crate) fn any_mixed(&self, row: usize, is: impl Fn(&Value) -> bool) -> bool {
        self.cells.iter().any(|column| match column.data() {
            Data::Mixed(values) => values.get(row).is_some_and(&is),
            _ => false,
        })
    }

    /// Whether no column holds lists or objects.
    pub(crate) fn is_flat(&self) -> bool {
        !self.cells.iter().any(|column| matches!(column.data(), Data::Mixed(_)))
    }

    /// The values of a row, as a list of their own.
    pub(crate) fn copied(&self, row: usize) -> Vec<Value> {
        self.cells.iter().map(|column| column.cell(row).to_value().unwrap_or_default()).collect()
    }

    /// The values of a row; made when first asked for.
    pub(crate) fn values(&self, row: usize) -> &[Value] {
        let rows = usize::try_from(self.rows).unwrap_or(0);
        let groups = self.made.get_or_init(|| (0..rows.div_ceil(GROUP)).map(|_| OnceLock::new()).collect());
        let Some(group) = groups.get(row / GROUP) else { return &[] };
        let group = group.get_or_init(|| (0..GROUP).map(|_| OnceLock::new()).collect());
        let Some(slot) = group.get(row % GROUP) else { return &[] };
        slot.get_or_init(|| self.copied(row).into())
    }
}
