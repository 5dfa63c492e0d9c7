//! Records: one JSON object with ordered members.
//!
//! Owns the layout (a shared list of member names, and rows in blocks: of values, or of columns) and hides it. Never knows
//! a schema.

mod build;
mod cell;
mod column;
mod columns;
mod rows;

pub(crate) use build::Building;
pub(crate) use cell::Cell;
pub(crate) use column::{Codes, Column, Data, Texts, Whole, decimal};
pub(crate) use columns::Columns;
pub(crate) use rows::Rows;

use crate::{Text, Value};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// The member names of records that look alike, in order. Shared between them.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    names: Vec<Text>,
    /// The names as they usually stand in JSON text.
    quoted: OnceLock<Vec<Box<[u8]>>>,
}

impl Shape {
    pub(crate) fn new(names: Vec<Text>) -> Self {
        Self { names, quoted: OnceLock::new() }
    }

    pub(crate) fn names(&self) -> &[Text] {
        &self.names
    }

    /// The names between quotes, as they stand in JSON text that escapes nothing without need.
    pub(crate) fn quoted(&self) -> &[Box<[u8]>] {
        self.quoted
            .get_or_init(|| self.names.iter().map(|name| crate::json::quoted(name).into_bytes().into()).collect())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.as_str() == name)
    }
}

/// The values of records that look alike.
#[derive(Debug)]
struct Block {
    shape: Arc<Shape>,
    form: Form,
}

/// How the rows of a block are kept.
#[derive(Debug)]
enum Form {
    /// One row after another: few rows, and those that are changed.
    Values(Vec<Value>),
    /// Member by member: many rows that came together. Never changed.
    Columns(Columns),
}

/// One JSON object: members keep their order, unknown members survive. Cloning is cheap (shared until changed).
///
/// ```
/// use landfall_core::Record;
/// let mut record = Record::from_json(r#"{"id":1,"name":"Chai"}"#)?;
/// record.set("name", "Chang");
/// assert_eq!(record.to_json(), r#"{"id":1,"name":"Chang"}"#);
/// # Ok::<(), landfall_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Record {
    block: Arc<Block>,
    row: u32,
}

impl Record {
    /// An empty record.
    pub fn new() -> Self {
        Self::from_parts(Arc::new(Shape::default()), Vec::new())
    }

    pub(crate) fn from_parts(shape: Arc<Shape>, values: Vec<Value>) -> Self {
        debug_assert_eq!(shape.names.len(), values.len());
        Self { block: Arc::new(Block { shape, form: Form::Values(values) }), row: 0 }
    }

    /// The first of some records of one shape from their values, one row after another.
    pub(crate) fn of_values(shape: Arc<Shape>, values: Vec<Value>) -> Self {
        Self { block: Arc::new(Block { shape, form: Form::Values(values) }), row: 0 }
    }

    /// The first of the records of some columns.
    pub(crate) fn of_columns(shape: Arc<Shape>, columns: Columns) -> Self {
        Self { block: Arc::new(Block { shape, form: Form::Columns(columns) }), row: 0 }
    }

    /// This and the records behind it in its block, so many in all.
    pub(crate) fn run(self, rows: u32) -> impl ExactSizeIterator<Item = Self> {
        (self.row..self.row + rows).map(move |row| Self { block: Arc::clone(&self.block), row })
    }

    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.block.shape
    }

    /// The columns of the block and the row in them, where the block has columns.
    pub(crate) fn columns(&self) -> Option<(&Columns, usize)> {
        match &self.block.form {
            Form::Columns(columns) => Some((columns, self.at())),
            Form::Values(_) => None,
        }
    }

    fn at(&self) -> usize {
        usize::try_from(self.row).unwrap_or(usize::MAX)
    }

    /// The values in the order of the shape. Of a row of columns they are made when first asked for, and kept: what goes
    /// over many rows reads cells instead.
    pub(crate) fn values(&self) -> &[Value] {
        match &self.block.form {
            Form::Values(values) => {
                let width = self.block.shape.names.len();
                let start = self.at().saturating_mul(width);
                values.get(start..start + width).unwrap_or_default()
            }
            Form::Columns(columns) => columns.values(self.at()),
        }
    }

    /// The value at a position of the shape, where it stands.
    pub(crate) fn cell_at(&self, position: usize) -> Cell<'_> {
        match &self.block.form {
            Form::Values(_) => Cell::from(self.values().get(position)),
            Form::Columns(columns) => columns.cell(position, self.at()),
        }
    }

    /// The member of this name, where it stands.
    pub(crate) fn cell(&self, name: &str) -> Cell<'_> {
        self.position(name).map_or(Cell::Absent, |position| self.cell_at(position))
    }

    /// The members in order, where they stand.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&str, Cell<'_>)> {
        let names = self.block.shape.names.iter().map(Text::as_str);
        names.enumerate().map(|(position, name)| (name, self.cell_at(position)))
    }

    /// Whether one of the members is a list or an object of which that is true. Looks at no others.
    pub(crate) fn any_nested(&self, is: impl Fn(&Value) -> bool) -> bool {
        let nested = |value: &Value| matches!(value, Value::Array(_) | Value::Object(_)) && is(value);
        match self.columns() {
            Some((columns, row)) => columns.any_mixed(row, nested),
            None => self.values().iter().any(nested),
        }
    }

    /// Whether it is a row of columns none of which holds lists or objects.
    pub(crate) fn is_flat(&self) -> bool {
        self.columns().is_some_and(|(columns, _)| columns.is_flat())
    }

    /// The values, if nobody else holds them; else none.
    pub(crate) fn into_values(self) -> Vec<Value> {
        match Arc::into_inner(self.block).map(|block| block.form) {
            Some(Form::Values(values)) => values,
            _ => Vec::new(),
        }
    }

    /// The value at a position of the shape.
    pub(crate) fn value_at(&self, position: usize) -> Option<&Value> {
        self.values().get(position)
    }

    /// Shape and values for changing: a row of its own, copied first where it is shared.
    fn own(&mut self) -> Option<(&mut Arc<Shape>, &mut Vec<Value>)> {
        let alone = match &self.block.form {
            Form::Values(values) => self.row == 0 && values.len() == self.block.shape.names.len(),
            Form::Columns(_) => false,
        };
        if !alone || Arc::strong_count(&self.block) > 1 {
            let values = match &self.block.form {
                Form::Values(_) => self.values().to_vec(),
                Form::Columns(columns) => columns.copied(self.at()),
            };
            *self = Self::from_parts(Arc::clone(&self.block.shape), values);
        }
        match Arc::get_mut(&mut self.block)? {
            Block { shape, form: Form::Values(values) } => Some((shape, values)),
            Block { form: Form::Columns(_), .. } => None,
        }
    }

    /// Puts other columns under records that are all rows of one block of columns.
    pub(crate) fn change_columns(records: &mut [Self], shape: Arc<Shape>, columns: Columns) {
        let block = Arc::new(Block { shape, form: Form::Columns(columns) });
        for record in records {
            *record = Self { block: Arc::clone(&block), row: record.row };
        }
    }

    /// Changes the values of records that are rows of one block where they stand, each with its values, if nobody else
    /// holds any of that block. Gives the records, and whether it was done.
    pub(crate) fn change_together(records: &mut [Self], mut change: impl FnMut(&mut [Value])) -> bool {
        let Some(first) = records.first() else { return true };
        let width = first.block.shape.names.len();
        if width == 0 || !records.iter().all(|record| Arc::ptr_eq(&record.block, &first.block)) {
            return false;
        }
        if Arc::strong_count(&first.block) != records.len() {
            return false;
        }
        let rows: Vec<u32> = records.iter().map(|record| record.row).collect();
        let empty = Self::new();
        let mut block = Arc::clone(&first.block);
        records.fill(empty);
        let done = if let Some(Block { form: Form::Values(all), .. }) = Arc::get_mut(&mut block) {
            for row in &rows {
                let start = usize::try_from(*row).unwrap_or(usize::MAX).saturating_mul(width);
                if let Some(values) = all.get_mut(start..start + width) {
                    change(values);
                }
            }
            true
        } else {
            false
        };
        for (record, row) in records.iter_mut().zip(rows) {
            *record = Self { block: Arc::clone(&block), row };
        }
        done
    }

    /// Whether this is the row behind the other one in one block of columns.
    pub(crate) fn follows(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block)
            && self.row == other.row.wrapping_add(1)
            && matches!(self.block.form, Form::Columns(_))
    }

    /// Whether both are rows of one block.
    pub(crate) fn same_block(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block)
    }

    /// The values in the order of the shape; copied first where they are shared.
    pub(crate) fn values_mut(&mut self) -> &mut [Value] {
        self.own().map(|(_, values)| values.as_mut_slice()).unwrap_or_default()
    }

    /// The position of a member, to be reused for records of the same [`Shape`].
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.block.shape.position(name)
    }

    /// Whether both are one and the same in memory, which implies equality.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.row == other.row && Arc::ptr_eq(&self.block, &other.block)
    }

    /// The member of this name; `None` when absent (JavaScript's undefined).
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).and_then(|position| self.value_at(position))
    }

    /// Whether the member exists.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Sets a member; a new one is appended. Gives the old value.
    pub fn set(&mut self, name: impl AsRef<str>, value: impl Into<Value>) -> Option<Value> {
        let name = name.as_ref();
        let position = self.position(name);
        let (shape, values) = self.own()?;
        if let Some(slot) = position.and_then(|position| values.get_mut(position)) {
            return Some(std::mem::replace(slot, value.into()));
        }
        // A shape that nobody shares grows in place; a shared one is copied.
        let shape = Arc::make_mut(shape);
        shape.quoted.take();
        shape.names.push(Text::from(name));
        values.push(value.into());
        None
    }

    /// Removes a member; the others keep their order. Gives its value.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let position = self.position(name)?;
        let (shape, values) = self.own()?;
        let shape = Arc::make_mut(shape);
        shape.quoted.take();
        shape.names.remove(position);
        Some(values.remove(position))
    }

    /// A mutable member.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let position = self.position(name)?;
        self.own().and_then(|(_, values)| values.get_mut(position))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.block.shape.names.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.block.shape.names.is_empty()
    }

    /// The members in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.block.shape.names.iter().map(Text::as_str).zip(self.values().iter())
    }

    /// Reads one JSON object.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) when the text is not a JSON object.
    pub fn from_json(text: &str) -> crate::Result<Self> {
        crate::json::record_from_str(text)
    }

    /// JSON text as `JSON.stringify` writes it.
    pub fn to_json(&self) -> String {
        crate::json::record_to_string(self)
    }

    /// Takes over any value that serialises to a JSON object.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it does not.
    pub fn from_serialize<T: serde::Serialize + ?Sized>(value: &T) -> crate::Result<Self> {
        match Value::from_serialize(value)? {
            Value::Object(record) => Ok(record),
            other => Err(crate::Error::new(crate::ErrorKind::Invalid, "a record must serialise to a JSON object")
                .with("got", other.to_json().chars().take(40).collect::<String>())),
        }
    }

    /// Turns into a type of yours.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`](crate::ErrorKind::Undecodable) when the shape does not fit.
    pub fn to<T: serde::de::DeserializeOwned>(&self) -> crate::Result<T> {
        crate::json::to_type(self)
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Shape {
    fn clone(&self) -> Self {
        Self::new(self.names.clone())
    }
}

/// Equal when they have the same members with equal values, in any order.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
            || self.len() == other.len()
                && if Arc::ptr_eq(self.shape(), other.shape()) {
                    (0..self.len()).all(|position| self.cell_at(position).same(other.cell_at(position)))
                } else {
                    self.cells().all(|(name, cell)| other.position(name).is_some_and(|at| other.cell_at(at).same(cell)))
                }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: Into<Value>> FromIterator<(N, V)> for Record {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(members: I) -> Self {
        let mut record = Self::new();
        for (name, value) in members {
            record.set(name, value);
        }
        record
    }
}

impl<N: AsRef<str>, V: Into<Value>, const L: usize> From<[(N, V); L]> for Record {
    fn from(members: [(N, V); L]) -> Self {
        members.into_iter().collect()
    }
}
