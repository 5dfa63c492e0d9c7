//! Looking at the data: items, the view, what is changed and what waits.
//!
//! Owns the calls, which are immediate; what they give is the engine's.

use crate::{data_source::DataSource, entry::Entry};
use landfall_core::{ChangeInfo, Pending, QueryOptions, Record, Shown, Uid, Value, View};

/// # Looking
impl<T> DataSource<T> {
    // ---- looking

    /// The item at a position of the data.
    pub fn at(&self, index: usize) -> Option<Entry<T>> {
        self.shared().engine().at(index).map(Entry::new)
    }

    /// The item with this id; `2` and `"2"` are equal (R9.28).
    pub fn get(&self, id: impl Into<Value>) -> Option<Entry<T>> {
        self.shared().engine().get(&id.into()).map(Entry::new)
    }

    /// The item of this identity.
    #[doc(alias = "getByUid")]
    pub fn item(&self, uid: impl Into<Uid>) -> Option<Entry<T>> {
        self.shared().engine().item(uid.into()).map(Entry::new)
    }

    /// The position of an item in the data; none while the data are groups of a server.
    #[doc(alias = "indexOf")]
    pub fn index_of(&self, uid: impl Into<Uid>) -> Option<usize> {
        self.shared().engine().index_of(uid.into())
    }

    /// The number of items in the data.
    pub fn len(&self) -> usize {
        self.shared().engine().len()
    }

    /// Whether the data holds no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All items in data order.
    pub fn data(&self) -> Vec<Entry<T>> {
        self.shared().engine().data().into_iter().map(Entry::new).collect()
    }

    /// The server's groups in Kendo's form, while grouped by the server.
    pub fn data_groups(&self) -> Option<Value> {
        self.shared().engine().data_groups()
    }

    /// What is shown: filtered, sorted, paged, grouped.
    pub fn view(&self) -> Shown {
        self.shared().engine().view()
    }

    /// What is shown, as positions in the data.
    pub fn view_positions(&self) -> View {
        self.shared().engine().view_positions().clone()
    }

    /// The items shown, groups flattened.
    #[doc(alias = "flatView")]
    pub fn rows(&self) -> Vec<Entry<T>> {
        self.view().flat().into_iter().map(Entry::new).collect()
    }

    /// The number of rows in all, as Kendo counts it (R7.63).
    pub fn total(&self) -> usize {
        self.shared().engine().total()
    }

    /// The number of pages; 0 when there is nothing.
    #[doc(alias = "totalPages")]
    pub fn total_pages(&self) -> usize {
        self.shared().engine().total_pages()
    }

    /// Aggregates over all rows that pass the filter, by field and function.
    pub fn aggregates(&self) -> Record {
        self.shared().engine().aggregates().clone()
    }

    /// The current query settings: page, page size, sort, filter, group, aggregate.
    pub fn query_state(&self) -> QueryOptions {
        self.shared().engine().query_state()
    }

    /// Whether there is an offline storage.
    pub fn has_offline_storage(&self) -> bool {
        self.shared().storage.is_some()
    }

    /// Whether the model lets `set` change the field.
    pub fn is_editable(&self, field: &str) -> bool {
        self.shared().engine().options().schema.model().is_none_or(|model| model.editable(field))
    }

    /// Whether a record looks new to the model: its id is the default id. `None` without a model.
    #[doc(alias = "isNew")]
    pub fn is_new(&self, record: &Record) -> Option<bool> {
        let engine = self.shared().engine();
        engine.options().schema.model().map(|model| model.is_default_id(engine.id_of(record).as_ref()))
    }

    /// Whether anything is new, edited, removed or waiting for the server.
    #[doc(alias = "hasChanges")]
    pub fn has_changes(&self) -> bool {
        self.shared().engine().has_changes()
    }

    /// The changed items in data order, with what changed.
    pub fn changes(&self) -> Vec<ChangeInfo> {
        self.shared().engine().changes()
    }

    /// The new items in data order.
    pub fn created(&self) -> Vec<Entry<T>> {
        self.shared().engine().created().into_iter().map(Entry::new).collect()
    }

    /// The edited items in data order.
    pub fn updated(&self) -> Vec<Entry<T>> {
        self.shared().engine().updated().into_iter().map(Entry::new).collect()
    }

    /// The removed items that the server still has.
    pub fn destroyed(&self) -> Vec<Entry<T>> {
        self.shared().engine().destroyed().into_iter().map(Entry::new).collect()
    }

    /// Everything accepted and not acknowledged by the server, with its last error.
    pub fn pending(&self) -> Vec<Pending> {
        self.shared().engine().pending_changes()
    }
}
