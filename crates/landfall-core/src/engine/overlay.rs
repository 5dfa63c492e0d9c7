//! What was changed, by row: the layers beside the rows of the table.
//!
//! Owns which of them were touched since an acceptance last looked at them, so that accepting one edit does not cost a look at
//! everything that is pending. Knows nothing of what the layers mean.

use super::{change::Change, table::Uid};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::Deref,
};

#[derive(Debug, Default)]
pub(crate) struct Overlay {
    changes: HashMap<Uid, Change>,
    /// Those that somebody may have written to; may hold rows that have no change any more.
    touched: HashSet<Uid>,
}

/// Reading touches nothing.
impl Deref for Overlay {
    type Target = HashMap<Uid, Change>;
    fn deref(&self) -> &Self::Target {
        &self.changes
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the map's own, beside its reading ones")]
impl Overlay {
    pub(crate) fn get_mut(&mut self, uid: &Uid) -> Option<&mut Change> {
        let change = self.changes.get_mut(uid)?;
        self.touched.insert(*uid);
        Some(change)
    }

    pub(crate) fn insert(&mut self, uid: Uid, change: Change) {
        self.touched.insert(uid);
        self.changes.insert(uid, change);
    }

    pub(crate) fn entry(&mut self, uid: Uid) -> Entry<'_, Uid, Change> {
        self.touched.insert(uid);
        self.changes.entry(uid)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Change> {
        self.touched.extend(self.changes.keys());
        self.changes.values_mut()
    }

    pub(crate) fn remove(&mut self, uid: &Uid) -> Option<Change> {
        self.touched.remove(uid);
        self.changes.remove(uid)
    }

    pub(crate) fn clear(&mut self) {
        self.touched.clear();
        self.changes.clear();
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        self.changes.reserve(more);
    }

    /// Those of the touched ones that this says yes to; the others count as looked at until they are touched again.
    pub(crate) fn touched(&mut self, concerned: impl Fn(&Change) -> bool) -> Vec<Uid> {
        let changes = &self.changes;
        self.touched.retain(|uid| changes.get(uid).is_some_and(&concerned));
        self.touched.iter().copied().collect()
    }
}
