//! What a storage keeps for one data source, and how one step changes it.
//!
//! Owns the shapes that cross the storage seam. What the texts mean is known to the engine alone: a storage keeps
//! them, compares nothing and parses nothing.

use std::sync::Arc;

/// Which version of the stored state a commit builds on. 0: nothing was ever stored under the key.
pub type Revision = u64;

/// The identity of a row within one stored state. Never reused while the state lives.
pub type RowId = u64;

/// The kind of a pending change; Kendo's `__state__`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "__state__")]
pub enum ChangeKind {
    /// The record is new to the server.
    Create,
    /// The server knows an older version.
    Update,
    /// The record is to be removed on the server.
    Destroy,
}

impl ChangeKind {
    /// `create`, `update` or `destroy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Destroy => "destroy",
        }
    }

    /// Reads the marker; `None` for any other text.
    pub fn from_marker(text: &str) -> Option<Self> {
        match text {
            "create" => Some(Self::Create),
            "update" => Some(Self::Update),
            "destroy" => Some(Self::Destroy),
            _ => None,
        }
    }
}

impl std::fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Its identity within the state.
    pub id: RowId,
    /// Its place: rows are shown in ascending order of this number, ties by [`id`](Self::id).
    pub order: u64,
    /// The pending change, if there is one.
    pub state: Option<ChangeKind>,
    /// The record as one JSON object, in the server's member names, without markers.
    pub record: Arc<str>,
    /// The bookkeeping of the pending change as one JSON object (base, operation id, revision, error ...).
    pub change: Option<Arc<str>>,
}

/// A whole stored state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredState {
    /// The revision that the next commit must name.
    pub revision: Revision,
    /// The engine's own document about the whole collection, one JSON object.
    pub meta: Option<Arc<str>>,
    /// The rows, sorted by `order`, then `id`.
    pub rows: Vec<StoredRow>,
}

/// What one step changes in a stored state. Applied as a whole or not at all, in the order of the members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// First forget all rows and the meta document.
    pub clear: bool,
    /// Then delete these rows; unknown ids are no error.
    pub delete: Vec<RowId>,
    /// Then insert these rows, replacing rows of the same id.
    pub put: Vec<StoredRow>,
    /// Then replace the meta document, if given.
    pub meta: Option<Arc<str>>,
}

impl Delta {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        !self.clear && self.delete.is_empty() && self.put.is_empty() && self.meta.is_none()
    }

    /// Several deltas as one: what applying them one after another would do.
    pub fn merged<'a>(deltas: impl IntoIterator<Item = &'a Self>) -> Self {
        use std::collections::{HashMap, HashSet};
        let mut out = Self::default();
        let mut place: HashMap<RowId, usize> = HashMap::new();
        let mut puts: Vec<Option<StoredRow>> = Vec::new();
        let mut deleted: HashSet<RowId> = HashSet::new();
        for delta in deltas {
            if delta.clear {
                out = Self { clear: true, ..Self::default() };
                place.clear();
                puts.clear();
                deleted.clear();
            }
            for id in &delta.delete {
                if let Some(slot) = place.remove(id).and_then(|at| puts.get_mut(at)) {
                    *slot = None;
                }
                if deleted.insert(*id) {
                    out.delete.push(*id);
                }
            }
            for row in &delta.put {
                if let Some(slot) = place.get(&row.id).and_then(|at| puts.get_mut(*at)) {
                    *slot = Some(row.clone());
                } else {
                    place.insert(row.id, puts.len());
                    puts.push(Some(row.clone()));
                }
            }
            if delta.meta.is_some() {
                out.meta.clone_from(&delta.meta);
            }
        }
        out.put = puts.into_iter().flatten().collect();
        out
    }

    /// Bytes of text that the delta carries.
    pub fn size(&self) -> u64 {
        let rows: usize = self.put.iter().map(StoredRow::size).sum();
        (rows + self.meta.as_ref().map_or(0, |meta| meta.len())) as u64
    }
}

impl StoredRow {
    /// Bytes of text that the row carries.
    pub fn size(&self) -> usize {
        self.record.len() + self.change.as_ref().map_or(0, |change| change.len())
    }
}

impl StoredState {
    /// Applies a delta in memory and gives the state its new revision.
    ///
    /// Storages that keep whole states, and tests, share this one reading of what a delta means.
    pub fn apply(&mut self, delta: &Delta, revision: Revision) {
        use std::collections::{HashMap, HashSet};
        if delta.clear {
            self.rows.clear();
            self.meta = None;
        }
        if !delta.delete.is_empty() {
            let gone: HashSet<RowId> = delta.delete.iter().copied().collect();
            self.rows.retain(|row| !gone.contains(&row.id));
        }
        if !delta.put.is_empty() {
            if self.rows.is_empty() {
                self.rows.clone_from(&delta.put);
            } else {
                let mut new: HashMap<RowId, &StoredRow> = delta.put.iter().map(|row| (row.id, row)).collect();
                for row in &mut self.rows {
                    if let Some(put) = new.remove(&row.id) {
                        row.clone_from(put);
                    }
                }
                self.rows.extend(delta.put.iter().filter(|row| new.contains_key(&row.id)).cloned());
            }
            if !self.rows.is_sorted_by_key(|row| (row.order, row.id)) {
                self.rows.sort_by_key(|row| (row.order, row.id));
            }
        }
        if let Some(meta) = &delta.meta {
            self.meta = Some(Arc::clone(meta));
        }
        self.revision = revision;
    }

    /// Bytes of text that the state carries: what usage and quota count.
    pub fn size(&self) -> u64 {
        let rows: usize = self.rows.iter().map(StoredRow::size).sum();
        (rows + self.meta.as_ref().map_or(0, |meta| meta.len())) as u64
    }
}
