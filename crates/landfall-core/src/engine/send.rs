//! Sending what an acceptance froze (reference 5): one request after another, created, updated, destroyed.
//!
//! Owns how changes are put together into requests. Never looks at an answer.

use super::{
    Engine, Step, Steps,
    event::{Event, EventKind},
    report::ChangeOutcome,
    step::{Cont, Then},
    sync::{KINDS, Parcel, Plan, Slot, SlotState},
    table::Uid,
};
use crate::{ChangeKind, Delta, Error, ErrorKind, Operation, OutgoingRow, Record, Request, Result, Text};

impl Engine {
    pub(super) fn parcels(&self, send: &[(ChangeKind, Uid)]) -> Vec<Parcel> {
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
    pub(super) fn hold_back(&mut self) -> Steps {
        let Some(run) = &mut self.sync else { return Steps::new() };
        let uids: Vec<Uid> = run.queue.drain(..).flat_map(|parcel| parcel.uids).collect();
        if uids.is_empty() {
            return self.try_finish();
        }
        self.not_sent(uids, &Error::new(ErrorKind::Offline, "went offline before it was sent").during("sync"))
    }

    pub(super) fn not_sent(&mut self, uids: Vec<Uid>, error: &Error) -> Steps {
        let mut delta = Delta::default();
        let outcomes: Vec<ChangeOutcome> = uids.iter().filter_map(|uid| self.fail(*uid, error, &mut delta)).collect();
        let id = self.next_number();
        let Some(run) = &mut self.sync else { return Steps::new() };
        let (state, operation) = (SlotState::Answered, Operation::Update);
        run.push(Slot { id, operation, uids, state, outcomes, events: Vec::new() });
        let at = run.slots.len() - 1;
        self.store_answer(at, delta)
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
}
