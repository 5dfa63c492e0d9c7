//! The sync engine: accepts drafts, hands out requests one at a time, takes answers as they come (reference 5; DESIGN
//! section 4).
//!
//! One sync at a time. A change is accepted and its body frozen in one commit before its first request; each answer is
//! applied and stored on its own; events fire in Kendo's order.

use super::{
    Engine, Step, Steps,
    change::{Accepted, Change, Failure, Removed, Sent, Standing, carry_over, difference},
    event::{Action, Event, EventKind, Item},
    policy::{Verdict, judge, settles},
    report::{ChangeOutcome, SyncReport},
    step::{Cont, Settled, Then, Ticket},
    table::Uid,
};
use crate::{
    Applied, ChangeKind, Delta, Error, ErrorKind, Operation, OutgoingRow, Record, Reply, Request, Result, Text, Value,
};
use std::collections::{HashMap, HashSet, VecDeque};

/// What one acceptance did, so that it can be undone when it could not be stored.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    tickets: Vec<Ticket>,
    undo: Vec<(Uid, Change)>,
    dropped: Vec<Removed>,
    stored: usize,
    send: Vec<(ChangeKind, Uid)>,
    /// The commit replaces everything.
    snapshot: bool,
}

/// Rows that travel in one request.
#[derive(Debug)]
struct Parcel {
    operation: Operation,
    uids: Vec<Uid>,
    batch: bool,
}

#[derive(Debug)]
struct Slot {
    id: u64,
    operation: Operation,
    uids: Vec<Uid>,
    state: SlotState,
    outcomes: Vec<ChangeOutcome>,
    /// Events to fire when all is answered, in start order.
    events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    Sent,
    Answered,
    Done,
}

/// The sync under way.
#[derive(Debug, Default)]
pub(crate) struct SyncRun {
    tickets: Vec<Ticket>,
    queue: VecDeque<Parcel>,
    /// In ascending order of their ids.
    slots: Vec<Slot>,
    /// How many slots are sent and not answered, and how many are not done.
    in_flight: usize,
    open: usize,
    follow: Vec<Uid>,
}

impl SyncRun {
    fn push(&mut self, slot: Slot) {
        self.in_flight += usize::from(slot.state == SlotState::Sent);
        self.open += usize::from(slot.state != SlotState::Done);
        self.slots.push(slot);
    }

    fn mark(&mut self, at: usize, state: SlotState) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let was = std::mem::replace(&mut slot.state, state);
        self.in_flight -= usize::from(was == SlotState::Sent);
        self.in_flight += usize::from(state == SlotState::Sent);
        self.open -= usize::from(was != SlotState::Done);
        self.open += usize::from(state != SlotState::Done);
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.slots.binary_search_by_key(&id, |slot| slot.id).ok()
    }

    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.open == 0
    }
}

/// Kind order of a sync: creates, updates, destroys (R5.4).
const KINDS: [ChangeKind; 3] = [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy];

impl Engine {
    /// Accepts all drafts, and sends everything pending while online. One sync runs at a time, a second one waits and
    /// sends what is left then (C02).
    pub fn sync(&mut self, ticket: Ticket) -> Steps {
        self.request_sync(ticket, true)
    }

    pub(crate) fn auto_sync(&mut self) -> Steps {
        self.request_sync(0, false)
    }

    fn request_sync(&mut self, ticket: Ticket, explicit: bool) -> Steps {
        if self.sync.is_some() || self.gate {
            self.waiting_syncs.push((ticket, explicit));
            return Steps::new();
        }
        self.gate = true;
        Steps::from([Step::Run(Then(Cont::SyncStart(vec![ticket], explicit)))])
    }

    pub(crate) fn sync_start(&mut self, tickets: Vec<Ticket>, explicit: bool) -> Steps {
        let has_model = self.options.schema.model().is_some();
        if self.online && !has_model {
            return self.end_sync(tickets, &Ok(SyncReport::default()), Steps::new());
        }
        if self.options.offline_storage {
            if !self.loaded {
                return Steps::from([Step::Load(Then(Cont::Restored(Box::new(Cont::SyncStart(tickets, explicit)))))]);
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
            return self.sync_offline(tickets);
        }
        if let Some(error) = self.missing_operation(explicit) {
            return self.end_sync(tickets, &Err(error), Steps::new());
        }
        let (mut plan, delta) = self.accept(tickets, true, explicit);
        self.gate = true;
        match self.commit(delta, Cont::Nothing) {
            Some(Step::Commit(delta, _)) => {
                plan.snapshot = delta.clear;
                Steps::from([Step::Commit(delta, Then(Cont::SyncAccepted(Box::new(plan))))])
            }
            _ => self.sync_accepted(plan, Ok(())),
        }
    }

    fn sync_offline(&mut self, tickets: Vec<Ticket>) -> Steps {
        if !self.options.offline_storage {
            return self.offline_accepted(Plan { tickets, ..Plan::default() }, Ok(()));
        }
        let (mut plan, delta) = self.accept(tickets, false, true);
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
    fn missing_operation(&self, explicit: bool) -> Option<Error> {
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

    // ---- accepting

    /// The overlay's rows of the table in data order; while offline only those that an acceptance has something to do
    /// with, so that what is pending already costs a look and no work.
    fn changed_rows(&self, online: bool) -> Vec<Uid> {
        let concerned = |change: &Change| {
            let never = change.accepted.is_none() && change.sent.is_none();
            let turned = change.accepted.as_ref().is_some_and(|accepted| accepted.offline.is_none());
            online || change.draft || never && change.is_new() || turned || change.is_idle()
        };
        let concerned = self.overlay.iter().filter(|(_, change)| concerned(change));
        let mut rows: Vec<(usize, Uid)> =
            concerned.filter_map(|(uid, _)| self.table.position(*uid).map(|at| (at, *uid))).collect();
        rows.sort_unstable();
        rows.into_iter().map(|(_, uid)| uid).collect()
    }

    /// Folds drafts into accepted changes and, online, freezes what is about to be sent. Gives what to store.
    fn accept(&mut self, tickets: Vec<Ticket>, online: bool, explicit: bool) -> (Plan, Delta) {
        let mut plan = Plan { tickets, ..Plan::default() };
        let mut delta = Delta::default();
        let shared = (self.options.batch && online).then(|| self.random_number());
        let mut put = Vec::new();
        for uid in self.changed_rows(online) {
            let Some(row) = self.table.get(uid) else { continue };
            let record = row.record.clone();
            let Some(mut change) = self.overlay.remove(&uid) else { continue };
            let before = change.clone();
            let kind = if change.is_new() && change.sent.is_none() { ChangeKind::Create } else { ChangeKind::Update };
            let mut touched = self.accept_one(&mut change, kind, &record, online);
            if online {
                touched |= Self::freeze(uid, &mut change, explicit, shared, &mut plan);
            }
            if touched {
                plan.stored += 1;
                plan.undo.push((uid, before));
                put.push(uid);
            }
            if !change.is_idle() {
                self.overlay.insert(uid, change);
            }
        }
        let mut removed = std::mem::take(&mut self.removed);
        let mut kept = Vec::with_capacity(removed.len());
        for mut gone in removed.drain(..) {
            let uid = gone.row.uid;
            let before = gone.change.clone();
            if gone.change.is_new() && gone.change.sent.is_none() {
                // Created and removed without the server ever knowing: nothing is left.
                delta.delete.push(uid.0);
                plan.dropped.push(gone);
                continue;
            }
            let record = gone.row.record.clone();
            let mut touched = self.accept_one(&mut gone.change, ChangeKind::Destroy, &record, online);
            if online {
                touched |= Self::freeze(uid, &mut gone.change, explicit, shared, &mut plan);
            }
            if touched {
                plan.stored += 1;
                plan.undo.push((uid, before));
                put.push(uid);
            }
            kept.push(gone);
        }
        self.removed = kept;
        if online {
            for at in 0..self.parked.len() {
                let Some(mut parked) = self.parked.get(at).cloned() else { continue };
                let before = parked.change.clone();
                if Self::freeze(parked.row.uid, &mut parked.change, explicit, shared, &mut plan) {
                    plan.undo.push((parked.row.uid, before));
                    put.push(parked.row.uid);
                }
                if let Some(slot) = self.parked.get_mut(at) {
                    *slot = parked;
                }
            }
        }
        self.name_batch(shared, &plan);
        for uid in put {
            if let Some(change) = self.change(uid) {
                delta.put.extend(self.encode_layers(uid, self.order_of(uid), change));
            }
        }
        (plan, delta)
    }

    /// Gives the rows of each new request of several rows the key of that request. It follows from the keys of the
    /// changes, so that the same changes make the same request, and any other has another key.
    fn name_batch(&mut self, batch: Option<u64>, plan: &Plan) {
        let Some(batch) = batch else { return };
        for kind in KINDS {
            let ours: Vec<Uid> = plan
                .send
                .iter()
                .filter(|(of, _)| *of == kind || self.options.offers.contains(Operation::Submit))
                .map(|(_, uid)| *uid)
                .filter(|uid| {
                    self.change(*uid).and_then(|c| c.sent.as_ref()).is_some_and(|sent| sent.batch == Some(batch))
                })
                .collect();
            let keys: Vec<&str> =
                ours.iter().filter_map(|uid| self.change(*uid)?.accepted.as_ref()).map(|a| a.key.as_str()).collect();
            let key = combined(&keys);
            for (place, uid) in (0_u32..).zip(&ours) {
                if let Some(sent) = self.change_mut(*uid).and_then(|change| change.sent.as_mut()) {
                    sent.place = place;
                    sent.key = key.clone();
                }
            }
        }
    }

    /// Takes the draft of one row over into an accepted change. Gives whether anything changed.
    fn accept_one(&self, change: &mut Change, kind: ChangeKind, record: &Record, online: bool) -> bool {
        let never = change.accepted.is_none() && change.sent.is_none();
        let wanted = change.draft || never && change.is_new();
        if !wanted {
            if let (false, Some(accepted)) = (online, &mut change.accepted)
                && accepted.offline.is_none()
            {
                // A sync while offline turns online into offline.
                accepted.offline = Some(Box::new((accepted.kind, accepted.record.clone())));
                return true;
            }
            return false;
        }
        change.draft = false;
        if kind == ChangeKind::Update && never && !change.dirty && change.base.as_ref() == Some(record) {
            return false;
        }
        let before = change.below().cloned();
        let old = change.accepted.take();
        // An unchanged body keeps its key, another body gets another one.
        let known = old
            .as_ref()
            .map(|old| (&old.record, old.kind, &old.key))
            .or(change.tried.as_ref().map(|(record, kind, key)| (record, *kind, key)))
            .filter(|(was, was_kind, _)| *was == record && *was_kind == kind)
            .map(|(_, _, key)| key.clone());
        let mut changed = change.changed.clone();
        if let (true, Some(base)) = (changed.is_empty(), &change.base) {
            changed = difference(base, record);
        }
        change.accepted = Some(Accepted {
            kind,
            record: record.clone(),
            key: known.unwrap_or_else(|| self.new_key()),
            changed,
            offline: if online { old.and_then(|old| old.offline) } else { Some(Box::new((kind, record.clone()))) },
            standing: Standing::Queued,
            attempts: 0,
            failure: None,
            unstored: self.options.offline_storage,
            before,
        });
        true
    }

    /// Freezes what is about to be sent. Gives whether the stored form changed.
    fn freeze(uid: Uid, change: &mut Change, explicit: bool, batch: Option<u64>, plan: &mut Plan) -> bool {
        if let Some(sent) = &change.sent {
            plan.send.push((sent.kind, uid));
            return false;
        }
        let Some(accepted) = &change.accepted else { return false };
        if accepted.standing == Standing::Quarantined && !explicit {
            return false;
        }
        change.sent = Some(Sent {
            kind: accepted.kind,
            record: accepted.record.clone(),
            key: accepted.key.clone(),
            changed: accepted.changed.clone(),
            in_doubt: false,
            in_flight: false,
            read_since: false,
            batch,
            place: 0,
            attempts: accepted.attempts,
            failure: None,
        });
        plan.send.push((accepted.kind, uid));
        true
    }

    /// The acceptance could not be stored: everything is a draft again, as if `sync` had not been called.
    fn undo(&mut self, plan: Plan) -> Vec<Ticket> {
        for (uid, before) in plan.undo {
            match self.change_mut(uid) {
                Some(change) => {
                    change.accepted = before.accepted;
                    change.sent = before.sent;
                    change.draft |= before.draft;
                }
                None => {
                    if self.table.get(uid).is_some() {
                        self.overlay.insert(uid, before);
                    }
                }
            }
        }
        self.removed.extend(plan.dropped);
        self.meta_dirty = true;
        self.snapshot_needed |= plan.snapshot;
        plan.tickets
    }

    /// What was accepted is in the storage now.
    fn is_stored(&mut self, plan: &Plan) {
        for (uid, _) in &plan.undo {
            if let Some(accepted) = self.change_mut(*uid).and_then(|change| change.accepted.as_mut()) {
                accepted.unstored = false;
                accepted.before = None;
            }
        }
    }

    /// The change of a row, wherever the row is.
    pub(crate) fn change_mut(&mut self, uid: Uid) -> Option<&mut Change> {
        if let Some(change) = self.overlay.get_mut(&uid) {
            return Some(change);
        }
        self.removed.iter_mut().chain(&mut self.parked).find(|gone| gone.row.uid == uid).map(|gone| &mut gone.change)
    }

    // ---- sending

    pub(crate) fn sync_accepted(&mut self, plan: Plan, stored: Result<()>) -> Steps {
        if let Err(error) = stored {
            let error = error.during("sync");
            if self.sync.is_none() {
                let tickets = self.undo(plan);
                return self.end_sync(tickets, &Err(error), Steps::new());
            }
            // The second half of a sync: what was waiting goes on waiting, and the sync ends with that.
            let outcomes: Vec<ChangeOutcome> = plan
                .send
                .iter()
                .filter_map(|(kind, uid)| {
                    let record = self.change(*uid)?.sent.as_ref()?.record.clone();
                    Some(ChangeOutcome { uid: *uid, kind: *kind, record, result: Err(error.clone()) })
                })
                .collect();
            self.undo(plan);
            let id = self.next_number();
            if let Some(run) = &mut self.sync {
                let state = SlotState::Done;
                run.push(Slot {
                    id,
                    operation: Operation::Update,
                    uids: Vec::new(),
                    state,
                    outcomes,
                    events: Vec::new(),
                });
            }
            let mut steps = self.open_gate();
            steps.extend(self.try_finish());
            return steps;
        }
        self.is_stored(&plan);
        // Another program may have settled some of them meanwhile.
        let send: Vec<(ChangeKind, Uid)> =
            plan.send.iter().filter_map(|(_, uid)| Some((self.change(*uid)?.sent.as_ref()?.kind, *uid))).collect();
        let queue = self.parcels(&send);
        let mut run = self.sync.take().unwrap_or_default();
        run.tickets.extend(plan.tickets);
        run.queue.extend(queue);
        self.sync = Some(run);
        let mut steps = self.open_gate();
        steps.push_back(Step::Run(Then(Cont::SyncNext)));
        steps
    }

    fn parcels(&self, send: &[(ChangeKind, Uid)]) -> Vec<Parcel> {
        let these = |kind: ChangeKind| send.iter().filter(move |(k, _)| *k == kind).map(|(_, uid)| *uid);
        let company = |uid: Uid| {
            let frozen = self.change(uid)?.sent.as_ref()?;
            Some((frozen.batch?, frozen.place))
        };
        let at_once = self.options.batch && self.options.offers.contains(Operation::Submit);
        let mut out = Vec::new();
        // Bodies whose outcome is unknown travel again in the company and in the order they had: alone, or together.
        let mut by_batch: Vec<(u64, Parcel)> = Vec::new();
        for kind in KINDS {
            for uid in these(kind) {
                let Some((batch, _)) = company(uid) else {
                    out.push(Parcel { operation: kind.into(), uids: vec![uid], batch: false });
                    continue;
                };
                let operation = if at_once { Operation::Submit } else { kind.into() };
                match by_batch.iter_mut().find(|(known, parcel)| *known == batch && parcel.operation == operation) {
                    Some((_, parcel)) => parcel.uids.push(uid),
                    None => by_batch.push((batch, Parcel { operation, uids: vec![uid], batch: true })),
                }
            }
            if !at_once {
                out.extend(by_batch.drain(..).map(|(_, parcel)| parcel));
            }
        }
        out.extend(by_batch.into_iter().map(|(_, parcel)| parcel));
        if at_once && out.is_empty() {
            // A submit of nothing is sent all the same, as in Kendo.
            out.push(Parcel { operation: Operation::Submit, uids: Vec::new(), batch: true });
        }
        for parcel in &mut out {
            parcel.uids.sort_by_key(|uid| company(*uid).map_or(0, |(_, place)| place));
        }
        out
    }

    pub(crate) fn change(&self, uid: Uid) -> Option<&Change> {
        self.overlay.get(&uid).or_else(|| {
            self.removed.iter().chain(&self.parked).find(|gone| gone.row.uid == uid).map(|gone| &gone.change)
        })
    }

    pub(crate) fn sync_next(&mut self) -> Steps {
        let limit = self.options.max_in_flight.max(1);
        if !self.online {
            return self.hold_back();
        }
        let Some(run) = &mut self.sync else { return Steps::new() };
        if run.in_flight >= limit {
            return Steps::new();
        }
        let Some(parcel) = run.queue.pop_front() else { return self.try_finish() };
        let id = self.next_number();
        let request = match self.request(&parcel) {
            Ok(request) => request,
            Err(error) => return self.not_sent(parcel.uids, &error.during(parcel.operation.as_str())),
        };
        for uid in &parcel.uids {
            if let Some(sent) = self.change_mut(*uid).and_then(|change| change.sent.as_mut()) {
                sent.in_flight = true;
                sent.attempts += 1;
            }
        }
        let operation = parcel.operation;
        if let Some(run) = &mut self.sync {
            run.push(Slot {
                id,
                operation,
                uids: parcel.uids,
                state: SlotState::Sent,
                outcomes: Vec::new(),
                events: Vec::new(),
            });
        }
        let mut start = Event::new(EventKind::RequestStart).operation(operation);
        start.request = Some(id);
        Steps::from([
            Step::Emit(start),
            Step::Emit(Event::new(EventKind::Progress)),
            Step::Send(id, request),
            Step::Run(Then(Cont::SyncNext)),
        ])
    }

    /// Offline by now: what was not sent yet is not sent.
    fn hold_back(&mut self) -> Steps {
        let Some(run) = &mut self.sync else { return Steps::new() };
        let uids: Vec<Uid> = run.queue.drain(..).flat_map(|parcel| parcel.uids).collect();
        if uids.is_empty() {
            return self.try_finish();
        }
        self.not_sent(uids, &Error::new(ErrorKind::Offline, "went offline before it was sent").during("sync"))
    }

    fn not_sent(&mut self, uids: Vec<Uid>, error: &Error) -> Steps {
        let mut delta = Delta::default();
        let outcomes: Vec<ChangeOutcome> = uids.iter().filter_map(|uid| self.fail(*uid, error, &mut delta)).collect();
        let id = self.next_number();
        let Some(run) = &mut self.sync else { return Steps::new() };
        let (state, operation) = (SlotState::Answered, Operation::Update);
        run.push(Slot { id, operation, uids, state, outcomes, events: Vec::new() });
        let at = run.slots.len() - 1;
        self.store_answer(at, delta)
    }

    fn request(&self, parcel: &Parcel) -> Result<Request> {
        let model = self.options.schema.model();
        let source = |field: &Text| model.map_or_else(|| field.clone(), |model| Text::from(model.source_of(field)));
        let mut key = None;
        let rows: Vec<OutgoingRow> = parcel
            .uids
            .iter()
            .filter_map(|uid| self.change(*uid))
            .filter_map(|change| change.sent.as_ref().map(|sent| (sent, change.base.as_ref())))
            .map(|(sent, base)| {
                key.get_or_insert_with(|| sent.key.clone());
                let write = |record: &Record| {
                    let mut out = model.map_or_else(|| record.clone(), |model| model.write(record.clone()));
                    out.remove("__state__");
                    out
                };
                OutgoingRow {
                    kind: sent.kind,
                    id: self.id_of(&sent.record),
                    changed: sent.changed.iter().map(source).collect(),
                    base: base.map(write),
                    record: write(&sent.record),
                }
            })
            .collect();
        let models = if parcel.batch {
            self.options.schema.serialize(rows.iter().map(|row| row.record.clone()).collect())?
        } else {
            None
        };
        Ok(Request {
            operation: parcel.operation,
            params: Record::new(),
            unset: Vec::new(),
            rows,
            batch: parcel.batch,
            key,
            id_field: self.id_source(),
            models,
        })
    }

    // ---- answers

    /// Takes the outcome of a request. Failures are taken at once; answers of a sync when the driver's steps are done.
    pub fn answered(&mut self, id: u64, reply: Result<Reply>) -> Steps {
        if let Some(run) = self.take_read(id) {
            return self.read_answered(run, reply);
        }
        let Some(slot) = self.sync.as_ref().and_then(|run| run.find(id)) else {
            return Steps::new();
        };
        match reply {
            Ok(reply) => self.accept_reply(slot, &reply),
            Err(error) => self.refuse(slot, &error),
        }
    }

    fn slot(&mut self, at: usize) -> Option<&mut Slot> {
        self.sync.as_mut().and_then(|run| run.slots.get_mut(at))
    }

    fn refuse(&mut self, at: usize, error: &Error) -> Steps {
        let Some((operation, uids, id)) = self.slot(at).map(|slot| (slot.operation, slot.uids.clone(), slot.id)) else {
            return Steps::new();
        };
        let error = error.clone().during(operation.as_str());
        let done =
            uids.len() == 1 && operation == Operation::Destroy && judge(ChangeKind::Destroy, &error) == Verdict::Done;
        if done {
            return self.accept_reply(at, &Reply::empty());
        }
        let mut delta = Delta::default();
        let outcomes: Vec<ChangeOutcome> = uids.iter().filter_map(|uid| self.fail(*uid, &error, &mut delta)).collect();
        if let Some(slot) = self.slot(at) {
            slot.outcomes = outcomes;
        }
        let mut end = Event::new(EventKind::RequestEnd);
        end.request = Some(id);
        let mut event = Event::new(EventKind::Error);
        event.error = Some(error);
        let mut steps = Steps::from([Step::Emit(end), Step::Emit(event)]);
        steps.extend(self.store_answer(at, delta));
        steps
    }

    fn store_answer(&mut self, at: usize, delta: Delta) -> Steps {
        if let Some(run) = &mut self.sync {
            run.mark(at, SlotState::Answered);
        }
        if let Some(step) = self.commit(delta, Cont::AckDone(vec![at])) {
            Steps::from([step, Step::Run(Then(Cont::SyncNext))])
        } else {
            let mut steps = self.ack_done(&[at], &Ok(()));
            steps.push_back(Step::Run(Then(Cont::SyncNext)));
            steps
        }
    }

    pub(crate) fn ack_done(&mut self, slots: &[usize], stored: &Result<()>) -> Steps {
        let watch = self.watch;
        let mut steps = Steps::new();
        for at in slots {
            if let Some(run) = &mut self.sync {
                run.mark(*at, SlotState::Done);
            }
            let Some(slot) = self.slot(*at) else { continue };
            if let Err(error) = stored {
                // The server has it, the storage does not say so yet: it stays pending there, under the same key.
                for outcome in &mut slot.outcomes {
                    if outcome.result.is_ok() {
                        outcome.result = Err(error.clone().during("sync"));
                    }
                }
            }
            for outcome in slot.outcomes.iter().filter(|_| watch) {
                let mut event = Event::new(EventKind::Outcome).operation(outcome.kind.into());
                event.error = outcome.result.as_ref().err().cloned();
                event.outcome = Some(Box::new(outcome.clone()));
                steps.push_back(Step::Emit(event));
            }
        }
        self.snapshot_needed |= stored.is_err();
        steps.extend(self.try_finish());
        steps
    }

    /// One change failed: it stays, with its error.
    fn fail(&mut self, uid: Uid, error: &Error, delta: &mut Delta) -> Option<ChangeOutcome> {
        let storage = self.options.offline_storage;
        let shown = self.table.get(uid).map(|row| row.record.clone());
        let change = self.change_mut(uid)?;
        let sent = change.sent.take()?;
        let verdict = if sent.in_doubt && !settles(error) { Verdict::InDoubt } else { judge(sent.kind, error) };
        let outcome = ChangeOutcome { uid, kind: sent.kind, record: sent.record.clone(), result: Err(error.clone()) };
        let failure = Failure::from(error);
        // The key of a batch is the batch's.
        change.tried = sent.batch.is_none().then(|| (sent.record.clone(), sent.kind, sent.key.clone()));
        if storage && verdict == Verdict::InDoubt {
            // Frozen until its outcome is known; the accepted copy is the same body and goes with it.
            if let Some(accepted) = &mut change.accepted
                && sent.is_of(accepted)
            {
                accepted.standing = Standing::InDoubt;
                accepted.attempts = sent.attempts;
                accepted.failure = Some(failure.clone());
            }
            change.sent = Some(Sent { in_doubt: true, in_flight: false, failure: Some(failure), ..sent });
        } else if storage {
            let created = sent.kind == ChangeKind::Create;
            if created && change.accepted.as_ref().is_some_and(|accepted| accepted.kind == ChangeKind::Destroy) {
                // Never made there, and removed here meanwhile: nothing is left but a draft that brought it back.
                if shown.is_some() {
                    change.accepted = None;
                    change.draft = true;
                }
                self.removed.retain(|gone| gone.row.uid != uid);
                self.parked.retain(|gone| gone.row.uid != uid);
                delta.delete.push(uid.0);
                return Some(outcome);
            }
            if let Some(accepted) = &mut change.accepted {
                if created && accepted.kind == ChangeKind::Update {
                    accepted.kind = ChangeKind::Create;
                }
                accepted.standing = verdict.standing();
                accepted.attempts = sent.attempts;
                accepted.failure = Some(failure);
            } else {
                change.accepted = Some(Accepted {
                    kind: sent.kind,
                    record: sent.record,
                    key: sent.key,
                    changed: sent.changed,
                    offline: None,
                    standing: verdict.standing(),
                    attempts: sent.attempts,
                    failure: Some(failure),
                    unstored: false,
                    before: None,
                });
            }
        } else {
            // Without a storage a failure stays a draft, and a read drops drafts.
            change.accepted = None;
            change.draft = true;
            self.parked.retain(|parked| parked.row.uid != uid);
            return Some(outcome);
        }
        if let (Some(shown), Some(below)) = (shown, change.below())
            && storage
            && *below == shown
        {
            change.draft = false;
        }
        let change = self.change(uid)?.clone();
        delta.put.extend(self.encode_layers(uid, self.order_of(uid), &change));
        Some(outcome)
    }

    fn accept_reply(&mut self, at: usize, reply: &Reply) -> Steps {
        let Some((operation, uids, id)) = self.slot(at).map(|slot| (slot.operation, slot.uids.clone(), slot.id)) else {
            return Steps::new();
        };
        let mut delta = Delta::default();
        let mut outcomes = Vec::new();
        let mut events = Vec::new();
        let parts: Vec<(Operation, Vec<Uid>, Result<Option<Value>>)> = if operation == Operation::Submit {
            KINDS
                .into_iter()
                .filter_map(|kind| {
                    let of_kind: Vec<Uid> = uids
                        .iter()
                        .copied()
                        .filter(|uid| {
                            self.change(*uid).and_then(|c| c.sent.as_ref()).is_some_and(|sent| sent.kind == kind)
                        })
                        .collect();
                    if of_kind.is_empty() {
                        return None;
                    }
                    let body = reply.parts.iter().find(|(known, _)| *known == kind).map_or_else(
                        || {
                            Err(Error::new(
                                ErrorKind::Undecodable,
                                "the answer to the submit says nothing of this kind",
                            ))
                        },
                        |(_, body)| body.clone().and_then(|body| body.decode()),
                    );
                    Some((kind.into(), of_kind, body))
                })
                .collect()
        } else {
            vec![(operation, uids, reply.body.decode())]
        };
        let mut failed_now = Steps::new();
        for (operation, uids, body) in parts {
            let value = match body {
                Ok(value) => value,
                Err(error) => {
                    let error = error.during(operation.as_str()).applied(Applied::Maybe);
                    outcomes.extend(uids.iter().filter_map(|uid| self.fail(*uid, &error, &mut delta)));
                    let mut end = Event::new(EventKind::RequestEnd);
                    end.request = Some(id);
                    let mut event = Event::new(EventKind::Error);
                    event.error = Some(error);
                    failed_now.extend([Step::Emit(end), Step::Emit(event)]);
                    continue;
                }
            };
            let mut end = Event::new(EventKind::RequestEnd).operation(operation);
            end.request = Some(id);
            if self.watch {
                end.response.clone_from(&value);
            }
            events.push(end);
            if let Some(error) = self.take_answer(operation, &uids, value, &mut delta, &mut outcomes) {
                let mut event = Event::new(EventKind::Error);
                event.error = Some(error);
                events.push(event);
            }
        }
        if let Some(slot) = self.slot(at) {
            slot.outcomes = outcomes;
            slot.events = events;
        }
        failed_now.extend(self.store_answer(at, delta));
        failed_now
    }

    /// Applies one readable answer to the rows that were sent (R5.17-R5.32). Gives the error to report, if there is one.
    fn take_answer(
        &mut self,
        operation: Operation,
        uids: &[Uid],
        value: Option<Value>,
        delta: &mut Delta,
        outcomes: &mut Vec<ChangeOutcome>,
    ) -> Option<Error> {
        self.options.schema.tick(self.env.now());
        let answer = match self.options.schema.write_answer(value) {
            Ok(answer) => answer,
            Err(error) => {
                let error = error.during(operation.as_str()).applied(Applied::Maybe);
                outcomes.extend(uids.iter().filter_map(|uid| self.fail(*uid, &error, delta)));
                return Some(error);
            }
        };
        if let Some(errors) = answer.errors {
            let error = Error::new(ErrorKind::Rejected, "the service refused the change")
                .during(operation.as_str())
                .saying(errors);
            outcomes.extend(uids.iter().filter_map(|uid| self.fail(*uid, &error, delta)));
            return Some(error);
        }
        let rows = self.matched(uids, answer.rows);
        if uids.len() > 1
            && self.options.offline_storage
            && let Some(error) = uids.iter().zip(&rows).find_map(|(uid, row)| self.usable(*uid, row.as_ref()).err())
        {
            // One request, one key: it can only be repeated as a whole.
            let error = error.during(operation.as_str());
            outcomes.extend(uids.iter().filter_map(|uid| self.fail(*uid, &error, delta)));
            return Some(error);
        }
        let mut first = None;
        for (uid, row) in uids.iter().zip(rows) {
            let result = self.acknowledge(*uid, row.as_ref(), delta);
            match result {
                Ok(outcome) => outcomes.extend(outcome),
                Err(error) => {
                    let error = error.during(operation.as_str());
                    outcomes.extend(self.fail(*uid, &error, delta));
                    first.get_or_insert(error);
                }
            }
        }
        first
    }

    /// Which answered row belongs to which sent one: by id where every sent and answered row carries one, else by
    /// position (Q12). No rows at all: accepted as sent.
    fn matched(&self, uids: &[Uid], rows: Option<Vec<Record>>) -> Vec<Option<Record>> {
        let Some(rows) = rows else { return vec![None; uids.len()] };
        let sent: Vec<Option<Value>> = uids
            .iter()
            .map(|uid| {
                let sent = self.change(*uid)?.sent.as_ref()?;
                if sent.kind == ChangeKind::Create { None } else { self.id_of(&sent.record) }
            })
            .collect();
        let answered: Vec<Option<Value>> = rows.iter().map(|row| self.id_of(row)).collect();
        if uids.len() > 1
            && let Some(places) = places(&sent, &answered)
        {
            return places.into_iter().map(|at| at.and_then(|at| rows.get(at).cloned())).collect();
        }
        (0..uids.len()).map(|at| rows.get(at).cloned()).collect()
    }

    /// What the record is after this answer, if the answer can be about it. With an offline storage an answer that
    /// cannot leaves the change in doubt.
    fn usable(&self, uid: Uid, row: Option<&Record>) -> Result<Option<Record>> {
        let Some(sent) = self.change(uid).and_then(|change| change.sent.as_ref()) else { return Ok(None) };
        let mut record = sent.record.clone();
        if sent.kind != ChangeKind::Destroy {
            let sent_id = self.id_of(&sent.record);
            let answered_id = row.and_then(|row| self.id_of(row));
            if let (ChangeKind::Update, Some(was), Some(now)) = (sent.kind, &sent_id, &answered_id)
                && was.to_text() != now.to_text()
            {
                return Err(Error::new(ErrorKind::Conflict, "the answer is about another record")
                    .applied(Applied::Maybe)
                    .with("sent", was.to_text())
                    .with("answered", now.to_text()));
            }
            if let Some(row) = row {
                for (name, value) in row.iter().filter(|(name, _)| !matches!(*name, "__state__" | "__landfall")) {
                    record.set(name, value.clone());
                }
            }
            let has_id = self.options.schema.model().is_some_and(|model| model.id_field().is_some());
            let unnamed = self.is_default_id(self.id_of(&record).as_ref());
            if sent.kind == ChangeKind::Create && unnamed && has_id && !self.options.inline {
                return Err(Error::new(
                    ErrorKind::Rejected,
                    "the answer to the create carries no id; the record stays new",
                )
                .applied(Applied::Maybe));
            }
        }
        Ok(Some(record))
    }

    fn acknowledge(&mut self, uid: Uid, row: Option<&Record>, delta: &mut Delta) -> Result<Option<ChangeOutcome>> {
        let shown = self.table.get(uid).map(|row| row.record.clone());
        let Some(sent) = self.change(uid).and_then(|change| change.sent.clone()) else { return Ok(None) };
        let record = self.usable(uid, row)?.unwrap_or_else(|| sent.record.clone());
        let still_new = sent.kind == ChangeKind::Create && self.looks_new(&record);
        let outcome = ChangeOutcome { uid, kind: sent.kind, record: record.clone(), result: Ok(()) };
        let storage = self.options.offline_storage;
        self.acknowledged_while_reading(sent.kind, &record);
        if sent.kind == ChangeKind::Destroy {
            self.removed.retain(|gone| gone.row.uid != uid);
            self.parked.retain(|gone| gone.row.uid != uid);
            if self.table.get(uid).is_some() {
                self.revived(uid, delta);
            } else {
                delta.delete.push(uid.0);
            }
            return Ok(Some(outcome));
        }
        if sent.kind == ChangeKind::Create && !storage {
            self.appended.push(uid);
        }
        if sent.kind == ChangeKind::Create && sent.read_since {
            self.displace(uid, &record, delta);
        }
        // Only what was accepted since needs a key.
        let since =
            self.change(uid).and_then(|change| change.accepted.as_ref()).is_some_and(|other| !sent.is_of(other));
        let key = if since { self.new_key() } else { Text::default() };
        let Some(change) = self.change_mut(uid) else { return Ok(Some(outcome)) };
        change.sent = None;
        change.tried = None;
        change.added = false;
        change.looks_new = still_new;
        // What was accepted since stays pending on top of the new base.
        match change.accepted.take() {
            Some(accepted) if sent.is_of(&accepted) => {}
            Some(mut accepted) => {
                accepted.record = carry_over(&sent.record, &accepted.record, &record);
                // Another body than the one that was just answered.
                accepted.key = key;
                if accepted.kind == ChangeKind::Create {
                    accepted.kind = ChangeKind::Update;
                }
                accepted.changed = difference(&record, &accepted.record);
                accepted.standing = Standing::Queued;
                if let Some(offline) = &mut accepted.offline {
                    offline.1 = carry_over(&sent.record, &offline.1, &record);
                    if offline.0 == ChangeKind::Create {
                        offline.0 = ChangeKind::Update;
                    }
                }
                // The server may have it all by now.
                if accepted.kind != ChangeKind::Update || !accepted.changed.is_empty() {
                    change.accepted = Some(accepted);
                }
            }
            None => {}
        }
        change.base = Some(record.clone());
        let now = match &shown {
            Some(shown) => carry_over(&sent.record, shown, &record),
            None => record.clone(),
        };
        let below = change.below().cloned().unwrap_or_else(|| record.clone());
        if shown.is_some() {
            change.draft = now != below;
            change.changed = difference(&record, &now);
            change
                .fields
                .retain(|field| change.changed.iter().any(|c| c == field || field.starts_with(&format!("{c}."))));
            change.dirty = change.draft || change.accepted.is_some();
        }
        let followed = change.accepted.is_some();
        if let Some(slot) = self.table.record_mut(uid) {
            *slot = now;
        } else if let Some(gone) = self.removed.iter_mut().chain(&mut self.parked).find(|gone| gone.row.uid == uid) {
            gone.row.record = carry_over(&sent.record, &gone.row.record, &record);
        }
        self.ids = None;
        if followed && let Some(run) = &mut self.sync {
            run.follow.push(uid);
        }
        if self.overlay.get(&uid).is_some_and(Change::is_idle) {
            self.overlay.remove(&uid);
        }
        if let Some(at) =
            self.parked.iter().position(|parked| parked.row.uid == uid && parked.change.accepted.is_none())
        {
            // It was only kept for its change; the rows shown do not contain it.
            self.parked.remove(at);
            delta.delete.push(uid.0);
            return Ok(Some(outcome));
        }
        match self.change(uid).cloned() {
            Some(change) => delta.put.extend(self.encode_layers(uid, self.order_of(uid), &change)),
            None => delta.put.extend(self.encode(uid)),
        }
        Ok(Some(outcome))
    }

    /// A read between a create and its answer may have brought the created record as a row of its own: it gives way.
    fn displace(&mut self, uid: Uid, record: &Record, delta: &mut Delta) {
        let Some(id) = self.id_of(record).filter(|id| !self.is_default_id(Some(id))) else { return };
        let Some(other) = self.find_id(&id).filter(|other| *other != uid && !self.overlay.contains_key(other)) else {
            return;
        };
        self.forget(other);
        self.total = self.total.map(|total| total.saturating_sub(1));
        self.meta_dirty |= self.groups.is_some();
        delta.delete.push(other.0);
    }

    /// The removal of a record that was brought back meanwhile is done: the record is new to the server now.
    fn revived(&mut self, uid: Uid, delta: &mut Delta) {
        let key = self.new_key();
        let Some(change) = self.overlay.get_mut(&uid) else { return };
        change.sent = None;
        change.tried = None;
        change.base = None;
        change.added = true;
        let follows = change.accepted.is_some();
        if let Some(accepted) = &mut change.accepted {
            accepted.kind = ChangeKind::Create;
            accepted.key = key;
            if let Some(offline) = &mut accepted.offline {
                offline.0 = ChangeKind::Create;
            }
        } else {
            change.draft = true;
        }
        let change = change.clone();
        match self.encode_layers(uid, self.order_of(uid), &change) {
            Some(row) => delta.put.push(row),
            None => delta.delete.push(uid.0),
        }
        if follows && let Some(run) = &mut self.sync {
            run.follow.push(uid);
        }
    }

    // ---- the end

    fn try_finish(&mut self) -> Steps {
        let Some(run) = &mut self.sync else { return Steps::new() };
        if !run.is_done() || self.gate {
            return Steps::new();
        }
        let follow = std::mem::take(&mut run.follow);
        if !follow.is_empty() {
            // Changes that waited behind a body in doubt go now.
            let mut plan = Plan::default();
            let mut delta = Delta::default();
            let shared = self.options.batch.then(|| self.random_number());
            for uid in follow {
                let Some(mut change) = self.change(uid).cloned() else { continue };
                let before = change.clone();
                if Self::freeze(uid, &mut change, true, shared, &mut plan) {
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
        let report = SyncReport { outcomes, stored: 0 };
        let done: Vec<Item> = report
            .outcomes
            .iter()
            .filter(|outcome| outcome.result.is_ok())
            .map(|outcome| Item { uid: outcome.uid, record: outcome.record.clone() })
            .collect();
        if report.is_success() || !done.is_empty() {
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

    /// What is seen, and the groups that cancelling goes back to, are what the sync leaves behind.
    fn settle_seen(&mut self) {
        self.settle_view();
        let offline = |change: &Change| change.accepted.as_ref().is_some_and(|accepted| accepted.offline.is_some());
        if self.removed.iter().all(|gone| gone.change.is_new() || offline(&gone.change)) {
            self.pristine_groups.clone_from(&self.groups);
        }
    }

    /// Settles the promises of a sync and starts the next one that waits.
    fn end_sync(&mut self, tickets: Vec<Ticket>, result: &Result<SyncReport>, mut steps: Steps) -> Steps {
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
            let explicit = waiting.iter().any(|(_, explicit)| *explicit);
            let tickets = waiting.into_iter().map(|(ticket, _)| ticket).collect();
            steps.push_back(Step::Run(Then(Cont::SyncStart(tickets, explicit))));
        } else {
            self.waiting_syncs = waiting;
        }
        steps
    }

    /// A sync that could not even start.
    pub(crate) fn fail_sync(&mut self, tickets: Vec<Ticket>, error: &Error) -> Steps {
        self.end_sync(tickets, &Err(error.clone()), Steps::new())
    }

    /// Whether reads have to wait with their rows: an acceptance is being stored.
    pub(crate) fn gated(&self) -> bool {
        self.gate
    }

    fn open_gate(&mut self) -> Steps {
        self.gate = false;
        std::mem::take(&mut self.deferred).into_iter().map(|cont| Step::Run(Then(cont))).collect()
    }
}

/// One key for several: depends on each of them and on their order.
fn combined(keys: &[&str]) -> Text {
    let fold = |seed: u64| {
        keys.iter().flat_map(|key| key.bytes().chain([0])).fold(seed, |sum, byte| {
            let mixed = (sum ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ (mixed >> 29)
        })
    };
    Text::from(format!("{:016x}{:016x}", fold(0xCBF2_9CE4_8422_2325), fold(0x1000_0000_01B3)))
}

/// Of each sent id, where it was answered first; `None` where the ids do not tell: one is missing, no plain value, or was
/// never sent.
fn places(sent: &[Option<Value>], answered: &[Option<Value>]) -> Option<Vec<Option<usize>>> {
    let key = |id: &Option<Value>| match id {
        Some(Value::Number(number)) if !number.is_nan() => Some((false, Text::from(number.to_string()))),
        Some(Value::String(text)) => Some((true, text.clone())),
        _ => None,
    };
    let wanted: Vec<(bool, Text)> = sent.iter().map(key).collect::<Option<_>>()?;
    let known: HashSet<&(bool, Text)> = wanted.iter().collect();
    let mut first: HashMap<(bool, Text), usize> = HashMap::with_capacity(answered.len());
    for (at, id) in answered.iter().enumerate() {
        let id = key(id)?;
        if !known.contains(&id) {
            return None;
        }
        first.entry(id).or_insert(at);
    }
    Some(wanted.iter().map(|id| first.get(id).copied()).collect())
}
