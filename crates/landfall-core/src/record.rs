//! Records: one JSON object with ordered members.
//!
//! Owns the layout (a shared list of member names, and rows of values in blocks) and hides it. Never knows a schema.

use crate::{Text, Value};
use std::{fmt, sync::Arc};

/// The member names of records that look alike, in order. Shared between them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    names: Vec<Text>,
}

impl Shape {
    pub(crate) fn new(names: Vec<Text>) -> Self {
        Self { names }
    }

    pub(crate) fn names(&self) -> &[Text] {
        &self.names
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.as_str() == name)
    }
}

/// The values of records that look alike, one row after another.
#[derive(Debug)]
struct Block {
    shape: Arc<Shape>,
    values: Vec<Value>,
}

/// How many rows are put into one block, so that many rows cost few allocations and a row that is kept does not keep many
/// others.
pub(crate) const BLOCK: u32 = 64;

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
        Self { block: Arc::new(Block { shape, values }), row: 0 }
    }

    /// So many records of one shape from their values one row after another.
    pub(crate) fn rows(shape: Arc<Shape>, values: Vec<Value>, rows: u32) -> impl Iterator<Item = Self> {
        let block = Arc::new(Block { shape, values });
        (0..rows).map(move |row| Self { block: Arc::clone(&block), row })
    }

    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.block.shape
    }

    /// The values in the order of the shape.
    pub(crate) fn values(&self) -> &[Value] {
        let width = self.block.shape.names.len();
        let start = usize::try_from(self.row).unwrap_or(usize::MAX).saturating_mul(width);
        self.block.values.get(start..start + width).unwrap_or_default()
    }

    /// The value at a position of the shape.
    pub(crate) fn value_at(&self, position: usize) -> Option<&Value> {
        self.values().get(position)
    }

    /// Shape and values for changing: a row of its own, copied first where it is shared.
    fn own(&mut self) -> &mut Block {
        let alone = self.row == 0 && self.block.values.len() == self.block.shape.names.len();
        if !alone || Arc::strong_count(&self.block) > 1 {
            let block = Block { shape: Arc::clone(&self.block.shape), values: self.values().to_vec() };
            *self = Self { block: Arc::new(block), row: 0 };
        }
        Arc::make_mut(&mut self.block)
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
        let unshared = Arc::get_mut(&mut block);
        let done = unshared.is_some();
        if let Some(block) = unshared {
            for row in &rows {
                let start = usize::try_from(*row).unwrap_or(usize::MAX).saturating_mul(width);
                if let Some(values) = block.values.get_mut(start..start + width) {
                    change(values);
                }
            }
        }
        for (record, row) in records.iter_mut().zip(rows) {
            *record = Self { block: Arc::clone(&block), row };
        }
        done
    }

    /// Whether both are rows of one block.
    pub(crate) fn same_block(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block)
    }

    /// The values in the order of the shape; copied first where they are shared.
    pub(crate) fn values_mut(&mut self) -> &mut [Value] {
        &mut self.own().values
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
        let block = self.own();
        if let Some(slot) = position.and_then(|position| block.values.get_mut(position)) {
            return Some(std::mem::replace(slot, value.into()));
        }
        // A shape that nobody shares grows in place; a shared one is copied.
        Arc::make_mut(&mut block.shape).names.push(Text::from(name));
        block.values.push(value.into());
        None
    }

    /// Removes a member; the others keep their order. Gives its value.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let position = self.position(name)?;
        let block = self.own();
        Arc::make_mut(&mut block.shape).names.remove(position);
        Some(block.values.remove(position))
    }

    /// A mutable member.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let position = self.position(name)?;
        self.own().values.get_mut(position)
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

impl Clone for Block {
    fn clone(&self) -> Self {
        Self { shape: Arc::clone(&self.shape), values: self.values.clone() }
    }
}

impl Clone for Shape {
    fn clone(&self) -> Self {
        Self { names: self.names.clone() }
    }
}

/// Equal when they have the same members with equal values, in any order.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
            || self.len() == other.len() && self.iter().all(|(name, value)| other.get(name).is_some_and(|v| v == value))
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
