//! The course of a sync (reference 5; DESIGN section 4): one at a time, a second one waits; its beginning, its end, and the
//! gate that holds reads back while an acceptance is being stored.
//!
//! Owns what is under way. What is sent is [`super::accept`], how is [`super::send`], what comes of it [`super::answer`].

use super::{
    Engine, Step, Steps,
    change::{Change, Journey, Removed, Standing},
    event::{Action, Event, EventKind, Item},
    report::{ChangeOutcome, SyncProgress, SyncReport},
    step::{Cont, Settled, Then, Ticket},
    table::Uid,
};
use crate::{ChangeKind, Delta, Error, ErrorKind, Operation, Result};
use std::collections::{HashSet, VecDeque};

/// Which changes a sync is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Asked for: accepts all drafts and sends everything, also what was refused for good.
    #[default]
    Explicit,
    /// Follows an edit: accepts all drafts, sends all but what was refused for good and what has to wait.
    Auto,
    /// By itself: what is due.
    Due,
    /// A hold has ended: all but what was refused for good.
    Pending,
    /// This change.
    Only(Uid),
}

impl Mode {
    /// Whether a sync of this kind does what one of the other kind would.
    fn covers(self, other: Self) -> bool {
        self == other || self == Self::Explicit || other == Self::Due && !matches!(self, Self::Only(_))
    }

    /// Whether drafts of this row are accepted.
    pub(super) fn accepts(self, uid: Uid) -> bool {
        match self {
            Self::Explicit | Self::Auto => true,
            Self::Due | Self::Pending => false,
            Self::Only(only) => only == uid,
        }
    }

    /// Whether somebody asked for it, by name or in all.
    pub(super) fn is_explicit(self) -> bool {
        matches!(self, Self::Explicit | Self::Only(_))
    }
}

/// What one acceptance did, so that it can be undone when it could not be stored.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(super) mode: Mode,
    /// The frozen requests of several rows that go again.
    pub(super) batches: HashSet<u64>,
    /// What waits although it was asked for: the queue is held.
    pub(super) held: Vec<(ChangeKind, Uid)>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) undo: Vec<(Uid, Change)>,
    /// Rows whose accepted change was frozen as it is stored.
    pub(super) frozen: Vec<Uid>,
    pub(super) dropped: Vec<(u64, Removed)>,
    pub(super) stored: usize,
    pub(super) send: Vec<(ChangeKind, Uid)>,
    /// The commit replaces everything.
    pub(super) snapshot: bool,
    /// How many meetings with another program were stored before it.
    pub(super) meetings: u64,
}

/// Rows that travel in one request.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) operation: Operation,
    pub(super) uids: Vec<Uid>,
    pub(super) batch: bool,
    pub(super) journey: Journey,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: u64,
    pub(super) operation: Operation,
    pub(super) uids: Vec<Uid>,
    /// What the answer is about.
    pub(super) journey: Journey,
    pub(super) state: SlotState,
    pub(super) outcomes: Vec<ChangeOutcome>,
    /// Events to fire when all is answered, in start order.
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    Sent,
    Answered,
    Done,
}

/// The sync under way.
#[derive(Debug, Default)]
pub(crate) struct SyncRun {
    pub(super) tickets: Vec<Ticket>,
    pub(super) queue: VecDeque<Parcel>,
    /// In ascending order of their ids.
    pub(super) slots: Vec<Slot>,
    /// How many slots are sent and not answered, and how many are not done.
    pub(super) in_flight: usize,
    pub(super) open: usize,
    pub(super) follow: Vec<Uid>,
    /// How far it has got.
    pub(super) progress: SyncProgress,
    /// The mark beside the rows is of this sync.
    pub(super) marked: bool,
    /// Something was accepted that waits: the queue is held.
    pub(super) held: bool,
    /// Requests sent so far, further tries included.
    pub(super) spent: usize,
    pub(super) mode: Mode,
}

impl SyncRun {
    pub(super) fn push(&mut self, slot: Slot) {
        self.in_flight += usize::from(slot.state == SlotState::Sent);
        self.open += usize::from(slot.state != SlotState::Done);
        self.slots.push(slot);
    }

    pub(super) fn mark(&mut self, at: usize, state: SlotState) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let was = std::mem::replace(&mut slot.state, state);
        self.in_flight -= usize::from(was == SlotState::Sent);
        self.in_flight += usize::from(state == SlotState::Sent);
        self.open -= usize::from(was != SlotState::Done);
        self.open += usize::from(state != SlotState::Done);
    }

    pub(super) fn find(&self, id: u64) -> Option<usize> {
        self.slots.binary_search_by_key(&id, |slot| slot.id).ok()
    }

    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.open == 0
    }
}

/// Kind order of a sync: creates, updates, destroys (R5.4).
pub(super) const KINDS: [ChangeKind; 3] = [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy];

impl Engine {
    /// Accepts all drafts, and sends everything pending while online. One sync runs at a time, a second one waits and
    /// sends what is left then (C02).
    pub fn sync(&mut self, ticket: Ticket) -> Steps {
        self.request_sync(ticket, Mode::Explicit)
    }

    pub(crate) fn auto_sync(&mut self) -> Steps {
        self.request_sync(0, Mode::Auto)
    }

    pub(super) fn request_sync(&mut self, ticket: Ticket, mode: Mode) -> Steps {
        if self.sync.is_some() || self.gate {
            self.waiting_syncs.push((ticket, mode));
            return Steps::new();
        }
        self.gate = true;
        Steps::from([Step::Run(Then(Cont::SyncStart(vec![ticket], mode)))])
    }

    /// What was taken back or pushed before is stored first, so that a sync tells success of that, too.
    pub(crate) fn sync_start(&mut self, tickets: Vec<Ticket>, mode: Mode) -> Steps {
        match self.handed.newest() {
            Some(number) => {
                self.behind = Some((number, tickets, mode));
                Steps::new()
            }
            None => self.sync_begin(tickets, mode),
        }
    }

    /// The sync that waits for the commit of this number, or an older one, begins.
    pub(super) fn begin_behind(&mut self, number: u64) -> Steps {
        let due = self.behind.take_if(|(newest, ..)| *newest <= number);
        due.into_iter().map(|(_, tickets, mode)| Step::Run(Then(Cont::SyncBegin(tickets, mode)))).collect()
    }

    pub(crate) fn sync_begin(&mut self, tickets: Vec<Ticket>, mode: Mode) -> Steps {
        let has_model = self.options.schema.model().is_some();
        if self.online && !has_model {
            return self.end_sync(tickets, &Ok(SyncReport::default()), Steps::new());
        }
        if self.options.offline_storage {
            if !self.loaded {
                return Steps::from([Step::Load(Then(Cont::Restored(Box::new(Cont::SyncBegin(tickets, mode)))))]);
            }
            self.show_hidden();
            // A sync writes the state also when nothing is pending (R6.9), so that a first one leaves an empty state.
            self.snapshot_needed |= self.revision == 0;
            let has_id = self.options.schema.model().is_some_and(|model| model.id_field().is_some());
            if !has_id && self.has_drafts() {
                let error = Error::new(
                    ErrorKind::Config,
                    "an offline storage accepts edits only with an id field: name it in the model; until then it is a read cache",
                );
                return self.end_sync(tickets, &Err(error.during("sync")), Steps::new());
            }
        }
        if !self.online {
            return self.sync_offline(tickets, mode);
        }
        if let Some(error) = self.missing_operation(mode.is_explicit()) {
            return self.end_sync(tickets, &Err(error), Steps::new());
        }
        if mode.is_explicit() {
            self.try_login();
        }
        let (mut plan, delta) = self.accept(tickets, true, mode);
        self.gate = true;
        match self.commit(delta, Cont::Nothing) {
            Some(Step::Commit(delta, _)) => {
                plan.snapshot = delta.clear;
                Steps::from([Step::Commit(delta, Then(Cont::SyncAccepted(Box::new(plan))))])
            }
            _ => self.sync_accepted(plan, Ok(())),
        }
    }

    pub(super) fn sync_offline(&mut self, tickets: Vec<Ticket>, mode: Mode) -> Steps {
        if matches!(mode, Mode::Due | Mode::Pending) {
            return self.end_sync(tickets, &Ok(SyncReport::default()), Steps::new());
        }
        if !self.options.offline_storage {
            return self.offline_accepted(Plan { tickets, ..Plan::default() }, Ok(()));
        }
        let (mut plan, delta) = self.accept(tickets, false, mode);
        self.gate = true;
        match self.commit(delta, Cont::Nothing) {
            Some(Step::Commit(delta, _)) => {
                plan.snapshot = delta.clear;
                Steps::from([Step::Commit(delta, Then(Cont::SyncOffline(Box::new(plan))))])
            }
            _ => self.offline_accepted(plan, Ok(())),
        }
    }

    pub(crate) fn offline_accepted(&mut self, plan: Plan, stored: Result<()>) -> Steps {
        if let Err(error) = stored {
            let tickets = self.undo(plan);
            return self.end_sync(tickets, &Err(error.during("sync")), Steps::new());
        }
        self.is_stored(&plan);
        self.settle_seen();
        self.touch();
        self.sort_in_place();
        let mut event = Event::new(EventKind::Change);
        event.action = Some(Action::Sync);
        event.items = self.view_items();
        let report = SyncReport { stored: plan.stored, ..SyncReport::default() };
        self.end_sync(plan.tickets, &Ok(report), Steps::from([Step::Emit(event)]))
    }

    /// An operation that is needed and not offered: nothing is sent at all (C30).
    pub(super) fn missing_operation(&self, explicit: bool) -> Option<Error> {
        if self.options.batch && self.options.offers.contains(Operation::Submit) {
            return None;
        }
        let mut needed: Vec<ChangeKind> = self
            .overlay
            .values()
            .filter(|change| explicit || !change.accepted.as_ref().is_some_and(|a| a.standing == Standing::Quarantined))
            .filter(|change| change.is_new() || change.draft || change.accepted.is_some())
            .map(|change| if change.is_new() { ChangeKind::Create } else { ChangeKind::Update })
            .collect();
        if self.has_visible_removals() {
            needed.push(ChangeKind::Destroy);
        }
        needed.sort_unstable();
        let missing = needed.into_iter().find(|kind| !self.options.offers.contains((*kind).into()))?;
        Some(
            Error::new(
                ErrorKind::Config,
                "the transport does not offer an operation that pending changes need; nothing was sent",
            )
            .during("sync")
            .with("operation", missing.as_str()),
        )
    }

    /// The change of a row, wherever the row is.
    pub(crate) fn change_mut(&mut self, uid: Uid) -> Option<&mut Change> {
        if let Some(change) = self.overlay.get_mut(&uid) {
            return Some(change);
        }
        self.removed.get_mut(uid).or_else(|| self.parked.get_mut(uid)).map(|gone| &mut gone.change)
    }

    /// Every change, wherever its row is.
    pub(super) fn all_changes(&self) -> impl Iterator<Item = (Uid, &Change)> {
        let gone = self.removed.iter().chain(self.parked.iter()).map(|gone| (gone.row.uid, &gone.change));
        self.overlay.iter().map(|(uid, change)| (*uid, change)).chain(gone)
    }

    pub(crate) fn change(&self, uid: Uid) -> Option<&Change> {
        self.overlay.get(&uid).or_else(|| self.gone(uid).map(|gone| &gone.change))
    }

    /// A row that is not in the table and whose change is kept.
    pub(crate) fn gone(&self, uid: Uid) -> Option<&Removed> {
        self.removed.get(uid).or_else(|| self.parked.get(uid))
    }

    /// Ends the sync that is under way: nothing more is sent. What was sent is on its way and stays as it is guaranteed;
    /// its answers are taken before the sync ends. What was not sent stays pending (without a storage, a draft) and is in
    /// the report with [`ErrorKind::Cancelled`]. Gives whether a sync was under way.
    pub fn cancel_sync(&mut self) -> (bool, Steps) {
        let under_way = self.sync.is_some() || self.gate;
        self.stopping |= under_way;
        if self.sync.is_some() && !self.gate {
            return (true, Steps::from([Step::Run(Then(Cont::SyncNext))]));
        }
        (under_way, Steps::new())
    }

    /// How far the sync under way has got; `None` while none is, or while it is being accepted.
    pub fn sync_progress(&self) -> Option<SyncProgress> {
        self.sync.as_ref().map(|run| run.progress)
    }

    /// What followed is not sent: it was cancelled.
    fn leave(&mut self, follow: &[Uid]) {
        let error = cancelled();
        let outcome = |uid: &Uid| {
            let accepted = self.change(*uid)?.accepted.as_ref()?;
            let (kind, record) = (accepted.kind, accepted.record.clone());
            Some(ChangeOutcome { uid: *uid, kind, record, result: Err(error.clone()) })
        };
        let outcomes: Vec<ChangeOutcome> = follow.iter().filter_map(outcome).collect();
        if !self.options.offline_storage {
            for uid in follow {
                if let Some(change) = self.change_mut(*uid) {
                    change.draft |= change.accepted.take().is_some();
                }
            }
        }
        let id = self.next_number();
        let (operation, state) = (Operation::Update, SlotState::Done);
        if let Some(run) = &mut self.sync {
            let (uids, journey) = (Vec::new(), Journey::default());
            run.push(Slot { id, operation, uids, journey, state, outcomes, events: Vec::new() });
        }
    }

    pub(super) fn try_finish(&mut self) -> Steps {
        let Some(run) = &mut self.sync else { return Steps::new() };
        if !run.is_done() || self.gate {
            return Steps::new();
        }
        let mut follow = std::mem::take(&mut run.follow);
        let mut known = HashSet::new();
        follow.retain(|uid| known.insert(*uid));
        if self.stopping && !follow.is_empty() {
            self.leave(&follow);
        } else if !follow.is_empty() {
            // Changes that waited behind a body in doubt go now.
            let mut plan = Plan { meetings: self.meetings, ..Plan::default() };
            let mut delta = Delta::default();
            let shared = self.options.batch.then(|| self.random_number());
            for uid in follow {
                let Some(mut change) = self.change(uid).cloned() else { continue };
                let before = change.clone();
                if Self::freeze(uid, &mut change, shared, &mut plan) {
                    plan.undo.push((uid, before));
                    if let Some(slot) = self.change_mut(uid) {
                        *slot = change;
                    }
                }
            }
            self.name_batch(shared, &plan);
            for (_, uid) in &plan.send {
                if let Some(change) = self.change(*uid) {
                    delta.put.extend(self.encode_layers(*uid, self.order_of(*uid), change));
                }
            }
            self.gate = true;
            return match self.commit(delta, Cont::Nothing) {
                Some(Step::Commit(delta, _)) => {
                    plan.snapshot = delta.clear;
                    Steps::from([Step::Commit(delta, Then(Cont::SyncAccepted(Box::new(plan))))])
                }
                _ => self.sync_accepted(plan, Ok(())),
            };
        }
        self.gate = true;
        Steps::from([Step::Run(Then(Cont::SyncFinish))])
    }

    pub(crate) fn sync_finish(&mut self) -> Steps {
        let Some(run) = self.sync.take() else { return Steps::new() };
        let mut steps = Steps::new();
        let mut outcomes = Vec::new();
        for slot in run.slots {
            steps.extend(slot.events.into_iter().map(Step::Emit));
            outcomes.extend(slot.outcomes);
        }
        if self.mark.is_some() && !self.snapshot_needed && (run.marked || !self.anything_is_sent()) {
            // Everything that is marked was answered, and each row says for itself how.
            self.mark = None;
            self.meta_dirty = true;
        }
        let report = SyncReport { outcomes, stored: 0 };
        let done: Vec<Item> = report
            .outcomes
            .iter()
            .filter(|outcome| outcome.result.is_ok())
            .map(|outcome| Item { uid: outcome.uid, record: outcome.record.clone() })
            .collect();
        if report.is_success() || !done.is_empty() || run.held {
            self.settle_seen();
            self.touch();
            self.sort_in_place();
            let mut change = Event::new(EventKind::Change);
            change.action = Some(Action::Sync);
            change.items = self.view_items();
            change.changed = Some(done);
            steps.push_back(Step::Emit(change));
        }
        if report.is_success() {
            steps.push_back(Step::Emit(Event::new(EventKind::Sync)));
        }
        self.end_sync(run.tickets, &Ok(report), steps)
    }

    fn anything_is_sent(&self) -> bool {
        self.all_changes().any(|(_, change)| change.sent.is_some())
    }

    /// What is seen, and the groups that cancelling goes back to, are what the sync leaves behind.
    pub(super) fn settle_seen(&mut self) {
        if self.options.offline_storage {
            // Cancelling goes back to the rows as they stand now.
            self.refill = self.identities;
            self.appended.clear();
        }
        self.note_order();
        self.settle_view();
        let offline = |change: &Change| change.accepted.as_ref().is_some_and(|accepted| accepted.offline.is_some());
        if self.removed.iter().all(|gone| gone.change.is_new() || offline(&gone.change)) {
            self.pristine_groups.clone_from(&self.groups);
        }
    }

    /// Settles the promises of a sync and starts the next one that waits.
    pub(super) fn end_sync(&mut self, tickets: Vec<Ticket>, result: &Result<SyncReport>, mut steps: Steps) -> Steps {
        self.stopping = false;
        steps.extend(
            tickets
                .into_iter()
                .filter(|ticket| *ticket != 0)
                .map(|ticket| Step::Settle(ticket, result.clone().map(Settled::Synced))),
        );
        steps.extend(self.open_gate());
        let waiting = std::mem::take(&mut self.waiting_syncs);
        if !waiting.is_empty() && self.sync.is_none() && !self.gate {
            self.gate = true;
            // The one that does most of what is waited for, for all that it covers.
            let whole = waiting.iter().map(|(_, mode)| *mode).find(|mode| *mode == Mode::Explicit);
            let mode = whole.or(waiting.first().map(|(_, mode)| *mode)).unwrap_or_default();
            let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, other)| mode.covers(*other));
            self.waiting_syncs = later;
            let tickets = now.into_iter().map(|(ticket, _)| ticket).collect();
            steps.push_back(Step::Run(Then(Cont::SyncStart(tickets, mode))));
        } else {
            self.waiting_syncs = waiting;
        }
        steps
    }

    /// A sync that could not even start.
    pub(crate) fn fail_sync(&mut self, tickets: Vec<Ticket>, error: &Error) -> Steps {
        self.end_sync(tickets, &Err(error.clone()), Steps::new())
    }

    /// Whether reads have to wait with their rows: an acceptance is being stored, or a sync that was asked for already
    /// waits for its turn to accept the drafts that a read would drop.
    pub(crate) fn gated(&self) -> bool {
        self.gate || !self.waiting_syncs.is_empty()
    }

    pub(super) fn open_gate(&mut self) -> Steps {
        self.gate = false;
        std::mem::take(&mut self.deferred).into_iter().map(|cont| Step::Run(Then(cont))).collect()
    }
}

/// What is said of a change that was not sent because the sync was cancelled.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the sync was cancelled before it was sent").during("sync")
}
