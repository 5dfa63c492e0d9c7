//! Rows as a query walks over them: in runs that stand one behind the other in one block of columns.
//!
//! Owns the division into runs. Never keeps a value.

use super::Rows;
use crate::{Record, record::Columns};
use std::ops::Range;

/// Rows that follow each other.
#[derive(Debug)]
pub(crate) struct Span {
    /// The position of the first.
    pub(crate) start: u32,
    pub(crate) len: u32,
    /// The first row, where all are rows of one block of columns.
    first: Option<Record>,
}

impl Span {
    /// The first row, its block of columns and its place in there.
    pub(crate) fn columns(&self) -> Option<(&Record, &Columns, usize)> {
        let first = self.first.as_ref()?;
        let (columns, row) = first.columns()?;
        Some((first, columns, row))
    }

    pub(crate) fn positions(&self) -> Range<u32> {
        self.start..self.start + self.len
    }

    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }
}

/// Divides rows into runs.
pub(crate) fn spans(rows: &dyn Rows) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut before: Option<&Record> = None;
    for (position, index) in (0..u32::MAX).zip(0..rows.len()) {
        let record = rows.record(index);
        let columnar = record.columns().is_some();
        match spans.last_mut() {
            Some(span)
                if span.first.is_some() == columnar
                    && (!columnar || before.is_some_and(|before| record.follows(before))) =>
            {
                span.len += 1;
            }
            _ => spans.push(Span { start: position, len: 1, first: columnar.then(|| record.clone()) }),
        }
        before = Some(record);
    }
    spans
}

/// Rows and their runs.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) rows: &'a dyn Rows,
    pub(crate) spans: &'a [Span],
}

impl<'a> Source<'a> {
    pub(crate) fn len(self) -> usize {
        self.spans.last().map_or(0, |span| usize::try_from(span.positions().end).unwrap_or(0))
    }

    /// The row at a position.
    pub(crate) fn record(self, position: u32) -> &'a Record {
        self.rows.record(usize::try_from(position).unwrap_or(usize::MAX))
    }

    /// The runs, each with those of the positions that lie in it.
    pub(crate) fn runs<'p>(self, passing: &'p Passing) -> impl Iterator<Item = (&'a Span, Run<'p>)> {
        let mut rest: &[u32] = match passing {
            Passing::All(_) => &[],
            Passing::Some(positions) => positions,
        };
        let all = matches!(passing, Passing::All(_));
        self.spans.iter().map(move |span| {
            if all {
                return (span, Run::All(span.positions()));
            }
            let end = span.positions().end;
            let (here, behind) = rest.split_at(rest.partition_point(|position| *position < end));
            rest = behind;
            (span, Run::Some(here))
        })
    }
}

/// Which rows of a source are meant: positions in ascending order.
#[derive(Clone, Debug)]
pub(crate) enum Passing {
    /// The first so many.
    All(usize),
    Some(Vec<u32>),
}

impl Passing {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::All(len) => *len,
            Self::Some(positions) => positions.len(),
        }
    }

    pub(crate) fn into_positions(self) -> Vec<u32> {
        match self {
            Self::All(len) => (0..u32::MAX).take(len).collect(),
            Self::Some(positions) => positions,
        }
    }
}

/// The rows of one span that are meant.
#[derive(Clone, Debug)]
pub(crate) enum Run<'p> {
    All(Range<u32>),
    Some(&'p [u32]),
}

impl Run<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let (range, some) = match self {
            Self::All(range) => (range.clone(), [].as_slice()),
            Self::Some(positions) => (0..0, *positions),
        };
        range.chain(some.iter().copied())
    }
}
