//! Items as the program gets them: the values, and what they mean in the program's own type.

use landfall_core::{Item, Record, Result, Uid};
use serde::{Serialize, de::DeserializeOwned};
use std::{any::Any, fmt, marker::PhantomData, ops::Deref};

/// What a data source can hand out and take: [`Record`] itself, or any type that serde reads and writes.
pub trait Row: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Row for T {}

/// Reads a record as a `T`. A `Record` is handed out as it is, without a detour.
pub(crate) fn from_record<T: Row>(record: &Record) -> Result<T> {
    let mut slot: Option<T> = None;
    if let Some(slot) = (&mut slot as &mut dyn Any).downcast_mut::<Option<Record>>() {
        *slot = Some(record.clone());
    }
    match slot {
        Some(value) => Ok(value),
        None => record.to(),
    }
}

/// Writes a `T` as a record.
pub(crate) fn to_record<T: Row>(value: &T) -> Result<Record> {
    match (value as &dyn Any).downcast_ref::<Record>() {
        Some(record) => Ok(record.clone()),
        None => Record::from_serialize(value),
    }
}

/// Several at once, for a call that takes all or none.
pub(crate) fn to_records<T: Row>(rows: impl IntoIterator<Item = T>) -> Result<Vec<Record>> {
    rows.into_iter().map(|row| to_record(&row)).collect()
}

/// One item of a data source at the moment it was asked for. Reads like its [`Record`]; edit it through the data source,
/// by [`uid`](Self::uid) or by handing in the entry itself.
pub struct Entry<T = Record> {
    item: Item,
    marker: PhantomData<fn() -> T>,
}

impl<T> Entry<T> {
    pub(crate) fn new(item: Item) -> Self {
        Self { item, marker: PhantomData }
    }

    /// The identity within the data source.
    pub fn uid(&self) -> Uid {
        self.item.uid
    }

    /// The values.
    pub fn record(&self) -> &Record {
        &self.item.record
    }
}

impl<T: Row> Entry<T> {
    /// The values as your type.
    ///
    /// # Errors
    /// `Undecodable` when the record does not have the shape of the type.
    pub fn value(&self) -> Result<T> {
        from_record(&self.item.record)
    }
}

impl<T> Deref for Entry<T> {
    type Target = Record;
    fn deref(&self) -> &Record {
        &self.item.record
    }
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self::new(self.item.clone())
    }
}

impl<T> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("uid", &self.item.uid).field("record", &self.item.record).finish()
    }
}

impl<T> From<&Entry<T>> for Uid {
    fn from(entry: &Entry<T>) -> Self {
        entry.uid()
    }
}

impl<T> From<Entry<T>> for Uid {
    fn from(entry: Entry<T>) -> Self {
        entry.uid()
    }
}
