//! A view that follows edits of single rows: what an edit costs does not grow with the number of rows.
//!
//! Owns the start of the order and the number of rows that pass. Keeps no values and never looks at rows that were not
//! edited; where that does not do it says so, and the view is worked out anew.

use super::{
    Processed, Query, Rows, Source, View, cut, filtered,
    matching::Matcher,
    order::{self, By, Comparer},
};
use crate::Record;
use std::cmp::Ordering;

/// So many rows behind the page are kept in order, to move up when rows of the page leave it.
const RESERVE: usize = if cfg!(test) { 3 } else { 44 };

/// The start of a view, kept right.
#[derive(Debug)]
pub(crate) struct Live {
    query: Query,
    /// The first passing rows in order; all of them when they are as many as the total.
    first: Vec<u32>,
    total: usize,
    /// How many rows there are, passing or not.
    len: usize,
}

/// Works a query out as [`super::process`] does, and keeps what is needed to follow edits, where that can be done.
pub(crate) fn process(source: Source<'_>, query: &Query) -> (Processed, Option<Live>) {
    let own = query.sort.iter().any(|sort| sort.compare.is_some());
    if own || !query.group.is_empty() || query.filter.as_ref().is_some_and(super::Filter::asks) {
        return (super::process_spans(source, query), None);
    }
    let end = query.skip.zip(query.take).map(|(skip, take)| skip.saturating_add(take));
    let wanted = end.map(|end| end.saturating_add(RESERVE));
    let (first, total) = if query.filter.is_none() && query.sort.is_empty() {
        let count = wanted.unwrap_or(usize::MAX).min(source.len());
        ((0..u32::MAX).take(count).collect(), source.len())
    } else {
        let passing = filtered(source, query.filter.as_ref(), query.locale.as_deref());
        let by: Vec<By<'_>> = query.sort.iter().map(By::sort).collect();
        let total = passing.len();
        (order::order(source, passing, &by, wanted), total)
    };
    let live = Live { query: query.clone(), first, total, len: source.len() };
    match live.processed() {
        Some(processed) => (processed, Some(live)),
        None => (super::process_spans(source, query), None),
    }
}

impl Live {
    /// Whether this is the view of such a query.
    pub(crate) fn follows(&self, query: &Query) -> bool {
        let known = &self.query;
        let same_filter = match (&known.filter, &query.filter) {
            (Some(known), Some(filter)) => known.same(filter),
            (known, filter) => known.is_none() && filter.is_none(),
        };
        same_filter
            && query.group.is_empty()
            && (known.skip, known.take) == (query.skip, query.take)
            && known.locale == query.locale
            && known.sort.len() == query.sort.len()
            && known
                .sort
                .iter()
                .zip(&query.sort)
                .all(|(a, b)| a.field == b.field && a.dir == b.dir && b.compare.is_none())
    }

    /// What the query shows now; `None` when too little of it is known.
    pub(crate) fn processed(&self) -> Option<Processed> {
        let page = self.query.skip.zip(self.query.take);
        let end = page.map_or(usize::MAX, |(skip, take)| skip.saturating_add(take));
        if self.first.len() < end.min(self.total) {
            return None;
        }
        let shown = page.map_or(self.first.as_slice(), |page| cut(&self.first, page));
        let total = (self.query.filter.is_some() || page.is_some()).then_some(self.total);
        Some(Processed { view: View::Rows(shown.to_vec()), total })
    }

    /// A row was edited; `was` is what it was before. Gives whether the view is right again.
    pub(crate) fn edited(&mut self, rows: &dyn Rows, position: u32, was: &Record) -> bool {
        if rows.len() != self.len {
            return false;
        }
        let now = rows.record(order::at(position));
        let (before, after) = match &self.query.filter {
            None => (true, true),
            Some(filter) => {
                let mut matcher = Matcher::whole(filter, self.query.locale.as_deref());
                (matcher.passes(was), matcher.passes(now))
            }
        };
        if !before && !after || before && after && self.query.sort.is_empty() {
            return true;
        }
        let all_known = self.first.len() == self.total;
        if before {
            self.total = self.total.saturating_sub(1);
            if let Some(at) = self.first.iter().position(|known| *known == position) {
                self.first.remove(at);
            }
        }
        if !after {
            return true;
        }
        self.total += 1;
        let by: Vec<By<'_>> = self.query.sort.iter().map(By::sort).collect();
        let Some(mut comparer) = Comparer::new(&by) else { return false };
        let (mut low, mut high) = (0, self.first.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let Some(known) = self.first.get(middle) else { return false };
            match comparer.compare(rows.record(order::at(*known)), now).map(|order| order.then(known.cmp(&position))) {
                None => return false,
                Some(Ordering::Greater) => high = middle,
                Some(_) => low = middle + 1,
            }
        }
        // Behind the last known row there may be others in between.
        if low < self.first.len() || all_known {
            self.first.insert(low, position);
        }
        true
    }
}
