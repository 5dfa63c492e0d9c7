//! Sending what an acceptance froze (reference 5): one request after another, created, updated, destroyed.
//!
//! Owns how changes are put together into requests. Never looks at an answer.

use super::{
    Engine, Step, Steps,
    change::{Failure, Journey, Sent, Standing},
    event::{Event, EventKind},
    report::ChangeOutcome,
    step::{Cont, Then},
    sync::{KINDS, Parcel, Plan, Slot, SlotState, cancelled},
    table::Uid,
};
use crate::{ChangeKind, Delta, Error, ErrorKind, Operation, OutgoingRow, Record, Request, Result, Text};
use std::collections::HashSet;

impl Engine {
    pub(super) fn parcels(&self, send: &[(ChangeKind, Uid)]) -> Vec<Parcel> {
        let these = |kind: ChangeKind| send.iter().filter(move |(k, _)| *k == kind).map(|(_, uid)| *uid);
        let company = |uid: Uid| {
            let frozen = self.change(uid)?.sent.as_ref()?;
            Some((frozen.batch?, frozen.place))
        };
        let journey =
            |uid: Uid| self.change(uid).and_then(|change| change.sent.as_ref()).map(Sent::journey).unwrap_or_default();
        let at_once = self.options.batch && self.options.offers.contains(Operation::Submit);
        let mut out = Vec::new();
        // Bodies whose outcome is unknown travel again in the company and in the order they had: alone, or together.
        let mut by_batch: Vec<(u64, Parcel)> = Vec::new();
        for kind in KINDS {
            for uid in these(kind) {
                let Some((batch, _)) = company(uid) else {
                    let journey = journey(uid);
                    out.push(Parcel { operation: kind.into(), uids: vec![uid], batch: false, journey });
                    continue;
                };
                let operation = if at_once { Operation::Submit } else { kind.into() };
                let same = |(known, parcel): &&mut (u64, Parcel)| *known == batch && parcel.operation == operation;
                if let Some((_, parcel)) = by_batch.iter_mut().find(same) {
                    parcel.uids.push(uid);
                } else {
                    let journey = journey(uid);
                    by_batch.push((batch, Parcel { operation, uids: vec![uid], batch: true, journey }));
                }
            }
            if !at_once {
                out.extend(by_batch.drain(..).map(|(_, parcel)| parcel));
            }
        }
        out.extend(by_batch.into_iter().map(|(_, parcel)| parcel));
        if at_once && out.is_empty() {
            // A submit of nothing is sent all the same, as in Kendo.
            let (operation, journey) = (Operation::Submit, Journey::default());
            out.push(Parcel { operation, uids: Vec::new(), batch: true, journey });
        }
        for parcel in &mut out {
            parcel.uids.sort_by_key(|uid| company(*uid).map_or(0, |(_, place)| place));
        }
        if self.options.pauses.budget.is_some() {
            // What fails again and again must not spend it before the others had their turn.
            let tries = |uid: &Uid| self.change(*uid).and_then(|change| Some(change.sent.as_ref()?.attempts));
            out.sort_by_key(|parcel| parcel.uids.iter().filter_map(tries).max());
        }
        out
    }

    pub(crate) fn sync_next(&mut self) -> Steps {
        let limit = self.options.max_in_flight.max(1);
        if self.stopping {
            return self.hold_back(&cancelled());
        }
        if !self.online {
            let error = Error::new(ErrorKind::Offline, "went offline before it was sent").during("sync");
            return self.hold_back(&error);
        }
        if let Some(error) = self.held() {
            let error = error.clone().with("sent", "no: the queue waits");
            return self.hold_back(&error);
        }
        let Some(run) = &mut self.sync else { return Steps::new() };
        if self.options.pauses.budget.is_some_and(|budget| run.spent >= budget) {
            let error = Error::new(ErrorKind::Limit, "the requests of this sync are spent; the next one goes on");
            return self.hold_back(&error.during("sync"));
        }
        if run.in_flight >= limit {
            return Steps::new();
        }
        let Some(mut parcel) = run.queue.pop_front() else { return self.try_finish() };
        let mode = run.mode;
        let whole = parcel.uids.len();
        // Another program may have settled some of it since; what it froze instead goes in its own company.
        let mut others = Vec::new();
        parcel.uids.retain(|uid| {
            let Some(sent) = self.change(*uid).and_then(|change| change.sent.as_ref()) else { return false };
            let stays = sent.is_on(&parcel.journey);
            others.extend((!stays).then_some(*uid));
            stays
        });
        if let Some(run) = &mut self.sync {
            run.follow.extend(others);
        }
        if parcel.uids.is_empty() && whole > 0 {
            return Steps::from([Step::Run(Then(Cont::SyncNext))]);
        }
        let parcel = match self.without_doubt(parcel, mode) {
            Ok(parcel) => parcel,
            Err(steps) => return steps,
        };
        let id = self.next_number();
        let request = match self.request(&parcel) {
            Ok(request) => request,
            Err(error) => return self.not_sent(parcel.uids, &error.during(parcel.operation.as_str())),
        };
        for uid in &parcel.uids {
            if let Some(sent) = self.change_mut(*uid).and_then(|change| change.sent.as_mut()) {
                sent.in_flight = true;
                if !std::mem::take(&mut sent.counted) {
                    // A repeat is counted in memory and stored with its outcome: a commit for the number alone would
                    // cost a flush before every repeat.
                    sent.attempts = sent.attempts.saturating_add(1);
                }
            }
        }
        let operation = parcel.operation;
        self.went_out();
        if let Some(run) = &mut self.sync {
            run.spent += 1;
            run.push(Slot {
                id,
                operation,
                uids: parcel.uids,
                journey: parcel.journey,
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

    /// What was not sent yet is not sent.
    pub(super) fn hold_back(&mut self, error: &Error) -> Steps {
        let Some(run) = &mut self.sync else { return Steps::new() };
        let uids: Vec<Uid> = run.queue.drain(..).flat_map(|parcel| parcel.uids).collect();
        if uids.is_empty() {
            return self.try_finish();
        }
        let mut delta = Delta::default();
        let outcomes = uids.iter().filter_map(|uid| self.put_back(*uid, error, &mut delta)).collect();
        self.not_tried(uids, outcomes, delta)
    }

    /// Requests that could not even be spelled.
    fn not_sent(&mut self, uids: Vec<Uid>, error: &Error) -> Steps {
        let mut delta = Delta::default();
        let outcomes = uids.iter().filter_map(|uid| self.fail(*uid, error, &mut delta)).collect();
        self.not_tried(uids, outcomes, delta)
    }

    pub(super) fn not_tried(&mut self, uids: Vec<Uid>, outcomes: Vec<ChangeOutcome>, delta: Delta) -> Steps {
        let id = self.next_number();
        let Some(run) = &mut self.sync else { return Steps::new() };
        let (state, operation, journey) = (SlotState::Answered, Operation::Update, Journey::default());
        run.push(Slot { id, operation, uids, journey, state, outcomes, events: Vec::new() });
        let at = run.slots.len() - 1;
        self.store_answer(at, delta)
    }

    /// Takes a change back that was about to be sent: it stands as it stood, and no try is counted.
    pub(super) fn put_back(&mut self, uid: Uid, error: &Error, delta: &mut Delta) -> Option<ChangeOutcome> {
        if !self.options.offline_storage {
            return self.fail(uid, error, delta);
        }
        let failure =
            self.held_failure().unwrap_or_else(|| Failure { at: Some(self.env.now()), ..Failure::from(error) });
        let order = self.order_of(uid);
        let change = self.change_mut(uid)?;
        let mut sent = change.sent.take()?;
        let outcome = ChangeOutcome { uid, kind: sent.kind, record: sent.record.clone(), result: Err(error.clone()) };
        if std::mem::take(&mut sent.counted) {
            sent.attempts = sent.attempts.saturating_sub(1);
        }
        sent.in_flight = false;
        match &mut change.accepted {
            Some(accepted) if !sent.in_doubt => {
                if accepted.standing == Standing::Queued {
                    accepted.standing = failure.verdict.standing();
                }
                accepted.failure.get_or_insert(failure);
            }
            _ => change.sent = Some(sent),
        }
        let change = change.clone();
        delta.put.extend(self.encode_layers(uid, order, &change));
        Some(outcome)
    }

    pub(super) fn request(&self, parcel: &Parcel) -> Result<Request> {
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

    /// What another program has sent together goes together: rows that are to be sent bring those of their request along.
    fn complete(&self, send: &mut Vec<(ChangeKind, Uid)>) {
        let batch = |uid: Uid| self.change(uid).and_then(|change| change.sent.as_ref()?.batch);
        let batches: HashSet<u64> = send.iter().filter_map(|(_, uid)| batch(*uid)).collect();
        if batches.is_empty() {
            return;
        }
        let known: HashSet<Uid> = send.iter().map(|(_, uid)| *uid).collect();
        let more = self.all_changes().filter_map(|(uid, change)| {
            let frozen = change.sent.as_ref().filter(|frozen| !frozen.in_flight)?;
            (frozen.batch.is_some_and(|batch| batches.contains(&batch)) && !known.contains(&uid))
                .then_some((frozen.kind, uid))
        });
        let mut more: Vec<(ChangeKind, Uid)> = more.collect();
        more.sort_unstable_by_key(|(_, uid)| *uid);
        send.extend(more);
    }

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
                    journey: Journey::default(),
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
        let waiting: Vec<ChangeOutcome> = match self.held() {
            Some(error) => {
                let error = error.clone().with("sent", "no: the queue waits");
                let held = plan.held.iter().filter_map(|(kind, uid)| {
                    let record = self.change(*uid)?.below()?.clone();
                    Some(ChangeOutcome { uid: *uid, kind: *kind, record, result: Err(error.clone()) })
                });
                held.collect()
            }
            None => Vec::new(),
        };
        // Another program may have settled some of them meanwhile.
        let mut send: Vec<(ChangeKind, Uid)> =
            plan.send.iter().filter_map(|(_, uid)| Some((self.change(*uid)?.sent.as_ref()?.kind, *uid))).collect();
        self.complete(&mut send);
        let queue = self.parcels(&send);
        let id = self.next_number();
        let mut run = self.sync.take().unwrap_or_default();
        run.tickets.extend(plan.tickets);
        // What another program changed once more goes after this, with what it is now.
        let again = |(_, uid): &&(ChangeKind, Uid)| {
            self.change(*uid).is_some_and(|change| change.sent.is_none() && change.accepted.is_some())
        };
        run.follow.extend(plan.send.iter().filter(again).map(|(_, uid)| *uid));
        run.marked |= !plan.frozen.is_empty();
        run.progress.total += send.len();
        run.queue.extend(queue);
        run.mode = plan.mode;
        if !waiting.is_empty() {
            run.held = true;
            let (state, operation) = (SlotState::Done, Operation::Update);
            let (uids, journey) = (Vec::new(), Journey::default());
            run.push(Slot { id, operation, uids, journey, state, outcomes: waiting, events: Vec::new() });
        }
        self.sync = Some(run);
        let mut steps = self.open_gate();
        steps.push_back(Step::Run(Then(Cont::SyncNext)));
        steps
    }
}
