//! Reading from the service, and querying what is here: the calls. What they do is the engine's.

use crate::{
    data_source::DataSource,
    operation::{self, Operation, Outcome},
};
use landfall_core::{Aggregate, Engine, Filter, Group, QueryOptions, Record, Sort, Steps, Ticket};

/// # Reading
impl<T> DataSource<T> {
    /// Reads from the service; offline, from the storage. Drafts are dropped; pending changes stay on top of the fresh
    /// rows (G4). At most one read runs and one waits; a waiting one that is replaced ends with its successor.
    ///
    /// The operation fails with the transport's errors, `Rejected` when the service answers with errors, `Undecodable`,
    /// `Offline` when offline without a storage, and the storage's errors.
    pub fn read(&self) -> Operation<Outcome> {
        self.read_with(Record::new())
    }

    /// As [`read`](Self::read), with further parameters; they add to or replace Kendo's.
    #[expect(clippy::needless_pass_by_value, reason = "parameters are made for the call")]
    pub fn read_with(&self, params: Record) -> Operation<Outcome> {
        self.start("read", operation::outcome, |engine, ticket| engine.read(ticket, &params))
    }

    /// How many rows of the answer to the read under way are decoded; `None` when no read waits for its answer. Large answers
    /// are decoded on the driver's task, outside of all locks: ask from another thread.
    ///
    /// # Panics
    /// In a [function that the data source runs](Self#functions-of-the-programs-own) while it is locked.
    #[track_caller]
    pub fn read_progress(&self) -> Option<usize> {
        self.look("read_progress").read_progress()
    }

    /// Gives up the read that waits for its answer, or whose answer is being decoded: it fails with `Cancelled`, the data stay
    /// as they were, and an answer that comes later is ignored. A read that waits for it starts. Gives false, and does
    /// nothing, when there is no such read.
    ///
    /// # Panics
    /// In a [function that the data source runs](Self#functions-of-the-programs-own) while it is locked.
    #[track_caller]
    pub fn cancel_read(&self) -> bool {
        let (found, steps) = self.shared().make(self.look("cancel_read"), |engine| {
            let steps = engine.cancel_read();
            (steps.is_some(), steps.unwrap_or_default())
        });
        self.perform(steps);
        found
    }

    /// Loads once; later calls query what is here, unless the server does part of the query (R9.17).
    pub fn fetch(&self) -> Operation<Outcome> {
        self.start("fetch", operation::outcome, Engine::fetch)
    }

    /// Queries with these settings; what they omit is cleared (R9.14).
    pub fn query(&self, options: QueryOptions) -> Operation<Outcome> {
        self.start("query", operation::outcome, |engine, ticket| engine.query(ticket, options))
    }

    fn checked(
        &self,
        name: &'static str,
        fields: impl IntoIterator<Item = String>,
        call: impl FnOnce(&mut Engine, Ticket) -> Steps,
    ) -> Operation<Outcome> {
        for field in fields {
            let known = self.shared().enter(name).and_then(|engine| engine.check_field(&field));
            if let Err(error) = known {
                return Operation::failed(error.during("query"), operation::outcome);
            }
        }
        self.start(name, operation::outcome, call)
    }

    /// Sets the filter (`None` clears it) and goes to page 1. Fails with `Invalid` for a field the model does not declare.
    pub fn filter(&self, filter: impl Into<Option<Filter>>) -> Operation<Outcome> {
        let filter = filter.into();
        let fields = filter.as_ref().map(Filter::fields).unwrap_or_default();
        self.checked("filter", fields, |engine, ticket| engine.filter(ticket, filter))
    }

    /// Sets the sort order; an empty one clears it. Fails with `Invalid` for a field the model does not declare.
    pub fn sort(&self, sort: impl IntoIterator<Item = Sort>) -> Operation<Outcome> {
        let sort: Vec<Sort> = sort.into_iter().collect();
        let fields: Vec<String> = sort.iter().map(|sort| sort.field.as_str().to_owned()).collect();
        self.checked("sort", fields, |engine, ticket| engine.sort(ticket, sort))
    }

    /// Sets the groups; none clears them. Fails with `Invalid` for a field the model does not declare.
    pub fn group(&self, group: impl IntoIterator<Item = Group>) -> Operation<Outcome> {
        let group: Vec<Group> = group.into_iter().collect();
        let fields: Vec<String> = group.iter().map(|group| group.field.as_str().to_owned()).collect();
        self.checked("group", fields, |engine, ticket| engine.group(ticket, group))
    }

    /// Sets the aggregates; none clears them. Fails with `Invalid` for a field the model does not declare.
    pub fn aggregate(&self, aggregate: impl IntoIterator<Item = Aggregate>) -> Operation<Outcome> {
        let aggregate: Vec<Aggregate> = aggregate.into_iter().collect();
        let fields: Vec<String> = aggregate.iter().map(|one| one.field.as_str().to_owned()).collect();
        self.checked("aggregate", fields, |engine, ticket| engine.aggregate(ticket, aggregate))
    }

    /// Goes to a page, counted from 1 and brought into the range of pages.
    pub fn page(&self, page: usize) -> Operation<Outcome> {
        self.start("page", operation::outcome, |engine, ticket| engine.page(ticket, page))
    }

    /// Sets the rows a page and goes to page 1.
    #[doc(alias = "pageSize")]
    pub fn page_size(&self, rows: usize) -> Operation<Outcome> {
        self.start("page_size", operation::outcome, |engine, ticket| engine.page_size(ticket, rows))
    }

    /// Goes to the next page. Gives its number, `None` on the last.
    #[doc(alias = "next")]
    pub fn next_page(&self) -> (Option<usize>, Operation<Outcome>) {
        self.start_with("next_page", operation::outcome, |engine, ticket| engine.next_page(ticket, None))
    }

    /// Goes to the previous page. Gives its number, `None` on the first.
    #[doc(alias = "prev")]
    pub fn previous_page(&self) -> (Option<usize>, Operation<Outcome>) {
        self.start_with("previous_page", operation::outcome, |engine, ticket| engine.previous_page(ticket, None))
    }

    /// As [`next_page`](Self::next_page) with further settings, which win over the current ones.
    pub fn next_page_with(&self, options: QueryOptions) -> (Option<usize>, Operation<Outcome>) {
        self.start_with("next_page", operation::outcome, |engine, ticket| engine.next_page(ticket, Some(options)))
    }

    /// As [`previous_page`](Self::previous_page) with further settings.
    pub fn previous_page_with(&self, options: QueryOptions) -> (Option<usize>, Operation<Outcome>) {
        self.start_with("previous_page", operation::outcome, |engine, ticket| {
            engine.previous_page(ticket, Some(options))
        })
    }
}
