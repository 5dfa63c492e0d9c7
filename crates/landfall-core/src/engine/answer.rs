//! Taking answers: which row an answer is about, and what the record is after it.
//!
//! Owns the outcome of each change; each answer is applied and stored on its own. Never decides what is sent next.

use super::{
    Engine, Step, Steps,
    change::{Change, Journey, Removed, Standing, carry_over, difference},
    event::{Event, EventKind},
    heard::Said,
    identity::is_made_here,
    report::{ChangeOutcome, SyncProgress},
    step::{Cont, Then},
    sync::{KINDS, Slot, SlotState},
    table::Uid,
};
use crate::{Applied, Body, ChangeKind, Delta, Error, ErrorKind, Operation, Record, Reply, Result, Text, Value};
use std::collections::{HashMap, HashSet};

impl Engine {
    /// Takes the outcome of a request. Failures are taken at once; answers of a sync when the driver's steps are done.
    pub fn answered(&mut self, id: u64, reply: Result<Reply>) -> Steps {
        if let Some(run) = self.take_read(id) {
            let through = reply.is_ok();
            let mut steps = self.read_answered(run, reply);
            if through {
                steps.extend(self.let_in(id));
            }
            return steps;
        }
        let Some(slot) = self.sync.as_ref().and_then(|run| run.find(id)) else {
            return Steps::new();
        };
        match reply {
            Ok(reply) => self.accept_reply(slot, &reply),
            Err(error) => self.refuse(slot, &error),
        }
    }

    pub(super) fn slot(&mut self, at: usize) -> Option<&mut Slot> {
        self.sync.as_mut().and_then(|run| run.slots.get_mut(at))
    }

    pub(super) fn store_answer(&mut self, at: usize, delta: Delta) -> Steps {
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
            let outcomes = if watch { slot.outcomes.clone() } else { Vec::new() };
            let settled = slot.outcomes.len().max(slot.uids.len());
            let Some(run) = &mut self.sync else { continue };
            let before = run.progress.done;
            run.progress.done += settled;
            let total = run.progress.total;
            for (outcome, done) in outcomes.into_iter().zip(before + 1..) {
                let mut event = Event::new(EventKind::Outcome).operation(outcome.kind.into());
                event.progress = Some(SyncProgress { done, total });
                event.error = outcome.result.as_ref().err().cloned();
                event.outcome = Some(Box::new(outcome));
                steps.push_back(Step::Emit(event));
            }
        }
        self.snapshot_needed |= stored.is_err();
        if stored.is_ok() && self.handed.is_empty() {
            // What was removed for good is stored: who makes it anew from now on means it.
            self.dropping.clear();
        }
        steps.extend(self.try_finish());
        steps
    }

    pub(super) fn accept_reply(&mut self, at: usize, reply: &Reply) -> Steps {
        let Some((operation, uids, id, journey)) =
            self.slot(at).map(|slot| (slot.operation, slot.uids.clone(), slot.id, slot.journey.clone()))
        else {
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
                            let sent = self.change(*uid).and_then(|change| change.sent.as_ref());
                            sent.is_some_and(|sent| sent.kind == kind && sent.is_on(&journey))
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
                            )
                            .applied(Applied::Maybe))
                        },
                        // A part that failed says itself whether it may have been applied.
                        |(_, body)| body.as_ref().map_err(Clone::clone).and_then(maybe_applied),
                    );
                    Some((kind.into(), of_kind, body))
                })
                .collect()
        } else {
            vec![(operation, uids, maybe_applied(&reply.body))]
        };
        let mut failed_now = Steps::new();
        for (operation, uids, body) in parts {
            let value = match body {
                Ok(value) => value,
                Err(error) if self.done_already(operation, &uids, &error) => None,
                Err(error) => {
                    let error = error.during(operation.as_str());
                    let failed = self.fail_together(operation, (&uids, &journey), &error, &mut delta);
                    let mut end = Event::new(EventKind::RequestEnd);
                    end.request = Some(id);
                    failed_now.push_back(Step::Emit(end));
                    if !failed.is_empty() {
                        let mut event = Event::new(EventKind::Error);
                        event.error = Some(error);
                        failed_now.push_back(Step::Emit(event));
                    }
                    outcomes.extend(failed);
                    continue;
                }
            };
            let mut end = Event::new(EventKind::RequestEnd).operation(operation);
            end.request = Some(id);
            if self.watch {
                end.response.clone_from(&value);
            }
            events.push(end);
            if let Some(error) = self.take_answer(operation, (&uids, &journey), value, &mut delta, &mut outcomes) {
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
    pub(super) fn take_answer(
        &mut self,
        operation: Operation,
        (uids, journey): (&[Uid], &Journey),
        value: Option<Value>,
        delta: &mut Delta,
        outcomes: &mut Vec<ChangeOutcome>,
    ) -> Option<Error> {
        self.options.schema.tick(self.env.now());
        let answer = match self.options.schema.write_answer(value) {
            Ok(answer) => answer,
            Err(error) => {
                let error = error.during(operation.as_str()).applied(Applied::Maybe);
                outcomes.extend(self.fail_all(uids, journey, &error, delta));
                return Some(error);
            }
        };
        if let Some(errors) = answer.errors {
            let error = Error::new(ErrorKind::Rejected, "the service refused the change")
                .during(operation.as_str())
                .saying(errors);
            outcomes.extend(self.fail_together(operation, (uids, journey), &error, delta));
            return Some(error);
        }
        let rows = self.matched(uids, answer.rows);
        let mut usable: Vec<Result<Record>> = Vec::with_capacity(uids.len());
        for (uid, row) in uids.iter().zip(rows) {
            usable.push(if self.waits_for(*uid, journey) { self.usable(*uid, row) } else { Ok(Record::new()) });
        }
        if uids.len() > 1
            && self.options.offline_storage
            && let Some(error) = usable.iter().find_map(|record| record.as_ref().err())
        {
            // One request, one key: it can only be repeated as a whole.
            let error = error.clone().during(operation.as_str());
            outcomes.extend(self.fail_all(uids, journey, &error, delta));
            return Some(error);
        }
        outcomes.reserve(uids.len());
        let mut first = None;
        for (uid, record) in uids.iter().zip(usable) {
            if !self.waits_for(*uid, journey) {
                continue;
            }
            match record {
                Ok(record) => outcomes.extend(self.acknowledge(*uid, &record, delta)),
                Err(error) => {
                    let error = error.during(operation.as_str());
                    outcomes.extend(self.fail(*uid, &error, delta));
                    first.get_or_insert(error);
                }
            }
        }
        first
    }

    /// Whether the change of this row travelled in that request and nobody has settled it since, or put another request in
    /// its place: then its answer says nothing of what is on its way now.
    pub(super) fn waits_for(&self, uid: Uid, journey: &Journey) -> bool {
        self.change(uid).and_then(|change| change.sent.as_ref()).is_some_and(|sent| sent.is_on(journey))
    }

    /// Which answered row belongs to which sent one: by id where every sent and answered row carries one, else by
    /// position (Q12). No rows at all: accepted as sent.
    pub(super) fn matched(&self, uids: &[Uid], rows: Option<Vec<Record>>) -> Vec<Option<Record>> {
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
    pub(super) fn usable(&self, uid: Uid, row: Option<Record>) -> Result<Record> {
        let Some(sent) = self.change(uid).and_then(|change| change.sent.as_ref()) else { return Ok(Record::new()) };
        let mut record = sent.record.clone();
        if sent.kind != ChangeKind::Destroy {
            let sent_id = self.id_of(&sent.record);
            let answered_id = row.as_ref().and_then(|row| self.id_of(row));
            if let (ChangeKind::Update, Some(was), Some(now)) = (sent.kind, &sent_id, &answered_id)
                && was.to_text() != now.to_text()
            {
                return Err(Error::new(ErrorKind::Conflict, "the answer is about another record")
                    .applied(Applied::Maybe)
                    .with("sent", was.to_text())
                    .with("answered", now.to_text()));
            }
            if let Some(row) = row {
                let ours = |name: &str| matches!(name, "__state__" | "__landfall");
                if record.len() == row.len()
                    && record.iter().zip(row.iter()).all(|((sent, _), (name, _))| sent == name && !ours(name))
                {
                    // Says all of it again.
                    record = row;
                } else {
                    for (name, value) in row.iter().filter(|(name, _)| !ours(name)) {
                        record.set(name, value.clone());
                    }
                }
                // A number or date that neither answer nor record has is null, as in records that are read (R5.26).
                if let Some(filled) = self.options.schema.model().and_then(|model| model.filled(&record)) {
                    record = filled;
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
        Ok(record)
    }

    /// What was sent of a row is what the server has: this record. Gives what to report.
    pub(super) fn acknowledge(&mut self, uid: Uid, record: &Record, delta: &mut Delta) -> Option<ChangeOutcome> {
        let shown = self.table.get(uid).map(|row| row.record.clone());
        let sent = self.change_mut(uid)?.sent.take()?;
        let still_new = sent.kind == ChangeKind::Create && self.looks_new(record);
        let outcome = ChangeOutcome { uid, kind: sent.kind, record: record.clone(), result: Ok(()) };
        let storage = self.options.offline_storage;
        self.acknowledged_while_reading(sent.kind, record);
        if storage {
            self.unstored.note(uid, &sent.key, Said::Done(record.clone()));
        }
        if sent.kind == ChangeKind::Destroy {
            if let Some(Removed { row, change }) = self.removed.remove(uid)
                && change.accepted.as_ref().is_some_and(|accepted| accepted.kind != ChangeKind::Destroy)
            {
                // It was brought back and removed again: another program may have made it anew.
                self.dropping.push(Removed { row, change: Change { added: true, ..Change::default() } });
            }
            if let Some(Removed { row, change }) = self.parked.remove(uid)
                && change.accepted.as_ref().is_some_and(|accepted| accepted.kind != ChangeKind::Destroy)
            {
                // A read does not show what was brought back since: it is shown again.
                let end = self.groups.as_ref().map_or(self.table.len(), Vec::len);
                self.insert_row(end, uid, row.record);
                self.overlay.insert(uid, change);
                self.total = self.total.map(|total| total + 1);
            }
            if self.table.get(uid).is_some() {
                self.revived(uid, delta);
            } else {
                delta.delete.push(uid.0);
            }
            return Some(outcome);
        }
        // A row that was read, removed and made anew: the service knows it by another id now.
        self.names.lasting |= sent.kind == ChangeKind::Create && storage && !is_made_here(uid);
        if sent.kind == ChangeKind::Create && !storage {
            self.appended.push(uid);
        }
        let twin = (sent.kind == ChangeKind::Create && sent.read_since)
            .then(|| self.displace(uid, record, delta))
            .flatten()
            .filter(|_| shown.is_some());
        // Only what was accepted since needs a key.
        let since =
            self.change(uid).and_then(|change| change.accepted.as_ref()).is_some_and(|other| !sent.is_of(other));
        let key = if since { self.new_key() } else { Text::default() };
        let Some(change) = self.change_mut(uid) else { return Some(outcome) };
        change.sent = None;
        change.tried = None;
        change.added = false;
        change.looks_new = still_new;
        // What was accepted since stays pending on top of the new base.
        match change.accepted.take() {
            Some(accepted) if sent.is_of(&accepted) => {}
            Some(mut accepted) => {
                accepted.record = carry_over(&sent.record, &accepted.record, record);
                // Another body than the one that was just answered.
                accepted.key = key;
                if accepted.kind == ChangeKind::Create {
                    accepted.kind = ChangeKind::Update;
                }
                accepted.changed = difference(record, &accepted.record);
                accepted.standing = Standing::Queued;
                if let Some(offline) = &mut accepted.offline {
                    offline.1 = carry_over(&sent.record, &offline.1, record);
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
            Some(shown) => carry_over(&sent.record, shown, record),
            None => record.clone(),
        };
        let below = change.below().cloned().unwrap_or_else(|| record.clone());
        if shown.is_some() {
            change.draft = now != below;
            change.changed = difference(record, &now);
            change
                .fields
                .retain(|field| change.changed.iter().any(|c| c == field || field.starts_with(&format!("{c}."))));
            change.dirty = change.draft || change.accepted.is_some();
        }
        if let Some(slot) = self.table.record_mut(uid) {
            *slot = now;
        } else if let Some(gone) = self.removed.get_mut(uid).or_else(|| self.parked.get_mut(uid)) {
            gone.row.record = carry_over(&sent.record, &gone.row.record, record);
        }
        self.ids = None;
        if let Some((row, change)) = twin {
            // What a read brought is at least as new as the answer to the create.
            let newest = change.as_ref().and_then(|change| change.base.clone()).unwrap_or_else(|| row.clone());
            self.merge_twin(uid, &newest, &row, change);
        }
        if let Some(at) = self.twins.iter().position(|(_, second)| *second == uid) {
            let (first, _) = self.twins.swap_remove(at);
            if self.become_one(first, uid, record, delta) {
                return Some(outcome);
            }
        }
        let followed = self.change(uid).is_some_and(|change| change.accepted.is_some());
        if followed && let Some(run) = &mut self.sync {
            run.follow.push(uid);
        }
        if self.overlay.get(&uid).is_some_and(Change::is_idle) {
            self.overlay.remove(&uid);
        }
        if self.parked.get(uid).is_some_and(|parked| parked.change.accepted.is_none()) {
            // It was only kept for its change; the rows shown do not contain it.
            self.parked.remove(uid);
            delta.delete.push(uid.0);
            return Some(outcome);
        }
        match self.change(uid) {
            Some(change) => delta.put.extend(self.encode_layers(uid, self.order_of(uid), change)),
            None => delta.put.extend(self.encode(uid)),
        }
        Some(outcome)
    }

    /// The removal of a record that was brought back meanwhile is done: the record is new to the server now.
    pub(super) fn revived(&mut self, uid: Uid, delta: &mut Delta) {
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
}

/// What a body of success says; one that cannot be read leaves the writes it answers in doubt.
fn maybe_applied(body: &Body) -> Result<Option<Value>> {
    body.decode().map_err(|error| error.applied(Applied::Maybe))
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
