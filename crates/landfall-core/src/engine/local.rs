//! Queries answered from memory, and the view (reference 7, 9.2, 9.3).

use super::{
    Engine, Step, Steps,
    event::{Event, EventKind, Item},
    groups::{GroupItems, GroupNode},
    state::QueryOptions,
    step::{Cont, Settled, Then, Ticket},
    table::Uid,
};
use crate::{
    Aggregate, Error, ErrorKind, Filter, Group, Operation, Query, Record, Result, Sort, Value, View, ViewGroup,
};
use std::sync::Arc;

/// What the data source shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Shown {
    /// Items in the order of the view.
    Rows(Vec<Item>),
    /// Groups of items.
    Groups(Vec<ShownGroup>),
}

/// A group of the view.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShownGroup {
    /// The grouped field.
    pub field: String,
    /// The common value; `None` when the items lack the field.
    pub value: Option<Value>,
    /// Whether the items are groups again.
    pub has_subgroups: bool,
    /// Aggregates by field and function.
    pub aggregates: Record,
    /// The items.
    pub items: Shown,
}

impl Shown {
    /// All items in order, groups flattened (Kendo's `flatView`).
    #[doc(alias = "flatView")]
    pub fn flat(&self) -> Vec<Item> {
        fn walk(shown: &Shown, out: &mut Vec<Item>) {
            match shown {
                Shown::Rows(items) => out.extend(items.iter().cloned()),
                Shown::Groups(groups) => groups.iter().for_each(|group| walk(&group.items, out)),
            }
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }
}

/// The top groups of a server as rows.
struct Heads(Vec<Record>);

impl crate::Rows for Heads {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn record(&self, index: usize) -> &Record {
        static NONE: std::sync::LazyLock<Record> = std::sync::LazyLock::new(Record::new);
        self.0.get(index).unwrap_or(&NONE)
    }
}

/// The view as last computed.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) view: View,
    /// A filter or an order of the program's panicked: nothing is shown.
    pub(crate) failed: bool,
}

impl Engine {
    /// The view has to be computed again.
    pub(crate) fn touch(&mut self) {
        self.computed = None;
    }

    /// Computes the view now, so that a change that Kendo does not show stays unseen until the next step.
    pub(crate) fn settle_view(&mut self) {
        self.ensure_view(false);
    }

    /// With `in_place_sort` the data itself follows every change at once (R7.1).
    pub(crate) fn sort_in_place(&mut self) {
        if self.options.in_place_sort {
            self.settle_view();
        }
    }

    fn local_query(&self) -> Query {
        let all = self.from_store;
        let mut query = Query::default();
        if all || !self.options.server_paging {
            query.take = self.state.take();
            query.skip = if query.take.is_some() { self.state.skip() } else { None };
        }
        if all || !self.options.server_sorting {
            query.sort = self.state.sort().to_vec();
        }
        if all || !self.options.server_filtering {
            query.filter.clone_from(&self.state.filter);
        }
        if all && self.groups.is_none() || !self.options.server_grouping {
            query.group = self.state.group().to_vec();
        }
        query.locale.clone_from(&self.options.accent_folding_filtering);
        query
    }

    fn ensure_view(&mut self, default_total: bool) {
        if self.computed.is_some() && !default_total {
            return;
        }
        if guarded(|| self.compute(default_total)).is_none() {
            self.live = None;
            self.gathered = None;
            self.set_filter_total(Some(0), false);
            self.computed = Some(Computed { view: View::Rows(Vec::new()), failed: true });
        }
    }

    fn compute(&mut self, default_total: bool) {
        let mut query = self.local_query();
        let grouped = self.groups.is_some() && self.options.server_grouping && !self.state.group().is_empty();
        if self.options.in_place_sort && !grouped && !(query.sort.is_empty() && query.group.is_empty()) {
            let by_group = query.group.iter().filter(|group| group.compare.is_none());
            let by_group = by_group.map(|group| Sort::new(group.field.clone(), group.dir));
            let sort = Query { sort: by_group.chain(query.sort.iter().cloned()).collect(), ..Query::default() };
            let spans = self.table.spans();
            if let View::Rows(positions) = crate::query::process_spans(self.table.source(&spans), &sort).view
                && !positions.is_sorted()
            {
                self.table.permute(&positions);
                self.snapshot_needed = self.options.offline_storage;
            }
            query.sort.clear();
        }
        if grouped {
            self.compute_groups(&query);
        } else {
            let processed = self.processed(&query);
            self.set_filter_total(processed.total, default_total);
            self.computed = Some(Computed { view: processed.view, failed: false });
            // Dividing the table into runs takes a look at every row: only where something is to be gathered.
            let spans = if self.state.aggregate().is_empty() { Arc::default() } else { self.table.spans() };
            self.gathered = self.gather(self.table.source(&spans), &query);
        }
    }

    /// What a query shows: by the view that followed the edits since it was worked out, else worked out anew.
    fn processed(&mut self, query: &Query) -> crate::Processed {
        let version = self.table.version();
        if let Some((known, live)) = &self.live
            && *known == version
            && live.follows(query)
            && let Some(processed) = live.processed()
        {
            return processed;
        }
        let (processed, live) = {
            let spans = self.table.spans();
            crate::query::process_live(self.table.source(&spans), query)
        };
        self.live = live.map(|live| (version, live));
        processed
    }

    /// A row of the table was edited; `was` and `version` are what it and the table's version were before.
    pub(crate) fn follow_edit(&mut self, uid: Uid, was: &Record, version: u64) {
        let Some((known, live)) = self.live.as_mut().filter(|(known, _)| *known == version) else { return };
        let position = self.table.position(uid).and_then(|at| u32::try_from(at).ok());
        let edited = |position| guarded(|| live.edited(&self.table, position, was)).unwrap_or(false);
        if position.is_some_and(edited) {
            *known = self.table.version();
        } else {
            self.live = None;
        }
    }

    /// The aggregates over these rows (R7.62); what the server said where it aggregates.
    fn gather(&self, rows: crate::query::Source<'_>, query: &Query) -> Option<Record> {
        if self.options.server_aggregates && !self.from_store {
            return self.gathered.clone();
        }
        crate::query::some_aggregates(rows, query.filter.as_ref(), query.locale.as_deref(), self.state.aggregate())
    }

    /// A row just added whose id is null is shown first although it does not pass the filter, and is counted, until the
    /// view is computed again: Kendo's way to let an empty row be filled in.
    pub(crate) fn show_anyway(&mut self, uid: Uid) {
        let unsynced = !self.options.auto_sync || self.pushing;
        if self.state.filter.is_none() || self.groups.is_some() || !unsynced {
            return;
        }
        let Some(record) = self.table.get(uid).map(|row| row.record.clone()) else { return };
        if self.id_of(&record) != Some(Value::Null) {
            return;
        }
        self.ensure_view(false);
        let positions = |uid: Uid| self.table.position(uid).and_then(|at| u32::try_from(at).ok());
        let Some(at) = positions(uid) else { return };
        let group = GroupNode::around(self.state.group(), &record, uid).map(|group| group.shown(&positions));
        let Some(computed) = self.computed.as_mut().filter(|computed| !computed.view.flat().contains(&at)) else {
            return;
        };
        match (&mut computed.view, group) {
            (View::Rows(rows), _) => rows.insert(0, at),
            (View::Groups(groups), Some(group)) => groups.insert(0, group),
            (View::Groups(_), None) => return,
        }
        if !self.options.server_filtering || self.from_store {
            self.total = self.total.map(|total| total + 1);
        }
    }

    fn set_filter_total(&mut self, total: Option<usize>, default_total: bool) {
        if !self.options.server_filtering || self.from_store {
            if total.is_some() {
                self.total = total;
                self.filtered_total = self.state.filter.is_some();
            } else if default_total {
                self.total = Some(self.table.len());
                self.filtered_total = false;
            } else if self.filtered_total && self.state.filter.is_none() && self.groups.is_none() {
                // The query that took the filter away has failed: what it counted is no measure any more (C22).
                self.total = Some(self.table.len() + self.elsewhere);
                self.filtered_total = false;
            }
        }
    }

    /// The view of server groups. What is left to do here treats the groups as the rows, as Kendo does: filter, order,
    /// pages and aggregates see the members of the top groups, not the rows inside.
    fn compute_groups(&mut self, query: &Query) {
        let Some(groups) = self.groups.as_mut() else { return };
        self.meta_dirty |= super::groups::prune(groups);
        let positions = |uid: Uid| self.table.position(uid).and_then(|at| u32::try_from(at).ok());
        // Groups are wrapped as the model's, too: an id field named `id` is there, with its default (R4.33).
        let model = self.options.schema.model().filter(|model| model.id_field() == Some("id"));
        let id = model.and_then(crate::schema::Model::default_id);
        let heads = groups.iter().map(|group| {
            let mut head = group.head.clone();
            if let (Some(id), false) = (&id, head.contains("id")) {
                head.set("id", id.clone());
            }
            head
        });
        let heads = Heads(heads.collect());
        let spans = crate::query::spans(&heads);
        let source = crate::query::Source { rows: &heads, spans: &spans };
        let processed = crate::query::process_spans(source, query);
        let gathered = self.gather(source, query);
        let shown = match &processed.view {
            View::Rows(places) => places
                .iter()
                .filter_map(|at| self.groups.as_ref()?.get(usize::try_from(*at).ok()?))
                .map(|group| group.shown(&positions))
                .collect(),
            View::Groups(_) => Vec::new(),
        };
        self.gathered = gathered;
        self.set_filter_total(processed.total, false);
        self.computed = Some(Computed { view: View::Groups(shown), failed: false });
    }

    /// What the data source shows now.
    pub fn view(&mut self) -> Shown {
        self.ensure_view(false);
        self.computed.as_ref().map_or_else(|| Shown::Rows(Vec::new()), |computed| self.shown(&computed.view))
    }

    /// The positions in the data of what the data source shows now.
    pub fn view_positions(&mut self) -> &View {
        static EMPTY: View = View::Rows(Vec::new());
        self.ensure_view(false);
        self.computed.as_ref().map_or(&EMPTY, |computed| &computed.view)
    }

    fn shown(&self, view: &View) -> Shown {
        match view {
            View::Rows(positions) => Shown::Rows(positions.iter().filter_map(|at| self.item_at(*at)).collect()),
            View::Groups(groups) => Shown::Groups(
                groups
                    .iter()
                    .map(|group| ShownGroup {
                        field: group.field.as_str().to_owned(),
                        value: group.value.clone(),
                        has_subgroups: group.has_subgroups,
                        aggregates: group.aggregates.clone(),
                        items: self.shown(&group.items),
                    })
                    .collect(),
            ),
        }
    }

    fn item_at(&self, position: u32) -> Option<Item> {
        let row = self.table.at(usize::try_from(position).ok()?)?;
        Some(Item { uid: row.uid, record: row.record.clone() })
    }

    /// The items that an event about the whole view carries; computed only when somebody listens.
    pub(crate) fn view_items(&mut self) -> Option<Vec<Item>> {
        if !self.watch {
            return None;
        }
        Some(self.view().flat())
    }

    pub(crate) fn items_of(&self, uids: &[Uid]) -> Option<Vec<Item>> {
        self.watch.then(|| {
            uids.iter()
                .filter_map(|uid| self.table.get(*uid))
                .map(|row| Item { uid: row.uid, record: row.record.clone() })
                .collect()
        })
    }

    /// The number of rows in all, as Kendo counts it (R7.63-R7.65).
    pub fn total(&mut self) -> usize {
        self.ensure_view(false);
        self.current_total()
    }

    pub(crate) fn current_total(&self) -> usize {
        self.total.unwrap_or(0)
    }

    /// Aggregates over all rows that pass the filter, by field and function (R7.62).
    pub fn aggregates(&mut self) -> &Record {
        self.ensure_view(false);
        // No result at all shows 0 for what is asked for now.
        self.aggregates = match self.gathered.as_ref().filter(|gathered| !gathered.is_empty()) {
            Some(gathered) => gathered.clone(),
            None => crate::query::no_aggregates(self.state.aggregate()),
        };
        &self.aggregates
    }

    /// The number of pages; 0 when there is nothing (Q58).
    pub fn total_pages(&mut self) -> usize {
        let total = self.total();
        match self.state.take().filter(|size| *size > 0).unwrap_or(total) {
            0 => 0,
            size => total.div_ceil(size),
        }
    }

    // ---- queries

    /// A query with these settings; what they omit is cleared. Local when all needed data is here, else a read (R9.12).
    pub fn query(&mut self, ticket: Ticket, options: QueryOptions) -> Steps {
        if self.options.any_server() || self.table.len() == 0 && !self.has_visible_removals() {
            let mut params = options.params.clone();
            // What is asked for is sent as it was asked for, also where it contradicts itself (R7.67).
            for (name, value) in [("page", options.page), ("pageSize", options.page_size)] {
                if let Some(value) = value.filter(|_| self.options.server_paging) {
                    params.set(name, value);
                }
            }
            self.state.replace(options);
            return self.read(ticket, &params);
        }
        let event = Event::new(EventKind::RequestStart).operation(Operation::Read);
        Steps::from([Step::EmitThen(event, Then(Cont::LocalQuery(ticket, Some(Box::new(options)))))])
    }

    pub(crate) fn finish_local_query(
        &mut self,
        ticket: Ticket,
        options: Option<Box<QueryOptions>>,
        prevented: bool,
    ) -> Steps {
        if prevented {
            return Steps::from([Step::Settle(ticket, Ok(Settled::Prevented))]);
        }
        if let Some(options) = options {
            self.state.replace(*options);
        }
        self.touch();
        // A query looks at every row again.
        self.live = None;
        self.ensure_view(true);
        let failed = self.computed.as_ref().is_some_and(|computed| computed.failed);
        let settled = if failed {
            let words = "a filter or an order of yours panicked; nothing is shown";
            Err(Error::new(ErrorKind::Callback, words).during("query"))
        } else {
            Ok(Settled::Done)
        };
        let mut change = Event::new(EventKind::Change);
        change.items = self.view_items();
        Steps::from([
            Step::Emit(Event::new(EventKind::Progress)),
            Step::Emit(Event::new(EventKind::RequestEnd).operation(Operation::Read)),
            Step::Emit(change),
            Step::Settle(ticket, settled),
        ])
    }

    /// Loads once, then queries with the current settings (R9.17).
    pub fn fetch(&mut self, ticket: Ticket) -> Steps {
        let options = self.state.to_options();
        self.query(ticket, options)
    }

    /// Sets the filter and goes to page 1 (R9.19).
    pub fn filter(&mut self, ticket: Ticket, filter: Option<Filter>) -> Steps {
        let mut options = self.state.to_options();
        options.filter = filter;
        options.page = Some(1);
        let mut steps = Steps::from([Step::Emit(Event::new(EventKind::Reset))]);
        steps.extend(self.query(ticket, options));
        steps
    }

    /// Sets the sort order (R9.19).
    pub fn sort(&mut self, ticket: Ticket, sort: Vec<Sort>) -> Steps {
        let mut options = self.state.to_options();
        options.sort = Some(sort);
        let mut steps = Steps::from([Step::Emit(Event::new(EventKind::Sort))]);
        steps.extend(self.query(ticket, options));
        steps
    }

    /// Sets the groups.
    pub fn group(&mut self, ticket: Ticket, group: Vec<Group>) -> Steps {
        let mut options = self.state.to_options();
        options.group = Some(group);
        self.query(ticket, options)
    }

    /// Sets the aggregates.
    pub fn aggregate(&mut self, ticket: Ticket, aggregate: Vec<Aggregate>) -> Steps {
        let mut options = self.state.to_options();
        options.aggregate = Some(aggregate);
        self.query(ticket, options)
    }

    /// Goes to a page, brought into the range of pages (R9.22).
    pub fn page(&mut self, ticket: Ticket, page: usize) -> Steps {
        let page = page.max(1).min(self.total_pages()).max(1);
        let mut options = self.state.to_options();
        options.page = Some(page);
        self.query(ticket, options)
    }

    /// Sets the page size and goes to page 1.
    pub fn page_size(&mut self, ticket: Ticket, size: usize) -> Steps {
        let mut options = self.state.to_options();
        options.page_size = Some(size);
        options.page = Some(1);
        self.query(ticket, options)
    }

    /// Goes to the next page, if there is one; gives its number (R9.25).
    pub fn next_page(&mut self, ticket: Ticket, options: Option<QueryOptions>) -> (Option<usize>, Steps) {
        let pages = self.total_pages();
        let total = self.current_total();
        match self.state.page() {
            Some(page) if total == 0 || page < pages => self.turn(ticket, page + 1, options),
            _ => (None, Steps::from([Step::Settle(ticket, Ok(Settled::Done))])),
        }
    }

    /// Goes to the previous page, if there is one; gives its number.
    pub fn previous_page(&mut self, ticket: Ticket, options: Option<QueryOptions>) -> (Option<usize>, Steps) {
        match self.state.page() {
            Some(page) if page > 1 => self.turn(ticket, page - 1, options),
            _ => (None, Steps::from([Step::Settle(ticket, Ok(Settled::Done))])),
        }
    }

    fn turn(&mut self, ticket: Ticket, page: usize, extra: Option<QueryOptions>) -> (Option<usize>, Steps) {
        let mut options = self.state.to_options();
        if let Some(extra) = extra {
            options = extra.over(options);
        }
        options.page = Some(page);
        // The place is moved at once, even if a handler then prevents the query.
        self.state.skip = self.state.take().map(|take| (page - 1) * take);
        (Some(page), self.query(ticket, options))
    }

    /// A typed error for a field that the model does not declare; nothing is checked without declared fields.
    ///
    /// # Errors
    /// `Invalid`, naming the field and the fields there are.
    pub fn check_field(&self, field: &str) -> Result<()> {
        let Some(model) = self.options.schema.model() else { return Ok(()) };
        if !self.options.strict_fields || model.knows(field) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, "unknown field").with("field", field))
    }
}

/// A filter or an order of the program's that panics must not take the engine with it (I18).
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok()
}

impl GroupNode {
    pub(crate) fn shown(&self, position: &impl Fn(Uid) -> Option<u32>) -> ViewGroup {
        let (items, has_subgroups) = match &self.items {
            GroupItems::Groups(groups) => {
                (View::Groups(groups.iter().map(|group| group.shown(position)).collect()), true)
            }
            GroupItems::Rows(rows) => (View::Rows(rows.iter().filter_map(|uid| position(*uid)).collect()), false),
        };
        let text = |name: &str| self.head.get(name).map(Value::to_text).unwrap_or_default();
        ViewGroup {
            field: text("field"),
            value: self.head.get("value").cloned(),
            has_subgroups,
            aggregates: self.head.get("aggregates").and_then(Value::as_object).cloned().unwrap_or_default(),
            items,
        }
    }
}
