//! What the rows of one state weigh, so that usage and growth cost nothing to know: four bytes a row.

use landfall_storage::{Delta, RowId, StoredState};
use std::collections::HashMap;

/// The weight of each row. Row numbers are close together as a rule, so most live in a plain list.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    /// The number of the first row that came.
    first: Option<RowId>,
    /// By the distance from it; 0: no such row, else the row's bytes plus 1.
    dense: Vec<u32>,
    /// Numbers that would leave big holes in the list, and giants.
    sparse: HashMap<RowId, u64>,
    count: u64,
    rows: u64,
    meta: u64,
}

impl Sizes {
    pub(crate) fn of(state: &StoredState) -> Self {
        let mut sizes = Self { meta: state.meta.as_ref().map_or(0, |meta| meta.len() as u64), ..Self::default() };
        for row in &state.rows {
            sizes.put(row.id, row.size() as u64);
        }
        sizes
    }

    /// Bytes of text in the state.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows + self.meta
    }

    /// The number of rows.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn apply(&mut self, delta: &Delta) {
        if delta.clear {
            *self = Self::default();
        }
        for id in &delta.delete {
            self.take(*id);
        }
        for row in &delta.put {
            self.put(row.id, row.size() as u64);
        }
        if let Some(meta) = &delta.meta {
            self.meta = meta.len() as u64;
        }
    }

    fn put(&mut self, id: RowId, size: u64) {
        self.take(id);
        self.count += 1;
        self.rows += size;
        self.first.get_or_insert(id);
        let slot = self.slot(id).filter(|slot| *slot <= self.dense.len() * 2 + 1024);
        match (slot, u32::try_from(size + 1)) {
            (Some(slot), Ok(size)) => {
                if self.dense.len() <= slot {
                    self.dense.resize(slot + 1, 0);
                }
                if let Some(place) = self.dense.get_mut(slot) {
                    *place = size;
                }
            }
            _ => {
                self.sparse.insert(id, size);
            }
        }
    }

    fn slot(&self, id: RowId) -> Option<usize> {
        id.checked_sub(self.first?).and_then(|distance| usize::try_from(distance).ok())
    }

    fn take(&mut self, id: RowId) {
        let dense = self.slot(id).and_then(|slot| self.dense.get_mut(slot)).map_or(0, std::mem::take);
        let old = match dense {
            0 if self.sparse.is_empty() => None,
            0 => self.sparse.remove(&id),
            size => Some(u64::from(size) - 1),
        };
        if let Some(size) = old {
            self.count -= 1;
            self.rows -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_storage::StoredRow;

    #[test]
    fn sizes_follow_the_state() {
        let row = |id: u64, n: usize| StoredRow {
            id,
            order: 0,
            state: None,
            record: "x".repeat(n).into(),
            change: (n > 5).then(|| "yy".into()),
        };
        let mut state = StoredState::default();
        let mut sizes = Sizes::default();
        let ids = [7, 0, 1, 2, 5_000, 1 << 40, u64::MAX, 3, 1_000, 2, 0, 5_000, 900, 5_000];
        for (step, id) in ids.into_iter().enumerate() {
            let delta = Delta {
                clear: step == 9,
                delete: vec![id / 2, 1 << 40],
                put: vec![row(id, step), row(id ^ 1, 3)],
                meta: (step % 3 == 1).then(|| "m".repeat(step).into()),
            };
            state.apply(&delta, 1);
            sizes.apply(&delta);
            assert_eq!((sizes.bytes(), sizes.count()), (state.size(), state.rows.len() as u64), "step {step}");
            let again = Sizes::of(&state);
            assert_eq!((again.bytes(), again.count()), (sizes.bytes(), sizes.count()));
        }
    }
}
