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
        self.odd.clear();
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
        self.odd = rows.iter().map(|row| (row.uid, row.order)).collect();
        self.renumbered = false;
        self.rows = rows;
        if !self.rows.windows(2).all(|pair| matches!(pair, [a, b] if a.order < b.order)) {
            self.renumber();
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
        self.odd.get(&uid).copied().or_else(|| {
            let offset = uid.0.checked_sub(self.first)?;
            (offset < self.loaded).then(|| (offset + 1) * STEP)
        })
    }

    /// The position of a row.
    pub(crate) fn position(&self, uid: Uid) -> Option<usize> {
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
        self.rows.insert(index, Row { uid, order, record });
        self.odd.insert(uid, order);
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
            self.rows.sort_unstable_by_key(|row| row.uid);
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
        self.odd.clear();
        for (i, row) in (1_u64..).zip(&mut self.rows) {
            row.order = i * STEP;
            self.odd.insert(row.uid, row.order);
        }
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
