//! Reads: one at a time, the last waiting one wins, fresh rows go underneath pending changes (reference 9.1, 6.5;
//! DESIGN section 5).

use super::{
    Engine, Step, Steps,
    change::Sent,
    event::{Event, EventKind},
    groups::{self, GroupItems, GroupNode},
    identity::Identities,
    restore::Restored,
    step::{Cont, Settled, Then, Ticket},
    table::Uid,
};
use crate::{
    Aggregate, ChangeKind, Error, ErrorKind, Group, Operation, ReadAnswer, Record, Reply, Request, Result, Sort,
    StoredState, Text, Value,
    json::{Hint, Progress},
};
use std::{collections::HashMap, sync::Arc};

/// One read, with everybody who waits for it.
#[derive(Debug)]
pub(crate) struct ReadRun {
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) params: Record,
    pub(crate) unset: Vec<Text>,
    /// The commits that a load of this read can know of.
    commits: u64,
}

/// Decodes answers, with what the schema says about the answer to a read.
#[derive(Debug)]
pub struct Decoder {
    hint: Option<Hint>,
    progress: Option<Arc<Progress>>,
}

impl Decoder {
    /// Decodes the body of an answer: rows go straight into columns, and texts of fields that are dates become instants where
    /// that is all that the schema asks for.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when the body is not JSON; what was sent may have been applied. [`ErrorKind::Cancelled`]
    /// when the read is cancelled meanwhile.
    pub fn decode(&self, mut reply: Reply) -> Result<Reply> {
        if let crate::Body::Json(_) = reply.body {
            let value = reply.body.decode_hinted(self.hint.as_ref(), self.progress.as_deref());
            let value = value.map_err(|error| error.applied(crate::Applied::Maybe))?;
            reply.body = value.map_or(crate::Body::Empty, crate::Body::Value);
        }
        Ok(reply)
    }
}

/// At most one read runs and at most one waits (R9.2).
#[derive(Debug, Default)]
pub(crate) struct ReadQueue {
    running: Option<u64>,
    waiting: Option<ReadRun>,
    sent: Option<(u64, ReadRun)>,
    /// Of the read that was sent.
    progress: Arc<Progress>,
    /// What was acknowledged since the read was sent: its answer may not know of it yet.
    since: Vec<(ChangeKind, Record)>,
    /// The rows of the read under way are being stored.
    storing: bool,
    /// The rows shown last came from a read, not from the program.
    brought: bool,
    /// They are older than what another program stored meanwhile, so that the read is made again; and how often it was.
    older: bool,
    again: u32,
}

/// How often a read is made again because another program stored something meanwhile.
const AGAIN: u32 = 3;

impl ReadQueue {
    /// Whether the rows shown came from a read: what another program stored may be newer.
    pub(super) fn brought_rows(&self) -> bool {
        self.brought
    }

    /// The rows shown are the program's own.
    pub(super) fn given(&mut self) {
        self.brought = false;
    }

    /// Whether rows that are being stored may be read again where another program stored something meanwhile.
    pub(super) fn may_be_made_again(&self) -> bool {
        self.storing && self.again < AGAIN
    }

    pub(super) fn make_again(&mut self) {
        self.again += 1;
        self.older = true;
    }

    /// Whether a read is under way whose rows are not shown yet.
    pub(super) fn waits_for_answer(&self) -> bool {
        self.running.is_some() && !self.storing
    }

    /// What the service is known to have, whatever the answer to the read under way says.
    pub(super) fn heard(&mut self, news: Vec<(ChangeKind, Record)>) {
        self.since.extend(news);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_none()
    }
}

impl Engine {
    /// Reads from the service, or from the storage while offline. `extra` adds to or replaces Kendo's parameters.
    pub fn read(&mut self, ticket: Ticket, extra: &Record) -> Steps {
        let (params, unset) = self.params(extra);
        let mut run = ReadRun { tickets: vec![ticket], params, unset, commits: 0 };
        if self.reads.running.is_some() {
            // A read that is replaced settles with the one that replaces it (C35).
            if let Some(old) = self.reads.waiting.take() {
                run.tickets.splice(0..0, old.tickets);
            }
            self.reads.waiting = Some(run);
            return Steps::new();
        }
        self.start_read(run)
    }

    fn start_read(&mut self, run: ReadRun) -> Steps {
        let number = self.next_number();
        self.reads.running = Some(number);
        self.reads.again = 0;
        let mut event = Event::new(EventKind::RequestStart).operation(Operation::Read);
        event.request = Some(number);
        Steps::from([Step::EmitThen(event, Then(Cont::ReadStarted(run)))])
    }

    /// Releases the queue; the waiting read starts.
    fn release(&mut self) -> Steps {
        self.reads.running = None;
        self.reads.waiting.take().map_or_else(Steps::new, |run| self.start_read(run))
    }

    pub(crate) fn read_started(&mut self, run: ReadRun, prevented: bool) -> Steps {
        if prevented {
            let mut steps = self.release();
            steps.extend(run.tickets.into_iter().map(|ticket| Step::Settle(ticket, Ok(Settled::Prevented))));
            return steps;
        }
        let mut steps =
            Steps::from([Step::Emit(Event::new(EventKind::Progress)), Step::Emit(Event::new(EventKind::Reset))]);
        if self.online {
            if self.options.offline_storage && !self.loaded {
                steps.push_back(Step::Load(Then(Cont::Restored(Box::new(Cont::ReadSend(run))))));
            } else {
                steps.push_back(Step::Run(Then(Cont::ReadSend(run))));
            }
        } else if self.options.offline_storage {
            let run = ReadRun { commits: self.commits, ..run };
            steps.push_back(Step::Load(Then(Cont::ReadLoadedOffline(run))));
        } else {
            let error = Error::new(
                ErrorKind::Offline,
                "offline, and there is no offline storage to read from; go online or set one",
            )
            .during("read");
            steps.extend(self.read_failed(run, &error));
        }
        steps
    }

    pub(crate) fn read_send(&mut self, run: ReadRun) -> Steps {
        if !self.options.offers.contains(Operation::Read) {
            let error = Error::new(ErrorKind::Config, "the transport does not offer reads").during("read");
            return self.read_failed(run, &error);
        }
        let id = self.next_number();
        let mut request = Request::read(run.params.clone());
        request.unset.clone_from(&run.unset);
        request.id_field = self.id_source();
        self.reads.sent = Some((id, run));
        self.reads.progress = Arc::default();
        self.reads.since.clear();
        Steps::from([Step::Send(id, request)])
    }

    /// What decodes the answer to a request, so that the engine need not be locked meanwhile.
    pub fn decoder(&self, id: u64) -> Decoder {
        let read = self.reads.sent.as_ref().is_some_and(|(sent, _)| *sent == id);
        // Who listens is shown the answer as the service gave it.
        let typed = read && !self.watch && !self.groups_on_server();
        Decoder {
            hint: typed.then(|| self.options.schema.hint()).flatten(),
            progress: read.then(|| Arc::clone(&self.reads.progress)),
        }
    }

    /// How many rows of the answer to the read under way are decoded; none when no read waits for its answer.
    pub fn read_progress(&self) -> Option<usize> {
        self.reads.sent.as_ref().map(|_| self.reads.progress.rows())
    }

    /// Gives up the read that waits for its answer: it ends with `Cancelled`, decoding stops, an answer that comes later is
    /// ignored, the data stay as they were. A read that waits for this one starts. Nothing when there is none.
    pub fn cancel_read(&mut self) -> Option<Steps> {
        let (_, run) = self.reads.sent.take()?;
        self.reads.progress.stop();
        let error = Error::new(ErrorKind::Cancelled, "the read was cancelled").during("read");
        Some(self.read_failed(run, &error))
    }

    /// Whether this answer belongs to the read under way; gives the read.
    pub(crate) fn take_read(&mut self, id: u64) -> Option<ReadRun> {
        match self.reads.sent.take() {
            Some((sent, run)) if sent == id => Some(run),
            other => {
                self.reads.sent = other;
                None
            }
        }
    }

    pub(crate) fn read_answered(&mut self, run: ReadRun, reply: Result<Reply>) -> Steps {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => return self.read_failed(run, &error.during("read")),
        };
        // Decoded once; event and data share the result.
        let Reply { body, parts, total, headers } = reply;
        let body = match body.into_value() {
            Ok(body) => body,
            Err(error) => return self.read_failed(run, &error.during("read")),
        };
        let mut event = Event::new(EventKind::RequestEnd).operation(Operation::Read);
        event.request = self.reads.running;
        if self.watch {
            event.response.clone_from(&body);
        }
        let body = body.map_or(crate::Body::Empty, crate::Body::Value);
        let reply = Reply { body, parts, total, headers };
        Steps::from([Step::Emit(event), Step::Run(Then(Cont::ReadApply(run, Box::new(Ok(reply)))))])
    }

    /// A read that failed: queue first, then the events, then the promise (R9.8).
    pub(crate) fn read_failed(&mut self, run: ReadRun, error: &Error) -> Steps {
        let mut end = Event::new(EventKind::RequestEnd);
        end.request = self.reads.running;
        let mut steps = self.release();
        let mut event = Event::new(EventKind::Error);
        event.error = Some(error.clone());
        steps.extend([Step::Emit(end), Step::Emit(event)]);
        steps.extend(run.tickets.into_iter().map(|ticket| Step::Settle(ticket, Err(error.clone()))));
        steps
    }

    /// The answer was readable, but refused or nonsense: the data stays as it was.
    pub(crate) fn read_refused(&mut self, run: ReadRun, error: &Error) -> Steps {
        let mut event = Event::new(EventKind::Error);
        event.error = Some(error.clone());
        let mut steps = Steps::from([Step::Emit(event)]);
        steps.extend(self.release());
        steps.extend(run.tickets.into_iter().map(|ticket| Step::Settle(ticket, Err(error.clone()))));
        steps
    }

    pub(crate) fn read_apply(&mut self, run: ReadRun, reply: Result<Reply>) -> Steps {
        if self.gated() {
            self.deferred.push(Cont::ReadApply(run, Box::new(reply)));
            return Steps::new();
        }
        self.options.schema.tick(self.env.now());
        let grouped = self.options.server_grouping && !self.state.group().is_empty();
        let answer = reply.and_then(|reply| {
            let header_total = reply.total;
            let value = reply.body.into_value()?;
            let mut answer = self.options.schema.read_answer(value, grouped)?;
            if let Some(total) = header_total {
                answer.total = usize::try_from(total).ok();
            }
            Ok(answer)
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.read_refused(run, &error.during("read")),
        };
        if let Some(errors) = answer.errors {
            let error =
                Error::new(ErrorKind::Rejected, "the service answered with errors").during("read").saying(errors);
            return self.read_refused(run, &error);
        }
        let mut answer = answer;
        self.bring_up_to_date(&mut answer);
        self.total = answer.total;
        if let (Some(size), Some(total)) = (self.state.page_size, answer.total)
            && size > total
        {
            self.state.page_size = Some(self.options.page_size.filter(|given| *given > total).unwrap_or(total));
        }
        if self.options.server_aggregates {
            self.gathered.clone_from(&answer.aggregates);
        }
        self.from_store = false;
        self.take_fresh(answer);
        self.reads.brought = true;
        self.elsewhere = self.current_total().saturating_sub(self.table.len());
        self.filtered_total = false;
        self.stored_after_read(run)
    }

    /// An acknowledgement that was taken in while a read was under way is kept, whichever the service did first.
    pub(crate) fn acknowledged_while_reading(&mut self, kind: ChangeKind, record: &Record) {
        if self.reads.running.is_some() && self.options.offline_storage {
            self.reads.since.push((kind, record.clone()));
        }
    }

    /// Whether a read brings all records there are.
    pub(super) fn reads_whole(&self) -> bool {
        !self.options.server_paging && !self.options.server_filtering
    }

    fn bring_up_to_date(&mut self, answer: &mut ReadAnswer) {
        let whole = self.reads_whole();
        for (kind, record) in std::mem::take(&mut self.reads.since) {
            let Some(id) = self.id_of(&record).map(|id| id.to_text()) else { continue };
            let same = |row: &Record| self.id_of(row).is_some_and(|other| other.to_text() == id);
            let at = answer.rows.iter().position(same);
            match (kind, at) {
                (ChangeKind::Destroy, Some(at)) => {
                    answer.rows.remove(at);
                    answer.total = answer.total.map(|total| total.saturating_sub(1));
                }
                (ChangeKind::Create, None) if whole && answer.groups.is_none() => {
                    answer.rows.push(record);
                    answer.total = answer.total.map(|total| total + 1);
                }
                (ChangeKind::Create | ChangeKind::Update, Some(at)) => {
                    if let Some(slot) = answer.rows.get_mut(at) {
                        *slot = record;
                    }
                }
                _ => {}
            }
        }
    }

    fn stored_after_read(&mut self, run: ReadRun) -> Steps {
        self.snapshot_needed = self.options.offline_storage;
        match self.commit(crate::Delta::default(), Cont::Nothing) {
            Some(Step::Commit(delta, _)) => {
                self.reads.storing = self.fresh_rows;
                Steps::from([Step::Commit(delta, Then(Cont::ReadDone(run)))])
            }
            _ => self.read_done(run, &Ok(())),
        }
    }

    pub(crate) fn read_done(&mut self, run: ReadRun, stored: &Result<()>) -> Steps {
        self.reads.storing = false;
        if std::mem::take(&mut self.reads.older) && stored.is_ok() && self.online {
            return Steps::from([Step::Run(Then(Cont::ReadSend(run)))]);
        }
        self.touch();
        if !self.options.server_aggregates {
            self.settle_view();
        }
        let mut change = Event::new(EventKind::Change);
        change.items = self.view_items();
        let mut steps = Steps::from([Step::Emit(change)]);
        if let Err(error) = stored {
            self.snapshot_needed = true;
            let mut event = Event::new(EventKind::Error);
            event.error = Some(error.clone());
            steps.push_back(Step::Emit(event));
        }
        steps.extend(self.release());
        steps
            .extend(run.tickets.into_iter().map(|ticket| Step::Settle(ticket, stored.clone().map(|()| Settled::Done))));
        steps
    }

    // ---- from the storage

    pub(crate) fn read_loaded(&mut self, run: ReadRun, state: Result<StoredState>) -> Steps {
        let state = match state {
            Ok(state) => state,
            Err(error) => return self.read_failed(run, &error.during("read")),
        };
        let mut event = Event::new(EventKind::RequestEnd).operation(Operation::Read);
        event.request = self.reads.running;
        if self.watch {
            event.response = state.to_kendo(false).ok();
        }
        Steps::from([Step::Emit(event), Step::Run(Then(Cont::ReadApplyOffline(run, Box::new(state))))])
    }

    pub(crate) fn read_apply_offline(&mut self, run: ReadRun, state: StoredState) -> Steps {
        if self.gated() {
            self.deferred.push(Cont::ReadApplyOffline(run, Box::new(state)));
            return Steps::new();
        }
        if run.commits != self.commits {
            // Something was stored meanwhile that this state does not hold.
            let run = ReadRun { commits: self.commits, ..run };
            return Steps::from([Step::Load(Then(Cont::ReadReloaded(run)))]);
        }
        let mut restored = match self.decode(&state) {
            Ok(restored) => restored,
            Err(error) => return self.read_refused(run, &error.during("read")),
        };
        self.avoid(&restored);
        if !self.names.is_empty() {
            self.as_known_here(&mut restored);
        }
        self.go_on_with(&restored);
        let filled = restored.filled;
        self.show(restored);
        self.loaded = true;
        self.revision = state.revision;
        self.from_store = true;
        self.clamp_page();
        // An absent state becomes an empty one (R6.9), one in Kendo's form gets landfall's bookkeeping, rows that lacked a
        // number or a date have it as null from now on (R6.30).
        let foreign = state.rows.iter().any(|row| row.state.is_some() && row.change.is_none());
        if state.revision == 0 || foreign || filled {
            return self.stored_after_read(run);
        }
        self.read_done(run, &Ok(()))
    }

    /// Offline, a page beyond what is stored shows the last one.
    fn clamp_page(&mut self) {
        if !self.options.server_paging {
            return;
        }
        let (Some(take), Some(skip)) = (self.state.take().filter(|n| *n > 0), self.state.skip()) else { return };
        if skip >= self.table.len() && skip > 0 {
            let page = self.table.len().div_ceil(take).max(1);
            self.state.page = Some(page);
            self.state.skip = Some((page - 1) * take);
        }
    }

    /// Shows a stored state in place of whatever is shown. Drafts are dropped (R4.29), what is under way is kept.
    pub(crate) fn show(&mut self, restored: Restored) {
        let flying: Vec<(Uid, Sent)> = self.flying();
        self.overlay.clear();
        self.removed = restored.removed;
        self.parked.clear();
        self.appended.clear();
        self.groups = restored.groups;
        self.ids = None;
        let mut rows = Vec::with_capacity(restored.rows.len());
        self.overlay.reserve(restored.rows.iter().filter(|(_, change)| change.is_some()).count());
        for (row, change) in restored.rows {
            if let Some(change) = change {
                self.overlay.insert(row.uid, *change);
            }
            rows.push(row);
        }
        self.table.restore(rows);
        self.refill = Identities::default();
        self.note_order();
        self.rebuild_groups();
        self.pristine_groups.clone_from(&self.groups);
        self.fly_on(flying);
        self.total = Some(self.groups.as_ref().map_or(self.table.len(), Vec::len));
        (self.elsewhere, self.filtered_total) = (0, false);
        self.touch();
    }

    /// Remembers the order that cancelling goes back to with sorts in place, where it is not the one of age.
    pub(crate) fn note_order(&mut self) {
        if self.options.in_place_sort && self.options.offline_storage {
            self.stored_order = Some(self.table.order());
        }
    }

    pub(super) fn flying(&self) -> Vec<(Uid, Sent)> {
        self.all_changes()
            .filter_map(|(uid, change)| change.sent.clone().filter(|sent| sent.in_flight).map(|sent| (uid, sent)))
            .collect()
    }

    // ---- parameters (R7.66-R7.68)

    /// The parameters of a read, and the names of those that are switched on and have no value.
    fn params(&self, extra: &Record) -> (Record, Vec<Text>) {
        let state = &self.state;
        let mut out = Record::new();
        let mut unset = Vec::new();
        let options = &self.options;
        // A parameter given by the caller keeps the place of the standard one.
        let mut put = |name: &str, value: Option<Value>| {
            let value = extra.get(name).cloned().or(value);
            match value {
                Some(value) => drop(out.set(name, value)),
                None => unset.push(Text::from(name)),
            }
        };
        if options.server_paging {
            put("take", state.take().map(Value::from));
            put("skip", state.skip().map(Value::from));
            put("page", state.page().map(Value::from));
            put("pageSize", state.take().map(Value::from));
        }
        let model = options.schema.model();
        let name = |field: &str| model.map_or_else(|| field.to_owned(), |model| model.source_of(field).to_owned());
        if options.server_sorting {
            put("sort", state.sort.as_ref().map(|sort| Sort::list_to_value(sort, &name)));
        }
        if options.server_filtering {
            let locale = options.accent_folding_filtering.as_ref().filter(|_| state.queried);
            put(
                "filter",
                state.filter.as_ref().map(|filter| {
                    let filter = match (filter.to_value(&name), locale) {
                        (Value::Object(mut group), Some(locale)) => {
                            group.set("accentFoldingFiltering", locale.as_str());
                            group.into()
                        }
                        (filter, _) => filter,
                    };
                    // Translating names, Kendo rebuilds each group with its filters at the end.
                    if model.is_some() { filters_last(filter) } else { filter }
                }),
            );
        }
        if options.server_grouping {
            put("group", state.group.as_ref().map(|group| Group::list_to_value(group, &name)));
        }
        if options.server_aggregates {
            put("aggregate", state.aggregate.as_ref().map(|list| Aggregate::list_to_value(list, &name)));
        }
        if options.group_paging && options.server_paging && options.server_grouping {
            put("groupPaging", Some(true.into()));
        }
        let standard = ["take", "skip", "page", "pageSize", "sort", "filter", "group", "aggregate", "groupPaging"];
        for (name, value) in extra.iter().filter(|(name, _)| !standard.contains(name)) {
            out.set(name, value.clone());
        }
        (out, unset)
    }

    /// Puts a row with a known identity into table and groups.
    pub(crate) fn insert_row(&mut self, index: usize, uid: Uid, record: Record) -> usize {
        self.ids = None;
        self.begin_groups();
        if let Some(tree) = &mut self.groups {
            let top = index.min(tree.len());
            let before = tree.get(..top).map_or(0, |some| groups::leaves(some).len());
            if let Some(group) = GroupNode::around(self.state.group(), &record, uid) {
                tree.insert(top, group);
            }
            self.meta_dirty = true;
            self.table.insert(before, uid, record);
            top
        } else {
            let at = index.min(self.table.len());
            self.table.insert(at, uid, record);
            at
        }
    }

    /// The first row of a data source that its server groups gets a group around it, too (R4.34).
    fn begin_groups(&mut self) {
        if self.groups.is_none() && self.groups_on_server() && self.table.len() == 0 {
            self.groups = Some(Vec::new());
        }
    }

    /// Whether the server groups, and by something.
    pub(crate) fn groups_on_server(&self) -> bool {
        self.options.server_grouping && !self.state.group().is_empty()
    }

    /// Takes a row out of table and groups for good.
    pub(crate) fn forget(&mut self, uid: Uid) {
        self.table.remove(uid);
        self.overlay.remove(&uid);
        if let Some(groups) = &mut self.groups {
            groups::remove(groups, uid);
            groups::prune(groups);
        }
        self.ids = None;
    }

    /// Gives a row of the table another identity and other values.
    pub(super) fn rename(&mut self, from: Uid, to: Uid, record: Record) {
        self.ids = None;
        if from == to {
            if let Some(slot) = self.table.record_mut(to) {
                *slot = record;
            }
            return;
        }
        if let Some((at, _)) = self.table.remove(from) {
            self.table.insert(at, to, record);
        }
        if let Some(groups) = &mut self.groups {
            groups::rename_all(groups, &HashMap::from([(from, to)]));
        }
        self.ids = None;
    }

    /// Brings the leaves of the tree in line with the rows: drops rows that are gone, hangs in rows that are missing.
    pub(crate) fn rebuild_groups(&mut self) {
        let Some(mut tree) = self.groups.take() else { return };
        let leaves = groups::leaves(&tree);
        for uid in &leaves {
            if self.table.get(*uid).is_none() {
                groups::remove(&mut tree, *uid);
            }
        }
        let known: std::collections::HashSet<Uid> = leaves.into_iter().collect();
        let missing: Vec<(Uid, Record)> = self
            .table
            .rows()
            .filter(|row| !known.contains(&row.uid))
            .map(|row| (row.uid, row.record.clone()))
            .collect();
        for (uid, record) in missing {
            if !hang_in(&mut tree, &record, uid) {
                tree.extend(GroupNode::around(self.state.group(), &record, uid));
            }
        }
        groups::prune(&mut tree);
        self.groups = Some(tree);
        self.meta_dirty = true;
    }
}

/// The same filter, each group's `filters` behind its other members.
fn filters_last(filter: Value) -> Value {
    let Value::Object(mut group) = filter else { return filter };
    if let Some(filters) = group.remove("filters") {
        let inner = filters.as_array().unwrap_or_default().iter().cloned().map(filters_last);
        group.set("filters", Value::array(inner));
    }
    group.into()
}

/// Hangs a row into the group whose values it has.
fn hang_in(tree: &mut [GroupNode], record: &Record, uid: Uid) -> bool {
    for group in tree {
        let field = group.head.get("field").map(Value::to_text).unwrap_or_default();
        let same = group.head.get("value").unwrap_or(&Value::Null) == record.get(&field).unwrap_or(&Value::Null);
        if !same {
            continue;
        }
        match &mut group.items {
            GroupItems::Groups(inner) => {
                if hang_in(inner, record, uid) {
                    return true;
                }
            }
            GroupItems::Rows(rows) => {
                rows.push(uid);
                return true;
            }
        }
    }
    false
}
