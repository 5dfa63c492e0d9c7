//! Rows that are not in the table and whose changes are kept: in the order in which they went, found by identity.
//!
//! Owns order and identity. Each row costs the same however many there are; never knows why a row is here.

use super::{change::Removed, table::Uid};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// By place; a place is never given twice.
    rows: BTreeMap<u64, Removed>,
    places: HashMap<Uid, u64>,
}

impl Gone {
    fn next(&self) -> u64 {
        self.rows.last_key_value().map_or(0, |(place, _)| place + 1)
    }

    /// Puts a row behind all others.
    pub(crate) fn push(&mut self, gone: Removed) {
        self.put(0, gone);
    }

    /// Puts a row at a place, or behind the others where these have got so far already.
    pub(crate) fn put(&mut self, place: u64, gone: Removed) {
        let uid = gone.row.uid;
        self.remove(uid);
        let place = place.max(self.next());
        self.places.insert(uid, place);
        self.rows.insert(place, gone);
    }

    /// Where a row stands among the others; where it would stand when it is not here.
    pub(crate) fn place(&self, uid: Uid) -> u64 {
        self.places.get(&uid).copied().unwrap_or_else(|| self.next())
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Removed> {
        self.places.get(&uid).and_then(|place| self.rows.get(place))
    }

    pub(crate) fn get_mut(&mut self, uid: Uid) -> Option<&mut Removed> {
        self.places.get(&uid).and_then(|place| self.rows.get_mut(place))
    }

    pub(crate) fn remove(&mut self, uid: Uid) -> Option<Removed> {
        self.places.remove(&uid).and_then(|place| self.rows.remove(&place))
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.places.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Removed> {
        self.rows.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Removed> {
        self.rows.values_mut()
    }

    /// All of them, taken out, with their places.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (u64, Removed)> + use<> {
        self.places.clear();
        std::mem::take(&mut self.rows).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, engine::table::Row};

    fn row(uid: u64) -> Removed {
        let row = Row { uid: Uid(uid), order: 0, record: Record::new() };
        Removed { row, change: super::super::change::Change::default() }
    }

    fn order(gone: &Gone) -> Vec<u64> {
        gone.iter().map(|gone| gone.row.uid.0).collect()
    }

    #[test]
    fn rows_keep_the_order_in_which_they_went() {
        let mut gone = Gone::default();
        for uid in [5, 3, 9, 1] {
            gone.push(row(uid));
        }
        assert_eq!(order(&gone), [5, 3, 9, 1]);
        assert_eq!(gone.remove(Uid(3)).map(|gone| gone.row.uid), Some(Uid(3)));
        assert!(gone.remove(Uid(3)).is_none() && gone.get(Uid(3)).is_none());
        gone.push(row(3));
        assert_eq!(order(&gone), [5, 9, 1, 3]);
        assert!(gone.place(Uid(9)) < gone.place(Uid(1)) && gone.place(Uid(3)) < gone.place(Uid(77)));
        gone.push(row(5));
        assert_eq!((order(&gone), gone.len()), (vec![9, 1, 3, 5], 4), "a row is here once");
    }

    #[test]
    fn stored_places_are_kept_and_shared_ones_stay_in_order() {
        let mut gone = Gone::default();
        for (place, uid) in [(4, 1), (4, 2), (7, 3), (7, 4), (5, 5)] {
            gone.put(place, row(uid));
        }
        assert_eq!(order(&gone), [1, 2, 3, 4, 5]);
        assert_eq!(gone.place(Uid(1)), 4);
        let taken: Vec<(u64, Removed)> = gone.take().collect();
        assert!(gone.is_empty());
        for (place, one) in taken {
            gone.put(place, one);
        }
        gone.push(row(6));
        assert_eq!(order(&gone), [1, 2, 3, 4, 5, 6]);
    }
}
