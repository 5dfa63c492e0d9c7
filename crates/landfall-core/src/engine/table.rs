//! The rows of a data source in data order, found by position or by identity.
//!
//! Owns order and identity of rows. Never knows whether a row is changed: that is the overlay's ([`super::change`]).

use crate::{
    Record,
    query::{Source, Span},
};
use std::{collections::HashMap, fmt, sync::Arc};

/// The identity of an item within its data source. Never reused, survives a restart while the item is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub(crate) u64);

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({})", self.0)
    }
}

/// Distance between the order keys of neighbours, so that a row can be put between them.
const STEP: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) uid: Uid,
    pub(crate) order: u64,
    pub(crate) record: Record,
}

/// Rows sorted by their order key.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// Rows loaded in one go have consecutive identities: the order key of these follows from the identity.
    first: u64,
    loaded: u64,
    /// Rows that were restored are in the order of their identities, as a rule: then they are found by them.
    ascending: bool,
    /// Where they are not: identities with their order keys, by identity.
    ranks: Vec<(Uid, u64)>,
    /// The order keys of all others.
    odd: HashMap<Uid, u64>,
    /// Set when order keys were given anew, so that everything stored has to be written again.
    renumbered: bool,
    /// Counts changes of rows and of their places.
    version: u64,
    /// The runs of rows as a query walks over them, and the version that they are right for.
    spans: Option<(u64, Arc<[Span]>)>,
}

impl Table {
    /// Takes records of fresh identity, in order. `first` is the identity of the first.
    pub(crate) fn load(&mut self, records: Vec<Record>, first: u64) {
        self.version += 1;
        self.first = first;
        self.loaded = records.len() as u64;
        self.forget_order();
        self.renumbered = false;
        self.rows = (0_u64..)
            .zip(records)
            .map(|(i, record)| Row { uid: Uid(first + i), order: (i + 1) * STEP, record })
            .collect();
    }

    /// Takes rows that have identities and order keys already; they must be sorted by order.
    pub(crate) fn restore(&mut self, rows: Vec<Row>) {
        self.version += 1;
        self.loaded = 0;
        self.forget_order();
        self.renumbered = false;
        self.rows = rows;
        if self.rows.windows(2).all(|pair| matches!(pair, [a, b] if a.order < b.order)) {
            self.rank();
        } else {
            self.renumber();
        }
    }

    fn forget_order(&mut self) {
        self.ascending = false;
        self.ranks = Vec::new();
        self.odd.clear();
    }

    /// Learns where every row is.
    fn rank(&mut self) {
        self.odd.clear();
        self.ascending = self.rows.is_sorted_by(|a, b| a.uid < b.uid);
        self.ranks = Vec::new();
        if !self.ascending {
            self.ranks = self.rows.iter().map(|row| (row.uid, row.order)).collect();
            self.ranks.sort_unstable();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Another number than before when rows or their places have changed.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The runs of rows, for queries over [`Source`].
    pub(crate) fn spans(&mut self) -> Arc<[Span]> {
        match &self.spans {
            Some((version, spans)) if *version == self.version => Arc::clone(spans),
            _ => {
                let spans: Arc<[Span]> = crate::query::spans(self).into();
                self.spans = Some((self.version, Arc::clone(&spans)));
                spans
            }
        }
    }

    /// The rows with their runs.
    pub(crate) fn source<'a>(&'a self, spans: &'a [Span]) -> Source<'a> {
        Source { rows: self, spans }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn at(&self, index: usize) -> Option<&Row> {
        self.rows.get(index)
    }

    fn order_of(&self, uid: Uid) -> Option<u64> {
        if let Some(order) = self.odd.get(&uid) {
            return Some(*order);
        }
        if let Some(offset) = uid.0.checked_sub(self.first).filter(|offset| *offset < self.loaded) {
            return Some((offset + 1) * STEP);
        }
        let at = self.ranks.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        self.ranks.get(at).map(|(_, order)| *order)
    }

    /// The position of a row.
    pub(crate) fn position(&self, uid: Uid) -> Option<usize> {
        // As long as nothing was put in or taken out before it, a loaded row stands where it was loaded.
        let offset = uid.0.checked_sub(self.first).filter(|offset| *offset < self.loaded);
        if let Some(at) = offset.and_then(|offset| usize::try_from(offset).ok())
            && self.rows.get(at).is_some_and(|row| row.uid == uid)
        {
            return Some(at);
        }
        if self.ascending {
            return self.rows.binary_search_by_key(&uid, |row| row.uid).ok();
        }
        let order = self.order_of(uid)?;
        let at = self.rows.binary_search_by_key(&order, |row| row.order).ok()?;
        (self.rows.get(at)?.uid == uid).then_some(at)
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Row> {
        self.position(uid).and_then(|at| self.rows.get(at))
    }

    pub(crate) fn record_mut(&mut self, uid: Uid) -> Option<&mut Record> {
        let at = self.position(uid)?;
        self.version += 1;
        self.rows.get_mut(at).map(|row| &mut row.record)
    }

    /// Puts a row at a position (at the end when beyond it).
    pub(crate) fn insert(&mut self, index: usize, uid: Uid, record: Record) {
        self.version += 1;
        let index = index.min(self.rows.len());
        let before = index.checked_sub(1).and_then(|i| self.rows.get(i)).map_or(0, |row| row.order);
        let order = match self.rows.get(index) {
            None => before + STEP,
            Some(after) => before + (after.order - before) / 2,
        };
        let behind = self.rows.last().is_none_or(|last| last.uid < uid) && index == self.rows.len();
        if self.ascending && !behind {
            self.lose_ascent();
        }
        self.rows.insert(index, Row { uid, order, record });
        if !self.ascending {
            self.odd.insert(uid, order);
        }
        if order == before {
            self.renumber();
        }
    }

    /// From now on rows are found by their order keys.
    fn lose_ascent(&mut self) {
        self.ascending = false;
        self.ranks = self.rows.iter().map(|row| (row.uid, row.order)).collect();
    }

    /// Puts rows back where their order keys say, each before a row that was put in its place since.
    pub(crate) fn put_back(&mut self, mut rows: Vec<Row>) {
        self.version += 1;
        if rows.is_empty() {
            return;
        }
        if self.ascending {
            self.lose_ascent();
        }
        rows.sort_by_key(|row| row.order);
        let mut merged = Vec::with_capacity(self.rows.len() + rows.len());
        let mut back = rows.into_iter().peekable();
        for row in std::mem::take(&mut self.rows) {
            while let Some(first) = back.next_if(|back| back.order <= row.order) {
                self.odd.insert(first.uid, first.order);
                merged.push(first);
            }
            merged.push(row);
        }
        for last in back {
            self.odd.insert(last.uid, last.order);
            merged.push(last);
        }
        self.rows = merged;
        if !self.rows.windows(2).all(|pair| matches!(pair, [a, b] if a.order < b.order)) {
            self.renumber();
        }
    }

    pub(crate) fn remove(&mut self, uid: Uid) -> Option<(usize, Row)> {
        let at = self.position(uid)?;
        self.version += 1;
        let row = self.rows.remove(at);
        self.odd.remove(&uid);
        Some((at, row))
    }

    /// Brings the rows into the order of their identities: the one in which they came.
    pub(crate) fn order_by_age(&mut self) {
        if !self.rows.is_sorted_by_key(|row| row.uid) {
            self.version += 1;
            self.rows.sort_unstable_by_key(|row| row.uid);
            self.renumber();
        }
    }

    /// The identities in order.
    pub(crate) fn order(&self) -> Vec<Uid> {
        self.rows.iter().map(|row| row.uid).collect()
    }

    /// Brings the rows into the order of these identities; others follow in the order they have.
    pub(crate) fn order_like(&mut self, order: &[Uid]) {
        let places: HashMap<Uid, usize> = order.iter().enumerate().map(|(at, uid)| (*uid, at)).collect();
        let place = |row: &Row| places.get(&row.uid).copied().unwrap_or(usize::MAX);
        if !self.rows.is_sorted_by_key(place) {
            self.version += 1;
            self.rows.sort_by_key(place);
            self.renumber();
        }
    }

    /// Moves a row to the end.
    pub(crate) fn move_to_end(&mut self, uid: Uid) {
        if let Some((_, row)) = self.remove(uid) {
            self.insert(usize::MAX, row.uid, row.record);
        }
    }

    /// Brings the rows into the order of these positions.
    pub(crate) fn permute(&mut self, positions: &[u32]) {
        self.version += 1;
        let old = std::mem::take(&mut self.rows);
        let mut slots: Vec<Option<Row>> = old.into_iter().map(Some).collect();
        for &position in positions {
            if let Some(row) = usize::try_from(position).ok().and_then(|at| slots.get_mut(at)).and_then(Option::take) {
                self.rows.push(row);
            }
        }
        self.rows.extend(slots.into_iter().flatten());
        self.renumber();
    }

    fn renumber(&mut self) {
        self.renumbered = true;
        self.loaded = 0;
        for (i, row) in (1_u64..).zip(&mut self.rows) {
            row.order = i * STEP;
        }
        self.rank();
    }

    /// Whether order keys were given anew since the last call.
    pub(crate) fn take_renumbered(&mut self) -> bool {
        std::mem::take(&mut self.renumbered)
    }
}

impl crate::Rows for Table {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn record(&self, index: usize) -> &Record {
        static NONE: std::sync::LazyLock<Record> = std::sync::LazyLock::new(Record::new);
        self.rows.get(index).map_or(&NONE, |row| &row.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
        }
    }

    fn check(table: &Table, gone: &[Row]) {
        assert!(table.rows().is_sorted_by(|a, b| a.order < b.order));
        for (at, row) in table.rows().iter().enumerate() {
            assert_eq!(table.position(row.uid), Some(at));
        }
        for row in gone {
            assert_eq!(table.position(row.uid), None, "{row:?}");
        }
    }

    #[test]
    fn rows_are_found_whatever_was_done_to_their_order() {
        for seed in 0..200 {
            let mut random = Random(seed);
            let mut table = Table::default();
            let mut next = 1000;
            let mut gone: Vec<Row> = Vec::new();
            table.load(vec![Record::new(); random.below(12)], 500);
            for _ in 0..60 {
                let at = random.below(table.len() + 2);
                match random.below(12) {
                    0..=3 => {
                        next += 1;
                        table.insert(at, Uid(next), Record::new());
                    }
                    4..=6 => {
                        if let Some(uid) = table.at(at).map(|row| row.uid) {
                            gone.extend(table.remove(uid).map(|(_, row)| row));
                        }
                    }
                    7 => table.put_back(std::mem::take(&mut gone)),
                    8 => {
                        if let Some(uid) = table.at(at).map(|row| row.uid) {
                            table.move_to_end(uid);
                        }
                    }
                    9 => {
                        let mut order: Vec<u32> = (0..).take(table.len()).collect();
                        let half = random.below(order.len());
                        order.rotate_left(half);
                        table.permute(&order);
                    }
                    10 => {
                        let rows = table.rows().to_vec();
                        table.restore(rows);
                    }
                    _ => table.order_by_age(),
                }
                check(&table, &gone);
            }
        }
    }

    #[test]
    fn what_is_restored_in_order_needs_no_index() {
        let rows = |uids: &[u64]| {
            let orders = (1_u64..).map(|order| order * STEP);
            uids.iter().zip(orders).map(|(uid, order)| Row { uid: Uid(*uid), order, record: Record::new() }).collect()
        };
        let mut table = Table::default();
        table.restore(rows(&[3, 7, 9]));
        assert!(table.ascending && table.ranks.is_empty() && table.odd.is_empty());
        table.insert(3, Uid(11), Record::new());
        assert!(table.ascending && table.odd.is_empty());
        table.insert(1, Uid(12), Record::new());
        assert!(!table.ascending);
        check(&table, &[]);
        table.restore(rows(&[9, 3, 7]));
        assert_eq!((table.ascending, table.ranks.len(), table.odd.len()), (false, 3, 0));
        check(&table, &[]);
    }
}
