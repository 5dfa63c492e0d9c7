//! The query state: page, size, order, filter, groups, aggregates, as Kendo keeps them (reference 9.2).

use super::options::Options;
use crate::{Aggregate, Filter, Group, Record, Result, Sort, Value};

/// The settings of one query. What is absent is cleared (R9.14, Q60).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct QueryOptions {
    /// Page, counted from 1.
    pub page: Option<usize>,
    /// Rows a page.
    pub page_size: Option<usize>,
    /// Rows to leave out; follows from the page when absent.
    pub skip: Option<usize>,
    /// Rows to take; the page size when absent.
    pub take: Option<usize>,
    /// Sort order; absent is cleared, an empty list is sent to a sorting server as such (R7.69).
    pub sort: Option<Vec<Sort>>,
    /// Filter.
    pub filter: Option<Filter>,
    /// Groups.
    pub group: Option<Vec<Group>>,
    /// Aggregates.
    pub aggregate: Option<Vec<Aggregate>>,
    /// Further parameters that go along with a read.
    pub params: Record,
}

impl QueryOptions {
    /// Nothing set: everything shown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads Kendo's options object; members that are no query settings become parameters of the read.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for descriptors that cannot be understood, unknown filter
    /// operators among them (Q41).
    pub fn from_kendo(options: &Record) -> Result<Self> {
        Self::read(options, Filter::from_value)
    }

    /// As [`from_kendo`](Self::from_kendo) for a data source whose server filters: operators that only the server knows
    /// are sent as they are ([`Filter::from_value_for_server`]).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for descriptors that cannot be understood.
    pub fn from_kendo_for_server(options: &Record) -> Result<Self> {
        Self::read(options, Filter::from_value_for_server)
    }

    fn read(options: &Record, filter: fn(&Value) -> Result<Option<Filter>>) -> Result<Self> {
        let mut out = Self::default();
        let number = |value: &Value| value.as_i64().and_then(|n| usize::try_from(n).ok());
        for (name, value) in options.iter() {
            match name {
                "page" => out.page = number(value),
                "pageSize" => out.page_size = number(value),
                "skip" => out.skip = number(value),
                "take" => out.take = number(value),
                "sort" => out.sort = given(value, Sort::list_from_value)?,
                "filter" => out.filter = filter(value)?,
                "group" => out.group = given(value, Group::list_from_value)?,
                "aggregate" => out.aggregate = given(value, Aggregate::list_from_value)?,
                _ => {
                    out.params.set(name, value.clone());
                }
            }
        }
        Ok(out)
    }

    /// These settings where they are given, the others elsewhere.
    pub(crate) fn over(self, under: Self) -> Self {
        Self {
            page: self.page.or(under.page),
            page_size: self.page_size.or(under.page_size),
            skip: self.skip.or(under.skip),
            take: self.take.or(under.take),
            sort: self.sort.or(under.sort),
            filter: self.filter.or(under.filter),
            group: self.group.or(under.group),
            aggregate: self.aggregate.or(under.aggregate),
            params: self.params,
        }
    }

    /// Shows this page, counted from 1.
    #[must_use]
    pub fn page(mut self, page: usize) -> Self {
        self.page = Some(page);
        self
    }

    /// Sets the rows a page.
    #[must_use]
    pub fn page_size(mut self, rows: usize) -> Self {
        self.page_size = Some(rows);
        self
    }

    /// Sets the filter.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<Option<Filter>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Adds a sort key.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort.get_or_insert_default().push(sort);
        self
    }

    /// Adds a group level.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.group.get_or_insert_default().push(group);
        self
    }

    /// Adds an aggregate.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregate.get_or_insert_default().push(aggregate);
        self
    }
}

fn given<T>(value: &Value, read: impl Fn(&Value) -> Result<Vec<T>>) -> Result<Option<Vec<T>>> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

/// The current settings.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) page: Option<usize>,
    pub(crate) page_size: Option<usize>,
    pub(crate) skip: Option<usize>,
    pub(crate) take: Option<usize>,
    pub(crate) sort: Option<Vec<Sort>>,
    pub(crate) filter: Option<Filter>,
    pub(crate) group: Option<Vec<Group>>,
    pub(crate) aggregate: Option<Vec<Aggregate>>,
    /// A query was made: from then on Kendo tells a filtering server the locale too.
    pub(crate) queried: bool,
}

impl State {
    pub(crate) fn new(options: &Options) -> Self {
        let paged = options.page_size.is_some_and(|size| size > 0);
        Self {
            page: options.page.or(paged.then_some(1)),
            page_size: options.page_size,
            skip: None,
            take: None,
            sort: options.sort.clone(),
            filter: options.filter.clone(),
            group: Some(options.group.clone()),
            aggregate: options.aggregate.clone(),
            queried: false,
        }
    }

    /// The sort order; none when absent.
    pub(crate) fn sort(&self) -> &[Sort] {
        self.sort.as_deref().unwrap_or_default()
    }

    /// The groups; none when absent.
    pub(crate) fn group(&self) -> &[Group] {
        self.group.as_deref().unwrap_or_default()
    }

    /// The aggregates; none when absent.
    pub(crate) fn aggregate(&self) -> &[Aggregate] {
        self.aggregate.as_deref().unwrap_or_default()
    }

    /// Takes the place of the current settings (R9.14, R9.15).
    pub(crate) fn replace(&mut self, options: QueryOptions) {
        self.queried = true;
        self.page_size = options.page_size;
        self.page = options.page;
        self.sort = options.sort;
        self.filter = options.filter;
        self.group = options.group;
        self.aggregate = options.aggregate;
        self.skip = options.skip;
        self.take = options.take;
        if self.skip.is_none() {
            self.skip = self.skip();
        }
        if self.take.is_none() {
            self.take = self.page_size;
        }
    }

    /// The current settings as the start of a changed query.
    pub(crate) fn to_options(&self) -> QueryOptions {
        QueryOptions {
            page: self.page(),
            page_size: self.take(),
            skip: None,
            take: None,
            sort: self.sort.clone(),
            filter: self.filter.clone(),
            group: self.group.clone(),
            aggregate: self.aggregate.clone(),
            params: Record::new(),
        }
    }

    pub(crate) fn take(&self) -> Option<usize> {
        self.take.filter(|n| *n > 0).or(self.page_size)
    }

    pub(crate) fn skip(&self) -> Option<usize> {
        self.skip.or_else(|| self.page.map(|page| page.saturating_sub(1) * self.take().filter(|n| *n > 0).unwrap_or(1)))
    }

    /// The page that is shown, counted from 1 (R9.22).
    pub(crate) fn page(&self) -> Option<usize> {
        let take = self.take().filter(|n| *n > 0).unwrap_or(1);
        self.skip().map(|skip| (skip + take / 2) / take + 1)
    }
}
