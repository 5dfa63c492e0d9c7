//! The rows of a data source in data order, found by position or by identity.
//!
//! Owns order and identity of rows. Never knows whether a row is changed: that is the overlay's ([`super::change`]).

use crate::{
    Record,
    query::{Source, Span},
};
use std::{collections::HashMap, fmt, sync::Arc};

/// The identity of an item within its data source. Never reused, survives a restart while the item is stored. Where several
/// programs use one store, each may know a row by another one, and after a restart by that of the one which stored it first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub(crate) u64);

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({})", self.0)
    }
}

/// Distance between the order keys of neighbours, so that a row can be put between them.
const STEP: u64 = 1 << 20;

/// A row that stands by itself.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) uid: Uid,
    pub(crate) order: u64,
    pub(crate) record: Record,
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRef<'t> {
    pub(crate) uid: Uid,
    pub(crate) order: u64,
    pub(crate) record: &'t Record,
}

impl RowRef<'_> {
    pub(crate) fn to_row(self) -> Row {
        Row { uid: self.uid, order: self.order, record: self.record.clone() }
    }
}

/// The identities and order keys of rows.
#[derive(Debug)]
enum Keys {
    /// As they were loaded: both follow from the place.
    Loaded,
    /// In the order of the rows.
    Each(Vec<(Uid, u64)>),
}

/// Rows sorted by their order key.
#[derive(Debug)]
pub(crate) struct Table {
    records: Vec<Record>,
    keys: Keys,
    /// Rows loaded in one go have consecutive identities: the order key of these follows from the identity.
    first: u64,
    loaded: u64,
    /// Rows that were restored are in the order of their identities, as a rule: then they are found by them.
    ascending: bool,
    /// Where they are not: identities with their order keys, by identity.
    ranks: Vec<(Uid, u64)>,
    /// The order keys of all others; these go before what `ranks` says.
    odd: HashMap<Uid, u64>,
    /// Set when order keys were given anew, so that everything stored has to be written again.
    renumbered: bool,
    /// Counts changes of rows and of their places.
    version: u64,
    /// The runs of rows as a query walks over them, and the version that they are right for.
    spans: Option<(u64, Arc<[Span]>)>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            keys: Keys::Each(Vec::new()),
            first: 0,
            loaded: 0,
            ascending: false,
            ranks: Vec::new(),
            odd: HashMap::new(),
            renumbered: false,
            version: 0,
            spans: None,
        }
    }
}

/// The order key of the row that was loaded at a place.
fn order_at(place: u64) -> u64 {
    (place + 1) * STEP
}

impl Table {
    fn reset(&mut self, records: Vec<Record>, keys: Keys) {
        self.version += 1;
        self.records = records;
        self.keys = keys;
        self.loaded = 0;
        self.ascending = false;
        self.ranks = Vec::new();
        self.odd = HashMap::new();
        self.renumbered = false;
        self.spans = None;
    }

    /// Takes records of fresh identity, in order. `first` is the identity of the first.
    pub(crate) fn load(&mut self, mut records: Vec<Record>, first: u64) {
        records.shrink_to_fit();
        self.reset(records, Keys::Loaded);
        self.first = first;
        self.loaded = self.records.len() as u64;
    }

    /// Takes records of these identities, in order.
    pub(crate) fn load_as(&mut self, mut records: Vec<Record>, uids: &[Uid]) {
        records.shrink_to_fit();
        let keys = uids.iter().zip(0..).map(|(uid, at)| (*uid, order_at(at))).collect();
        self.reset(records, Keys::Each(keys));
        self.rank();
    }

    /// Takes rows that have identities and order keys already; they must be sorted by order.
    pub(crate) fn restore(&mut self, rows: Vec<Row>) {
        let first = rows.first().map_or(0, |row| row.uid.0);
        let as_loaded = (0..).zip(&rows).all(|(at, row)| row.uid.0 == first + at && row.order == order_at(at));
        if as_loaded {
            self.load(rows.into_iter().map(|row| row.record).collect(), first);
            return;
        }
        let keys: Vec<(Uid, u64)> = rows.iter().map(|row| (row.uid, row.order)).collect();
        let in_order = keys.is_sorted_by(|(_, a), (_, b)| a < b);
        self.reset(rows.into_iter().map(|row| row.record).collect(), Keys::Each(keys));
        if in_order {
            self.rank();
        } else {
            self.renumber();
        }
    }

    /// Learns where every row is.
    fn rank(&mut self) {
        self.loaded = 0;
        self.odd = HashMap::new();
        self.ranks = Vec::new();
        self.ascending = match &self.keys {
            Keys::Loaded => true,
            Keys::Each(keys) => keys.is_sorted_by(|(a, _), (b, _)| a < b),
        };
        if let (Keys::Each(keys), false) = (&self.keys, self.ascending) {
            self.ranks.clone_from(keys);
            self.ranks.sort_unstable();
        }
    }

    /// From now on rows are found by their order keys.
    fn lose_ascent(&mut self) {
        self.ascending = false;
        if let Keys::Each(keys) = &self.keys {
            self.ranks.clone_from(keys);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
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

    fn key(&self, index: usize) -> Option<(Uid, u64)> {
        match &self.keys {
            Keys::Loaded => {
                (index < self.records.len()).then(|| (Uid(self.first + index as u64), order_at(index as u64)))
            }
            Keys::Each(keys) => keys.get(index).copied(),
        }
    }

    /// Takes the identities and order keys out, one by one, to be changed and put back.
    fn take_keys(&mut self) -> Vec<(Uid, u64)> {
        match std::mem::replace(&mut self.keys, Keys::Each(Vec::new())) {
            Keys::Each(keys) => keys,
            Keys::Loaded => (0..self.records.len() as u64).map(|at| (Uid(self.first + at), order_at(at))).collect(),
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = RowRef<'_>> {
        let keys = (0..self.records.len()).filter_map(|index| self.key(index));
        self.records.iter().zip(keys).map(|(record, (uid, order))| RowRef { uid, order, record })
    }

    pub(crate) fn at(&self, index: usize) -> Option<RowRef<'_>> {
        let record = self.records.get(index)?;
        self.key(index).map(|(uid, order)| RowRef { uid, order, record })
    }

    fn order_of(&self, uid: Uid) -> Option<u64> {
        if let Some(order) = self.odd.get(&uid) {
            return Some(*order);
        }
        if let Some(offset) = uid.0.checked_sub(self.first).filter(|offset| *offset < self.loaded) {
            return Some(order_at(offset));
        }
        let at = self.ranks.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        self.ranks.get(at).map(|(_, order)| *order)
    }

    /// The position of a row.
    pub(crate) fn position(&self, uid: Uid) -> Option<usize> {
        match &self.keys {
            Keys::Loaded => {
                let at = usize::try_from(uid.0.checked_sub(self.first)?).ok()?;
                (at < self.records.len()).then_some(at)
            }
            Keys::Each(keys) => {
                // As long as nothing was put in or taken out before it, a loaded row stands where it was loaded.
                let offset = uid.0.checked_sub(self.first).filter(|offset| *offset < self.loaded);
                if let Some(at) = offset.and_then(|offset| usize::try_from(offset).ok())
                    && keys.get(at).is_some_and(|(known, _)| *known == uid)
                {
                    return Some(at);
                }
                if self.ascending {
                    return keys.binary_search_by_key(&uid, |(uid, _)| *uid).ok();
                }
                let order = self.order_of(uid)?;
                let at = keys.binary_search_by_key(&order, |(_, order)| *order).ok()?;
                (keys.get(at)?.0 == uid).then_some(at)
            }
        }
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<RowRef<'_>> {
        self.position(uid).and_then(|at| self.at(at))
    }

    pub(crate) fn record_mut(&mut self, uid: Uid) -> Option<&mut Record> {
        let at = self.position(uid)?;
        self.version += 1;
        self.records.get_mut(at)
    }

    /// Puts a row at a position (at the end when beyond it).
    pub(crate) fn insert(&mut self, index: usize, uid: Uid, record: Record) {
        self.version += 1;
        let index = index.min(self.records.len());
        let before = index.checked_sub(1).and_then(|index| self.key(index)).map_or(0, |(_, order)| order);
        let order = match self.key(index) {
            None => before + STEP,
            Some((_, after)) => before + (after - before) / 2,
        };
        let last = self.records.len().checked_sub(1).and_then(|last| self.key(last));
        let behind = index == self.records.len() && last.is_none_or(|(last, _)| last < uid);
        if self.ascending && !behind {
            self.lose_ascent();
        }
        let mut keys = self.take_keys();
        keys.insert(index, (uid, order));
        self.keys = Keys::Each(keys);
        self.records.insert(index, record);
        if !self.ascending {
            self.odd.insert(uid, order);
        }
        if order == before {
            self.renumber();
        }
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
        let keys = self.take_keys();
        let records = std::mem::take(&mut self.records);
        let mut merged: Vec<(Uid, u64)> = Vec::with_capacity(keys.len() + rows.len());
        let mut back = rows.into_iter().peekable();
        let put = |this: &mut Self, merged: &mut Vec<(Uid, u64)>, row: Row| {
            this.odd.insert(row.uid, row.order);
            merged.push((row.uid, row.order));
            this.records.push(row.record);
        };
        for ((uid, order), record) in keys.into_iter().zip(records) {
            while let Some(first) = back.next_if(|back| back.order <= order) {
                put(self, &mut merged, first);
            }
            merged.push((uid, order));
            self.records.push(record);
        }
        for last in back {
            put(self, &mut merged, last);
        }
        let in_order = merged.is_sorted_by(|(_, a), (_, b)| a < b);
        self.keys = Keys::Each(merged);
        if !in_order {
            self.renumber();
        }
    }

    pub(crate) fn remove(&mut self, uid: Uid) -> Option<(usize, Row)> {
        let at = self.position(uid)?;
        self.version += 1;
        let mut keys = self.take_keys();
        let (uid, order) = keys.remove(at);
        self.keys = Keys::Each(keys);
        let record = self.records.remove(at);
        self.odd.remove(&uid);
        Some((at, Row { uid, order, record }))
    }

    /// Brings the rows into the order of their identities: the one in which they came.
    pub(crate) fn order_by_age(&mut self) {
        let Keys::Each(keys) = &self.keys else { return };
        if !keys.is_sorted_by_key(|(uid, _)| *uid) {
            let mut order: Vec<(Uid, u32)> = keys.iter().zip(0..).map(|((uid, _), at)| (*uid, at)).collect();
            order.sort_unstable_by_key(|(uid, _)| *uid);
            let positions: Vec<u32> = order.into_iter().map(|(_, at)| at).collect();
            self.permute(&positions);
        }
    }

    /// The identities in order.
    pub(crate) fn order(&self) -> Vec<Uid> {
        self.rows().map(|row| row.uid).collect()
    }

    /// Brings the rows into the order of these identities; others follow in the order they have.
    pub(crate) fn order_like(&mut self, order: &[Uid]) {
        let places: HashMap<Uid, usize> = order.iter().zip(0..).map(|(uid, at)| (*uid, at)).collect();
        let mut wanted: Vec<(usize, u32)> =
            self.rows().zip(0..).map(|(row, at)| (places.get(&row.uid).copied().unwrap_or(usize::MAX), at)).collect();
        if !wanted.is_sorted() {
            wanted.sort_unstable();
            let positions: Vec<u32> = wanted.into_iter().map(|(_, at)| at).collect();
            self.permute(&positions);
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
        let keys = self.take_keys();
        let old = std::mem::take(&mut self.records);
        let mut slots: Vec<Option<(Uid, Record)>> =
            keys.into_iter().zip(old).map(|((uid, _), record)| Some((uid, record))).collect();
        let mut uids: Vec<(Uid, u64)> = Vec::with_capacity(slots.len());
        let taken = positions.iter().filter_map(|position| usize::try_from(*position).ok());
        for at in taken.chain(0..slots.len()) {
            if let Some((uid, record)) = slots.get_mut(at).and_then(Option::take) {
                uids.push((uid, 0));
                self.records.push(record);
            }
        }
        self.keys = Keys::Each(uids);
        self.renumber();
    }

    fn renumber(&mut self) {
        self.renumbered = true;
        let mut keys = self.take_keys();
        for (at, (_, order)) in (0..).zip(&mut keys) {
            *order = order_at(at);
        }
        self.keys = Keys::Each(keys);
        self.rank();
    }

    /// Whether order keys were given anew since the last call.
    pub(crate) fn take_renumbered(&mut self) -> bool {
        std::mem::take(&mut self.renumbered)
    }
}

impl crate::Rows for Table {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn record(&self, index: usize) -> &Record {
        static NONE: std::sync::LazyLock<Record> = std::sync::LazyLock::new(Record::new);
        self.records.get(index).unwrap_or(&NONE)
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
        for (at, row) in table.rows().enumerate() {
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
                        let rows = table.rows().map(RowRef::to_row).collect();
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
