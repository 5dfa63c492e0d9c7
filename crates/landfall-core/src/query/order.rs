//! Putting records in order (R7.36-R7.42).
//!
//! Owns the order of values: total, so that the same records always come out the same (Q43). Stable.

use super::{
    collate::{self, TextKey},
    field::FieldReader,
    sieve::Sieve,
    sort::{Direction, RecordOrder, Sort},
    span::{Passing, Source},
};
use crate::{Number, Record, Text, record::Cell};
use std::cmp::Ordering;

/// What to order by.
pub(crate) struct By<'q> {
    pub(crate) field: &'q str,
    pub(crate) dir: Direction,
    pub(crate) compare: Option<&'q RecordOrder>,
}

impl<'q> By<'q> {
    pub(crate) fn sort(sort: &'q Sort) -> Self {
        Self { field: &sort.field, dir: sort.dir, compare: sort.compare.as_deref() }
    }
}

/// A value, ready to be compared often. Types are ranked in the order of the variants.
enum Key<'a> {
    Missing,
    /// The empty text: before everything else that is there, as in a column of texts. Among numbers it is the id of a record
    /// that the server has not numbered yet.
    Empty,
    Bool(bool),
    NotANumber,
    Number(Number),
    Date(i64),
    Text(TextKey<'a>),
    /// Lists and objects by the text that JavaScript makes of them.
    Other(Text),
}

impl<'a> Key<'a> {
    fn of(cell: Cell<'a>, ascii: bool) -> Self {
        match cell {
            Cell::Absent | Cell::Null => Self::Missing,
            Cell::Bool(value) => Self::Bool(value),
            Cell::Number(number) if number.is_nan() => Self::NotANumber,
            Cell::Number(number) => Self::Number(number),
            Cell::Date(millis) => Self::Date(millis),
            Cell::Text("") => Self::Empty,
            Cell::Text(text) => Self::Text(collate::key(text, ascii)),
            Cell::Other(other) => Self::Other(other.to_text()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Empty => 1,
            Self::Bool(_) => 2,
            Self::NotANumber => 3,
            Self::Number(_) => 4,
            Self::Date(_) => 5,
            Self::Text(_) => 6,
            Self::Other(_) => 7,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.compare(b),
            (Self::Other(a), Self::Other(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

enum Column<'a> {
    Keys(Vec<Key<'a>>, Direction),
    Compare(&'a RecordOrder, Direction),
}

/// The order of two values, without keys.
pub(crate) fn compare_cells(a: Cell<'_>, b: Cell<'_>) -> Ordering {
    match (a, b) {
        (Cell::Number(a), Cell::Number(b)) if !a.is_nan() && !b.is_nan() => {
            a.partial_cmp(&b).unwrap_or(Ordering::Equal)
        }
        (Cell::Text(a), Cell::Text(b)) => collate::compare(a, b),
        _ => Key::of(a, true).compare(&Key::of(b, true)),
    }
}

/// As [`compare_cells`], but texts by their code points.
pub(crate) fn compare_ordinal(a: Cell<'_>, b: Cell<'_>) -> Ordering {
    match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        _ => compare_cells(a, b),
    }
}

/// Compares records by fields, reading them as it goes; for few comparisons, where keys for all rows would not pay.
pub(crate) struct Comparer {
    fields: Vec<(FieldReader, Direction)>,
}

impl Comparer {
    /// `None` when a comparison of the program's own is among them.
    pub(crate) fn new(by: &[By<'_>]) -> Option<Self> {
        let fields = by.iter().map(|by| by.compare.is_none().then(|| (FieldReader::new(by.field), by.dir)));
        Some(Self { fields: fields.collect::<Option<_>>()? })
    }

    /// `None` when the numbers do not compare alike from all sides.
    pub(crate) fn compare(&mut self, a: &Record, b: &Record) -> Option<Ordering> {
        for (reader, dir) in &mut self.fields {
            let (a, b) = (reader.cell(a), reader.cell(b));
            if beyond(a) || beyond(b) {
                return None;
            }
            match dir.apply(compare_cells(a, b)) {
                Ordering::Equal => {}
                unequal => return Some(unequal),
            }
        }
        Some(Ordering::Equal)
    }
}

/// Whether a number is so large that whole ones and fractions do not compare alike from all sides.
fn beyond(cell: Cell<'_>) -> bool {
    matches!(cell, Cell::Number(number) if number.as_f64().abs() >= 9_007_199_254_740_992.0)
}

/// A page at the start of the order is found in one pass as long as it is no longer than this.
const TOP: usize = 256;

/// The first positions in order, in one pass that keeps no more than these; `None` when that does not pay or does not do.
fn top(source: Source<'_>, passing: &Passing, by: &[By<'_>], wanted: usize) -> Option<Vec<u32>> {
    if wanted == 0 || wanted > TOP || wanted > passing.len() / 4 {
        return None;
    }
    let mut comparer = Comparer::new(by)?;
    let mut best: Vec<u32> = Vec::with_capacity(wanted + 1);
    for (span, run) in source.runs(passing) {
        // Rows behind the last one by their first field alone are passed over.
        let mut sieve = Sieve::new(by.first(), span);
        let mut sifts = false;
        for position in run.iter() {
            let record = source.record(position);
            if best.len() == wanted {
                if !sifts {
                    sieve.set(source.record(best.last().copied()?));
                    sifts = true;
                }
                if sieve.stops(position) {
                    continue;
                }
                // Of equal ones the earlier stays in front.
                let last = source.record(best.last().copied()?);
                if comparer.compare(record, last)? != Ordering::Less {
                    continue;
                }
            }
            let (mut low, mut high) = (0, best.len());
            while low < high {
                let middle = usize::midpoint(low, high);
                let known = best.get(middle)?;
                if comparer.compare(source.record(*known), record)? == Ordering::Greater {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            best.insert(low, position);
            best.truncate(wanted);
            sifts = false;
        }
    }
    Some(best)
}

/// The positions in order. With a limit only so many are put in order and given.
pub(crate) fn order<'a>(source: Source<'a>, passing: Passing, by: &[By<'a>], limit: Option<usize>) -> Vec<u32> {
    let wanted = limit.unwrap_or(usize::MAX).min(passing.len());
    if by.is_empty() {
        let mut positions = match passing {
            Passing::All(_) => Passing::All(wanted).into_positions(),
            Passing::Some(positions) => positions,
        };
        positions.truncate(wanted);
        return positions;
    }
    if let Some(top) = top(source, &passing, by, wanted) {
        return top;
    }
    let positions = &passing.into_positions();
    let columns: Vec<Column<'a>> = by.iter().map(|by| column(source, positions, by)).collect();
    let record = |index: u32| positions.get(at(index)).map(|position| source.record(*position));
    let compare = |a: u32, b: u32| {
        for column in &columns {
            let ordering = match column {
                Column::Keys(keys, dir) => match (keys.get(at(a)), keys.get(at(b))) {
                    (Some(a), Some(b)) => dir.apply(a.compare(b)),
                    _ => Ordering::Equal,
                },
                Column::Compare(compare, dir) => match (record(a), record(b), dir) {
                    (Some(a), Some(b), Direction::Asc) => compare(a, b),
                    (Some(a), Some(b), Direction::Desc) => compare(b, a),
                    _ => Ordering::Equal,
                },
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    };
    let mut indices: Vec<u32> = (0..).take(positions.len()).collect();
    if columns.iter().any(|column| matches!(column, Column::Compare(..))) || !exact(&columns) {
        merge_sort(&mut indices, compare);
    } else {
        // Equal ones keep their order, which makes the order total: no stable sort is needed.
        let total = |a: &u32, b: &u32| compare(*a, *b).then(a.cmp(b));
        if wanted < indices.len() {
            if wanted > 0 {
                indices.select_nth_unstable_by(wanted - 1, total);
            }
            indices.truncate(wanted);
        }
        indices.sort_unstable_by(total);
    }
    indices.truncate(wanted);
    indices.iter().filter_map(|index| positions.get(at(*index)).copied()).collect()
}

pub(crate) fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// Whether all numbers compare alike from all sides: whole numbers beyond 2^53 next to fractions do not.
fn exact(columns: &[Column<'_>]) -> bool {
    let beyond = |number: &Number| number.as_f64().abs() >= 9_007_199_254_740_992.0;
    !columns.iter().any(|column| match column {
        Column::Keys(keys, _) => keys.iter().any(|key| matches!(key, Key::Number(number) if beyond(number))),
        Column::Compare(..) => false,
    })
}

fn column<'a>(source: Source<'a>, positions: &[u32], by: &By<'a>) -> Column<'a> {
    if let Some(compare) = by.compare {
        return Column::Compare(compare, by.dir);
    }
    let mut reader = FieldReader::new(by.field);
    let cells: Vec<Cell<'a>> = positions.iter().map(|position| reader.cell(source.record(*position))).collect();
    let ascii = cells.iter().all(|cell| if let Cell::Text(text) = cell { text.is_ascii() } else { true });
    Column::Keys(cells.into_iter().map(|cell| Key::of(cell, ascii)).collect(), by.dir)
}

/// Sorts stably and, unlike the standard library, never panics when a caller's comparison contradicts itself.
pub(crate) fn merge_sort(items: &mut Vec<u32>, mut compare: impl FnMut(u32, u32) -> Ordering) {
    let mut width = 1;
    while width < items.len() {
        let mut merged = Vec::with_capacity(items.len());
        for pair in items.chunks(width * 2) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            let (mut left, mut right) = (left.iter().copied().peekable(), right.iter().copied().peekable());
            loop {
                let next = match (left.peek(), right.peek()) {
                    (Some(a), Some(b)) if compare(*a, *b) == Ordering::Greater => right.next(),
                    (Some(_), _) => left.next(),
                    (None, _) => right.next(),
                };
                match next {
                    Some(item) => merged.push(item),
                    None => break,
                }
            }
        }
        *items = merged;
        width *= 2;
    }
}
