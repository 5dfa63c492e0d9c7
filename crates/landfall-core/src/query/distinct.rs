//! Rows by the value of a field, where the field has few values: found by hashing instead of sorting.
//!
//! Owns which values may be told apart by their bits alone. Whatever needs the finer rules of groups (R7.46-R7.52) is
//! given up, and the caller goes the long way.

use super::{
    View, ViewGroup,
    aggregate::{self, Tally},
    field::FieldReader,
    group::Group,
    matching::old_date,
    order::{self, By},
    span::{Passing, Run, Source, Span},
};
use crate::{
    Record,
    record::{Cell, Codes, Column, Data},
};
use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A value by its bits.
#[derive(PartialEq, Eq, Hash)]
enum Ident<'a> {
    Whole(i64),
    Fraction(u64),
    Date(i64),
    Text(&'a str),
}

/// A quick hash for values of our own data; a service that sends colliding ones makes its own queries slow, and groups
/// with many values are given up anyway.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(word);
        }
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.cast_unsigned() as u64);
    }
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// Whole numbers below this are found without hashing.
const SMALL: usize = 1024;

const NONE: u32 = u32::MAX;

/// The codes of a column with few different values.
fn narrow(column: &Column) -> Option<&[u8]> {
    match column.data() {
        Data::Whole(whole) | Data::Decimal(whole, _) | Data::Dates(whole) => match &whole.codes {
            Codes::Narrow(codes) => Some(codes),
            _ => None,
        },
        _ => None,
    }
}

/// The values met so far, numbered.
struct Distinct<'a> {
    values: Vec<Cell<'a>>,
    small: Vec<u32>,
    others: HashMap<Ident<'a>, u32, BuildHasherDefault<Quick>>,
    missing: u32,
    truths: [u32; 2],
    limit: usize,
    numbers: bool,
    dates: bool,
    texts: bool,
}

impl<'a> Distinct<'a> {
    fn new(limit: usize) -> Self {
        Self {
            values: Vec::new(),
            small: Vec::new(),
            others: HashMap::default(),
            missing: NONE,
            truths: [NONE; 2],
            limit,
            numbers: false,
            dates: false,
            texts: false,
        }
    }

    /// The number of a value; `None` when its group cannot be told by the value's bits.
    fn number(&mut self, cell: Cell<'a>) -> Option<u32> {
        let next = u32::try_from(self.values.len()).ok()?;
        let slot = match cell {
            // Null and absent are two groups that sort alike.
            Cell::Absent | Cell::Null => {
                if let Some(known) = usize::try_from(self.missing).ok().and_then(|at| self.values.get(at))
                    && !known.same(cell)
                {
                    return None;
                }
                &mut self.missing
            }
            Cell::Bool(value) => self.truths.get_mut(usize::from(value))?,
            Cell::Number(number) => {
                self.numbers = true;
                match number.as_i64() {
                    Some(whole) => {
                        let small = usize::try_from(whole).ok().filter(|small| *small < SMALL);
                        if let Some(small) = small {
                            if self.small.is_empty() {
                                self.small.resize(SMALL, NONE);
                            }
                            self.small.get_mut(small)?
                        } else {
                            // Beyond this doubles and whole numbers compare as their roundings.
                            if whole.unsigned_abs() >= 1 << 53 {
                                return None;
                            }
                            self.others.entry(Ident::Whole(whole)).or_insert(NONE)
                        }
                    }
                    None if number.is_nan() || number.as_f64().abs() >= 9_007_199_254_740_992.0 => return None,
                    None => self.others.entry(Ident::Fraction(number.as_f64().to_bits())).or_insert(NONE),
                }
            }
            Cell::Date(millis) => {
                self.dates = true;
                self.others.entry(Ident::Date(millis)).or_insert(NONE)
            }
            Cell::Text(text) => {
                self.texts = true;
                self.others.entry(Ident::Text(text)).or_insert(NONE)
            }
            Cell::Other(_) => return None,
        };
        if *slot == NONE {
            if self.values.len() >= self.limit {
                return None;
            }
            // To aggregates such a text is the date that it spells.
            if let Cell::Text(text) = cell
                && old_date(text).is_some()
            {
                return None;
            }
            *slot = next;
            self.values.push(cell);
        }
        // A date is also the number of its milliseconds, a text the number that it spells.
        if self.numbers && (self.dates || self.texts) {
            return None;
        }
        Some(*slot)
    }

    /// The numbers of the values of these rows, one after the other.
    fn number_all(
        &mut self,
        reader: &mut FieldReader,
        source: Source<'a>,
        span: &'a Span,
        run: &Run<'_>,
        numbers: &mut Vec<u32>,
    ) -> Option<()> {
        let Some((first, columns, row)) = span.columns() else {
            for position in run.iter() {
                numbers.push(self.number(reader.cell(source.record(position)))?);
            }
            return Some(());
        };
        let place = |position: u32| usize::try_from(position - span.start).unwrap_or(0);
        let column = reader.member(first).and_then(|position| columns.column(position?));
        let Some((column, codes)) = column.and_then(|column| Some((column, narrow(column)?))) else {
            for position in run.iter() {
                numbers.push(self.number(reader.cell_behind(first, place(position)))?);
            }
            return Some(());
        };
        // Few different values: each is asked about once, when it is met.
        let mut known = [NONE; 256];
        if let (Run::All(_), false) = (run, column.has_nulls()) {
            let rows = row..row + span.count();
            let codes = codes.get(rows.clone())?;
            for (row, code) in rows.zip(codes) {
                let slot = known.get_mut(usize::from(*code))?;
                if *slot == NONE {
                    *slot = self.number(column.cell(row))?;
                }
            }
            numbers.extend(codes.iter().map(|code| known.get(usize::from(*code)).copied().unwrap_or(NONE)));
            return Some(());
        }
        for position in run.iter() {
            let row = row + place(position);
            let number = if column.is_null(row) {
                self.number(Cell::Null)?
            } else {
                let slot = known.get_mut(usize::from(codes.get(row).copied()?))?;
                if *slot == NONE {
                    *slot = self.number(column.cell(row))?;
                }
                *slot
            };
            numbers.push(number);
        }
        Some(())
    }

    /// The numbers of the values in ascending order; `None` when two of them sort alike.
    fn in_order(&self) -> Option<Vec<usize>> {
        let value = |at: usize| self.values.get(at).copied().unwrap_or(Cell::Absent);
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by(|a, b| order::compare_cells(value(*a), value(*b)));
        let alike = order.windows(2).any(|pair| match pair {
            [a, b] => order::compare_cells(value(*a), value(*b)) == Ordering::Equal,
            _ => false,
        });
        (!alike).then_some(order)
    }
}

/// Puts each position into the list that its number says.
fn share(positions: impl Iterator<Item = u32>, numbers: &[u32], members: &mut [Vec<u32>]) {
    for (position, number) in positions.zip(numbers) {
        if let Some(members) = members.get_mut(order::at(*number)) {
            members.push(position);
        }
    }
}

/// The groups of these rows, unpaged; `None` when they have to be found by sorting.
pub(crate) fn groups(
    source: Source<'_>,
    passing: &Passing,
    levels: &[Group],
    sorts: &[By<'_>],
) -> Option<Vec<ViewGroup>> {
    let (level, inner) = levels.split_first()?;
    if level.compare.is_some() {
        return None;
    }
    let mut reader = FieldReader::new(&level.field);
    let mut distinct = Distinct::new(passing.len() / 8 + 16);
    let mut members: Vec<Vec<u32>> = Vec::new();
    let mut tallies: Vec<Tally<'_>> = Vec::new();
    // Aggregates run over the rows of a group in their order: at once where that is the order in which they come.
    let at_once = inner.is_empty() && sorts.is_empty() && !level.aggregates.is_empty();
    let mut numbers: Vec<u32> = Vec::new();
    for (span, run) in source.runs(passing) {
        numbers.clear();
        distinct.number_all(&mut reader, source, span, &run, &mut numbers)?;
        members.resize_with(distinct.values.len(), Vec::new);
        match &run {
            Run::All(range) => share(range.clone(), &numbers, &mut members),
            Run::Some(positions) => share(positions.iter().copied(), &numbers, &mut members),
        }
        if at_once {
            tallies.resize_with(distinct.values.len(), || Tally::new(&level.aggregates));
            aggregate::add(&mut tallies, source, span, &run, Some(&numbers));
        }
    }
    let mut order = distinct.in_order()?;
    if level.dir.apply(Ordering::Less) == Ordering::Greater {
        order.reverse();
    }
    let mut tallies: Vec<Option<Tally<'_>>> = tallies.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(members.len());
    for number in order {
        let positions = std::mem::take(members.get_mut(number)?);
        let count = positions.len();
        let items = if inner.is_empty() {
            View::Rows(order::order(source, Passing::Some(positions), sorts, None))
        } else {
            View::Groups(groups(source, &Passing::Some(positions), inner, sorts)?)
        };
        let aggregates = match tallies.get_mut(number).and_then(Option::take) {
            Some(mut tally) => {
                tally.count(count);
                tally.finish()
            }
            None if level.aggregates.is_empty() => Record::new(),
            None => {
                let mut tally = Tally::new(&level.aggregates);
                items.flat().into_iter().for_each(|position| tally.add(source.record(position)));
                tally.finish()
            }
        };
        out.push(ViewGroup {
            field: level.field.clone(),
            value: distinct.values.get(number).and_then(|cell| cell.to_value()),
            has_subgroups: !inner.is_empty(),
            aggregates,
            items,
        });
    }
    Some(out)
}
