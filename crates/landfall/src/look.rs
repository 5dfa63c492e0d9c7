//! Looking at the data: items, the view, what is changed and what waits.
//!
//! Owns the calls, which are immediate; what they give is the engine's.

use crate::{data_source::DataSource, entry::Entry};
use landfall_core::{ChangeInfo, Pending, QueryOptions, Record, Shown, Uid, Value, View};

/// # Looking
///
/// # Panics
/// Each of these calls does, but [`has_offline_storage`](Self::has_offline_storage), in a function that the data source runs
/// while it is locked ([above](DataSource#functions-of-the-programs-own)).
impl<T> DataSource<T> {
    // ---- looking

    /// The item at a position of the data.
    #[track_caller]
    pub fn at(&self, index: usize) -> Option<Entry<T>> {
        self.look("at").at(index).map(Entry::new)
    }

    /// The item with this id; `2` and `"2"` are equal (R9.28).
    #[track_caller]
    pub fn get(&self, id: impl Into<Value>) -> Option<Entry<T>> {
        let id = id.into();
        self.look("get").get(&id).map(Entry::new)
    }

    /// The item of this identity.
    #[doc(alias = "getByUid")]
    #[track_caller]
    pub fn item(&self, uid: impl Into<Uid>) -> Option<Entry<T>> {
        let uid = uid.into();
        self.look("item").item(uid).map(Entry::new)
    }

    /// The position of an item in the data; none while the data are groups of a server.
    #[doc(alias = "indexOf")]
    #[track_caller]
    pub fn index_of(&self, uid: impl Into<Uid>) -> Option<usize> {
        let uid = uid.into();
        self.look("index_of").index_of(uid)
    }

    /// The number of items in the data.
    #[track_caller]
    pub fn len(&self) -> usize {
        self.look("len").len()
    }

    /// Whether the data holds no items.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.look("is_empty").len() == 0
    }

    /// All items in data order.
    #[track_caller]
    pub fn data(&self) -> Vec<Entry<T>> {
        self.look("data").data().into_iter().map(Entry::new).collect()
    }

    /// The server's groups in Kendo's form, while grouped by the server.
    #[track_caller]
    pub fn data_groups(&self) -> Option<Value> {
        self.look("data_groups").data_groups()
    }

    /// What is shown: filtered, sorted, paged, grouped.
    #[track_caller]
    pub fn view(&self) -> Shown {
        self.look("view").view()
    }

    /// What is shown, as positions in the data.
    #[track_caller]
    pub fn view_positions(&self) -> View {
        self.look("view_positions").view_positions().clone()
    }

    /// The items shown, groups flattened.
    #[doc(alias = "flatView")]
    #[track_caller]
    pub fn rows(&self) -> Vec<Entry<T>> {
        let shown = self.look("rows").view();
        shown.flat().into_iter().map(Entry::new).collect()
    }

    /// The number of rows in all, as Kendo counts it (R7.63).
    #[track_caller]
    pub fn total(&self) -> usize {
        self.look("total").total()
    }

    /// The number of pages; 0 when there is nothing.
    #[doc(alias = "totalPages")]
    #[track_caller]
    pub fn total_pages(&self) -> usize {
        self.look("total_pages").total_pages()
    }

    /// Aggregates over all rows that pass the filter, by field and function.
    #[track_caller]
    pub fn aggregates(&self) -> Record {
        self.look("aggregates").aggregates().clone()
    }

    /// The current query settings: page, page size, sort, filter, group, aggregate.
    #[track_caller]
    pub fn query_state(&self) -> QueryOptions {
        self.look("query_state").query_state()
    }

    /// Whether there is an offline storage.
    pub fn has_offline_storage(&self) -> bool {
        self.shared().storage.is_some()
    }

    /// Whether the model lets `set` change the field.
    #[track_caller]
    pub fn is_editable(&self, field: &str) -> bool {
        self.look("is_editable").options().schema.model().is_none_or(|model| model.editable(field))
    }

    /// Whether a record looks new to the model: its id is the default id. `None` without a model.
    #[doc(alias = "isNew")]
    #[track_caller]
    pub fn is_new(&self, record: &Record) -> Option<bool> {
        let engine = self.look("is_new");
        engine.options().schema.model().map(|model| model.is_default_id(engine.id_of(record).as_ref()))
    }

    /// Whether anything is new, edited, removed or waiting for the server.
    #[doc(alias = "hasChanges")]
    #[track_caller]
    pub fn has_changes(&self) -> bool {
        self.look("has_changes").has_changes()
    }

    /// The changed items in data order, with what changed.
    #[track_caller]
    pub fn changes(&self) -> Vec<ChangeInfo> {
        self.look("changes").changes()
    }

    /// The new items in data order.
    #[track_caller]
    pub fn created(&self) -> Vec<Entry<T>> {
        self.look("created").created().into_iter().map(Entry::new).collect()
    }

    /// The edited items in data order.
    #[track_caller]
    pub fn updated(&self) -> Vec<Entry<T>> {
        self.look("updated").updated().into_iter().map(Entry::new).collect()
    }

    /// The removed items that the server still has.
    #[track_caller]
    pub fn destroyed(&self) -> Vec<Entry<T>> {
        self.look("destroyed").destroyed().into_iter().map(Entry::new).collect()
    }

    /// Everything accepted and not acknowledged by the server, with its last error.
    #[track_caller]
    pub fn pending(&self) -> Vec<Pending> {
        self.look("pending").pending_changes()
    }
}
