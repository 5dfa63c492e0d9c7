//! Queries answered from memory: filter, sort, page, group, aggregate (reference 7).
//!
//! Owns what the descriptors mean. Never changes a record and never talks to a server.

mod aggregate;
mod collate;
mod distinct;
mod field;
mod filter;
mod gather;
mod group;
mod js;
mod live;
mod matching;
mod operator;
mod order;
mod scan;
mod sieve;
mod sort;
mod span;
#[cfg(test)]
mod tests;

pub use aggregate::{Aggregate, AggregateFunction};
pub use filter::Filter;
pub use group::{Group, GroupOrder};
pub use operator::Operator;
pub use sort::{Direction, RecordOrder, Sort};

use crate::{Record, Text, Value};
use aggregate::Tally;
use group::Incoming;
pub(crate) use live::{Live, process as process_live};
use matching::Matcher;
use order::By;
use span::Passing;
pub(crate) use span::{Source, Span, spans};

/// What to show of some rows.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Which rows. Default: all.
    pub filter: Option<Filter>,
    /// In which order. Default: as they are.
    pub sort: Vec<Sort>,
    /// Grouped by what. Default: not at all.
    pub group: Vec<Group>,
    /// How many rows to leave out first. Without `take` it means nothing (R7.3).
    pub skip: Option<usize>,
    /// How many rows to show. Without `skip` it means nothing (R7.3).
    pub take: Option<usize>,
    /// The language whose rules lower-case texts in filters, such as `tr` (Kendo's `accentFoldingFiltering`).
    pub locale: Option<String>,
}

/// What a query shows.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// Positions of rows.
    Rows(Vec<u32>),
    /// Groups.
    Groups(Vec<ViewGroup>),
}

impl View {
    /// The positions of all rows in order, groups flattened.
    #[doc(alias = "flatView")]
    pub fn flat(&self) -> Vec<u32> {
        fn walk(view: &View, out: &mut Vec<u32>) {
            match view {
                View::Rows(rows) => out.extend(rows),
                View::Groups(groups) => groups.iter().for_each(|group| walk(&group.items, out)),
            }
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }
}

/// Rows with a common value.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewGroup {
    /// The grouped field.
    pub field: Text,
    /// The common value; `None` when the rows lack the field, which is another group than null.
    pub value: Option<Value>,
    /// Whether the items are groups again.
    pub has_subgroups: bool,
    /// Aggregates by field and function.
    pub aggregates: Record,
    /// The rows or groups inside.
    pub items: View,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Processed {
    /// What to show.
    pub view: View,
    /// The number of rows that pass the filter; `None` without filter and paging (R7.4).
    pub total: Option<usize>,
}

/// Rows that can be queried, by position.
pub trait Rows {
    /// The number of rows. Rows beyond the 32-bit range are not seen.
    fn len(&self) -> usize;

    /// The row at a position smaller than [`Rows::len`].
    fn record(&self, index: usize) -> &Record;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Filters, then sorts, then pages, then groups (R7.1).
///
/// Groups are sorted first, then the sort keys (R7.2); pages count rows, so that a group may be cut by a page (R7.6).
pub fn process(rows: &dyn Rows, query: &Query) -> Processed {
    process_spans(Source { rows, spans: &spans(rows) }, query)
}

/// [`process`] over rows whose runs are known.
pub(crate) fn process_spans(source: Source<'_>, query: &Query) -> Processed {
    let filtered = filtered(source, query.filter.as_ref(), query.locale.as_deref());
    let page = query.skip.zip(query.take);
    let count = filtered.len();
    let total = (query.filter.is_some() || page.is_some()).then_some(count);
    let own_order = query.group.iter().any(|group| group.compare.is_some());
    let sorts = query.sort.iter().map(By::sort);
    if own_order {
        let sorted = order::order(source, filtered, &sorts.collect::<Vec<_>>(), None);
        return in_own_order(source, query, &sorted, page);
    }
    if page.is_none() && !query.group.is_empty() {
        let sorts: Vec<By<'_>> = query.sort.iter().map(By::sort).collect();
        if let Some(groups) = distinct::groups(source, &filtered, &query.group, &sorts) {
            return Processed { view: View::Groups(groups), total };
        }
    }
    let by: Vec<By<'_>> = query
        .group
        .iter()
        .map(|group| By { field: &group.field, dir: group.dir, compare: None })
        .chain(sorts)
        .collect();
    // Aggregates of groups run over all rows, in their sorted order; else only the rows of the page need an order.
    let aggregated = query.group.iter().any(|group| !group.aggregates.is_empty());
    let end = page.filter(|_| !aggregated).map(|(skip, take)| skip.saturating_add(take));
    let sorted = order::order(source, filtered, &by, end);
    let view = if query.group.is_empty() {
        View::Rows(match page {
            Some(page) => cut(&sorted, page).to_vec(),
            None => sorted,
        })
    } else {
        let shown = page.map_or(sorted.as_slice(), |page| cut(&sorted, page));
        View::Groups(group::groups(source, shown, &query.group, &sorted, Incoming::Sorted))
    };
    Processed { view, total }
}

/// Groups with an order of their own: paged in the order of the groups (R7.53).
fn in_own_order(source: Source<'_>, query: &Query, sorted: &[u32], page: Option<(usize, usize)>) -> Processed {
    let mut groups = group::groups(source, sorted, &query.group, sorted, Incoming::Unsorted);
    if let Some(page) = page {
        let flat = View::Groups(groups).flat();
        groups = group::groups(source, cut(&flat, page), &query.group, sorted, Incoming::Sorted);
    }
    Processed { view: View::Groups(groups), total: query.filter.as_ref().map(|_| sorted.len()) }
}

fn cut(positions: &[u32], (skip, take): (usize, usize)) -> &[u32] {
    let start = skip.min(positions.len());
    let end = skip.saturating_add(take).min(positions.len());
    positions.get(start..end).unwrap_or_default()
}

fn filtered(source: Source<'_>, filter: Option<&Filter>, locale: Option<&str>) -> Passing {
    let Some(filter) = filter else { return Passing::All(source.len()) };
    let mut matcher = Matcher::whole(filter, locale);
    if !filter.asks() {
        return scan::passing(source, &mut matcher);
    }
    // A function of the program's is asked about no row that the conditions before it have turned away.
    let all = (0..u32::MAX).take(source.len());
    Passing::Some(all.filter(|position| matcher.passes(source.record(*position))).collect())
}

/// Aggregates over all rows that pass the filter, `{field: {name: value}}`; 0 for each function when there are none
/// (R7.62, C24).
///
/// `locale`: as in [`Query`].
pub fn aggregates(rows: &dyn Rows, filter: Option<&Filter>, locale: Option<&str>, aggregates: &[Aggregate]) -> Record {
    let source = Source { rows, spans: &spans(rows) };
    some_aggregates(source, filter, locale, aggregates).unwrap_or_else(|| aggregate::zeros(aggregates))
}

/// What no rows amount to: 0 for each function asked of each field.
pub(crate) fn no_aggregates(aggregates: &[Aggregate]) -> Record {
    aggregate::zeros(aggregates)
}

/// [`aggregates`], but nothing when no row passes or no function is asked for.
pub(crate) fn some_aggregates(
    source: Source<'_>,
    filter: Option<&Filter>,
    locale: Option<&str>,
    aggregates: &[Aggregate],
) -> Option<Record> {
    if aggregates.is_empty() {
        return None;
    }
    let passing = filtered(source, filter, locale);
    if passing.len() == 0 {
        return None;
    }
    let mut tally = Tally::new(aggregates);
    tally.count(passing.len());
    let mut tallies = [tally];
    for (span, run) in source.runs(&passing) {
        aggregate::add(&mut tallies, source, span, &run, None);
    }
    let [tally] = tallies;
    Some(tally.finish())
}
