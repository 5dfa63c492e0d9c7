//! Conditions over columns: one column at a time, many rows at once.
//!
//! Owns the quick ways to an answer. What an operator means is said in `matching`: whatever has no quick way here asks
//! there, value by value.

use super::{
    filter::Logic,
    matching::{Matcher, Test, Wanted},
    operator::Operator,
    span::{Passing, Source, Span},
};
use crate::{
    Number, Record,
    record::{Cell, Codes, Column, Data, Texts, Whole, decimal},
};
use std::{cmp::Ordering, ops::Range};

/// The positions of all rows that pass, in order. Not for filters that ask the program.
pub(crate) fn passing(source: Source<'_>, matcher: &mut Matcher<'_>) -> Passing {
    let mut out: Vec<u32> = Vec::new();
    let mut marks = Vec::new();
    for span in source.spans {
        if span.columns().is_some() {
            marks.clear();
            marks.resize(span.count(), 1);
            matcher.mark(span, &mut marks);
            take(span, &marks, &mut out);
        } else {
            out.extend(span.positions().filter(|position| matcher.passes(source.record(*position))));
        }
    }
    Passing::Some(out)
}

/// Appends the positions that are marked, without a branch for each.
fn take(span: &Span, marks: &[u8], out: &mut Vec<u32>) {
    let start = out.len();
    out.resize(start + marks.len(), 0);
    let mut found = 0;
    if let Some(room) = out.get_mut(start..) {
        for (position, mark) in span.positions().zip(marks) {
            if let Some(slot) = room.get_mut(found) {
                *slot = position;
            }
            found += usize::from(*mark);
        }
    }
    out.truncate(start + found);
}

impl Matcher<'_> {
    /// Takes the mark (1) from every row of a span of columns that does not pass; rows without a mark need no look.
    fn mark(&mut self, span: &Span, marks: &mut [u8]) {
        match self {
            Self::Condition(test) => {
                let left: usize = marks.iter().map(|mark| usize::from(*mark)).sum();
                if left < marks.len() / 4 {
                    test.mark_some(span, marks);
                } else {
                    let mut own = vec![0; marks.len()];
                    test.mark_all(span, &mut own);
                    marks.iter_mut().zip(own).for_each(|(mark, own)| *mark &= own);
                }
            }
            Self::Group(Logic::And, parts) => parts.iter_mut().for_each(|part| part.mark(span, marks)),
            Self::Group(Logic::Or, parts) => {
                let mut any = vec![0; marks.len()];
                for part in parts {
                    let mut own = marks.to_vec();
                    part.mark(span, &mut own);
                    any.iter_mut().zip(own).for_each(|(any, own)| *any |= own);
                }
                marks.copy_from_slice(&any);
            }
            Self::Everything | Self::Custom(_) => {}
        }
    }
}

impl Test<'_> {
    /// Looks at the rows that are marked only.
    fn mark_some(&mut self, span: &Span, marks: &mut [u8]) {
        let Some((first, ..)) = span.columns() else { return };
        for (offset, mark) in marks.iter_mut().enumerate().filter(|(_, mark)| **mark != 0) {
            *mark = u8::from(self.passes_at(first, offset));
        }
    }

    /// Marks all rows of a span that pass.
    fn mark_all(&mut self, span: &Span, marks: &mut [u8]) {
        let Some((first, columns, row)) = span.columns() else { return };
        match self.reader.member(first) {
            None => {
                for (offset, mark) in marks.iter_mut().enumerate() {
                    *mark = u8::from(self.passes_at(first, offset));
                }
            }
            Some(position) => match position.and_then(|position| columns.column(position)) {
                None => marks.fill(u8::from(self.passes_cell(Cell::Absent))),
                Some(column) => self.mark_column(column, row..row + marks.len(), marks),
            },
        }
    }

    /// Whether the row so many rows behind the first passes.
    fn passes_at(&mut self, first: &Record, offset: usize) -> bool {
        let cell = self.reader.cell_behind(first, offset);
        self.passes_cell(cell)
    }

    fn mark_column(&mut self, column: &Column, rows: Range<usize>, marks: &mut [u8]) {
        let null = column.has_nulls().then(|| u8::from(self.passes_cell(Cell::Null)));
        match column.data() {
            Data::Nulls(_) => marks.fill(null.unwrap_or(0)),
            Data::Whole(whole) => self.mark_whole(whole, &rows, marks, |value| Cell::Number(Number::from(value))),
            Data::Decimal(whole, power) => {
                self.mark_whole(whole, &rows, marks, |value| Cell::Number(Number::from(decimal(value, *power))));
            }
            Data::Dates(whole) => self.mark_whole(whole, &rows, marks, Cell::Date),
            Data::Floats(values) => self.mark_floats(values.get(rows.clone()).unwrap_or_default(), marks),
            Data::Texts(texts) if self.contains_quickly() => self.mark_texts(texts, &rows, marks),
            Data::Bools(_) | Data::Texts(_) | Data::Mixed(_) => {
                for (row, mark) in rows.clone().zip(marks.iter_mut()) {
                    *mark = u8::from(self.passes_cell(column.cell(row)));
                }
            }
        }
        if let Some(null) = null {
            for (row, mark) in rows.zip(marks) {
                if column.is_null(row) {
                    *mark = null;
                }
            }
        }
    }

    fn mark_whole<'c>(&mut self, whole: &Whole, rows: &Range<usize>, marks: &mut [u8], cell: impl Fn(i64) -> Cell<'c>) {
        if let Codes::Narrow(codes) = &whole.codes {
            // Few different values: each is asked about once, when it is met.
            const UNKNOWN: u8 = 2;
            let mut known = [UNKNOWN; 256];
            for (code, mark) in codes.get(rows.clone()).unwrap_or_default().iter().zip(marks) {
                let Some(slot) = known.get_mut(usize::from(*code)) else { continue };
                if *slot == UNKNOWN {
                    *slot = u8::from(self.passes_cell(cell(whole.of_code(i64::from(*code)))));
                }
                *mark = *slot;
            }
            return;
        }
        let Some((low, high, inside)) = self.range(&cell, whole) else {
            for (row, mark) in rows.clone().zip(marks) {
                *mark = u8::from(self.passes_cell(cell(whole.get(row))));
            }
            return;
        };
        let (inside, outside) = (u8::from(inside), u8::from(!inside));
        match &whole.codes {
            Codes::Narrow(_) | Codes::Wide(_) => {}
            Codes::Short(codes) => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                match (u16::try_from(low), u16::try_from(high - 1)) {
                    (Ok(low), Ok(last)) if low <= last => {
                        for (code, mark) in codes.iter().zip(marks) {
                            *mark = if *code >= low && *code <= last { inside } else { outside };
                        }
                    }
                    _ => marks.fill(outside),
                }
            }
            Codes::Word(codes) => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                match (u32::try_from(low), u32::try_from(high - 1)) {
                    (Ok(low), Ok(last)) if low <= last => {
                        for (code, mark) in codes.iter().zip(marks) {
                            *mark = if *code >= low && *code <= last { inside } else { outside };
                        }
                    }
                    _ => marks.fill(outside),
                }
            }
        }
    }

    /// The codes that are smaller than, and equal to, a wanted number lie before and in a range: which range passes, or
    /// which does not. `None` where the operator is no comparison of numbers.
    fn range<'c>(&self, cell: &impl Fn(i64) -> Cell<'c>, whole: &Whole) -> Option<(i64, i64, bool)> {
        let dates = matches!(cell(0), Cell::Date(_));
        let (wanted, millis) = match &self.wanted {
            Wanted::Plain(Some(crate::Value::Number(number))) => (*number, false),
            Wanted::Millis(number) => (*number, true),
            _ => return None,
        };
        if wanted.is_nan() || dates && !millis && matches!(self.operator, Operator::Eq | Operator::Neq) {
            return None;
        }
        let (first, last) = match &whole.codes {
            Codes::Narrow(_) => (0, i64::from(u8::MAX)),
            Codes::Short(_) => (0, i64::from(u16::MAX)),
            Codes::Word(_) => (0, i64::from(u32::MAX)),
            Codes::Wide(_) => return None,
        };
        whole.base.checked_add(whole.step.checked_mul(last)?)?;
        let below = |fits: fn(Ordering) -> bool| {
            // The first code that does not fit.
            let (mut low, mut high) = (first, last + 1);
            while low < high {
                let middle = i64::midpoint(low, high);
                let number = match cell(whole.of_code(middle)) {
                    Cell::Number(number) => number,
                    Cell::Date(millis) => Number::from(millis),
                    _ => return first,
                };
                if number.partial_cmp(&wanted).is_some_and(fits) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        let smaller = || below(Ordering::is_lt);
        let not_larger = || below(Ordering::is_le);
        Some(match self.operator {
            Operator::Lt => (first, smaller(), true),
            Operator::Lte => (first, not_larger(), true),
            Operator::Gt => (first, not_larger(), false),
            Operator::Gte => (first, smaller(), false),
            Operator::Eq => (smaller(), not_larger(), true),
            Operator::Neq => (smaller(), not_larger(), false),
            _ => return None,
        })
    }

    fn mark_floats(&mut self, values: &[f64], marks: &mut [u8]) {
        let wanted = match &self.wanted {
            Wanted::Plain(Some(crate::Value::Number(number))) | Wanted::Millis(number) => number.as_f64(),
            _ => f64::NAN,
        };
        let operator = if wanted.is_nan() { Operator::IsNull } else { self.operator };
        let pairs = values.iter().zip(marks);
        match operator {
            Operator::Gt => pairs.for_each(|(value, mark)| *mark = u8::from(*value > wanted)),
            Operator::Gte => pairs.for_each(|(value, mark)| *mark = u8::from(*value >= wanted)),
            Operator::Lt => pairs.for_each(|(value, mark)| *mark = u8::from(*value < wanted)),
            Operator::Lte => pairs.for_each(|(value, mark)| *mark = u8::from(*value <= wanted)),
            _ => pairs.for_each(|(value, mark)| *mark = u8::from(self.passes_cell(Cell::Number(Number::from(*value))))),
        }
    }

    /// Whether an ASCII text is looked for in texts, case ignored in the usual way.
    fn contains_quickly(&self) -> bool {
        self.searches_in_place
            && matches!(self.operator, Operator::Contains | Operator::DoesNotContain)
            && !self.needle.needle().is_empty()
    }

    fn mark_texts(&mut self, texts: &Texts, rows: &Range<usize>, marks: &mut [u8]) {
        let (found, missing) = if self.operator == Operator::Contains { (1, 0) } else { (0, 1) };
        marks.fill(missing);
        let bytes = texts.all.as_bytes();
        let needle = self.needle.needle();
        let mut row = rows.start;
        let (mut start, mut end) = texts.range(row);
        let until = rows.end.checked_sub(1).map_or(start, |last| texts.range(last).1);
        candidates(bytes.get(..until).unwrap_or_default(), start, needle, |at| {
            while at >= end && row + 1 < rows.end {
                row += 1;
                (start, end) = texts.range(row);
            }
            // Not across the end of a text.
            let whole = at >= start && at + needle.len() <= end;
            if whole
                && bytes.get(at..at + needle.len()).is_some_and(|part| part.eq_ignore_ascii_case(needle))
                && let Some(mark) = marks.get_mut(row - rows.start)
            {
                *mark = found;
            }
        });
        // Outside of ASCII two characters become ASCII letters.
        let odd = needle.iter().any(|byte| matches!(byte, b'i' | b'k'));
        if odd && !texts.all.is_ascii() {
            for (row, mark) in rows.clone().zip(marks) {
                if *mark == missing && !texts.get(row).is_ascii() {
                    *mark = u8::from(self.passes_cell(Cell::Text(texts.get(row))));
                }
            }
        }
    }
}

/// So many places are looked at together.
const LANES: usize = 32;

/// Where the first two bytes of a text stand, in lower case ASCII, case ignored; and perhaps some places where they do not.
fn candidates(bytes: &[u8], from: usize, needle: &[u8], mut found: impl FnMut(usize)) {
    let Some(first) = needle.first().copied() else { return };
    let second = needle.get(1).copied();
    let fold = |letter: u8| if letter.is_ascii_lowercase() { 0x20 } else { 0 };
    let (fold_first, fold_second) = (fold(first), second.map_or(0xFF, fold));
    let wanted_second = second.unwrap_or(0xFF);
    let mut at = from;
    while let Some((here, next)) = bytes.get(at..at + LANES).zip(bytes.get(at + 1..at + 1 + LANES)) {
        let mut hits = [0_u8; LANES];
        for ((hit, a), b) in hits.iter_mut().zip(here).zip(next) {
            *hit = u8::from(a | fold_first == first) & u8::from(b | fold_second == wanted_second);
        }
        for (place, word) in (0..).zip(hits.chunks_exact(8)) {
            let mut word = <[u8; 8]>::try_from(word).map_or(0, u64::from_le_bytes);
            while word != 0 {
                let lane = usize::try_from(word.trailing_zeros() / 8).unwrap_or(0);
                found(at + place * 8 + lane);
                word &= word - 1;
            }
        }
        at += LANES;
    }
    for place in at..bytes.len() {
        let one = bytes.get(place).is_some_and(|byte| byte | fold_first == first);
        if one && second.is_none_or(|second| bytes.get(place + 1).is_some_and(|byte| byte | fold_second == second)) {
            found(place);
        }
    }
}
