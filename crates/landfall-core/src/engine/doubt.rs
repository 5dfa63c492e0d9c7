//! Doubt: settling a change whose outcome is unknown before anything else of its row is sent.
//!
//! By its key where the server honours keys; else by looking up what the server has; else by repeating it, or by asking.
//! Owns what a look-up means. Never looks anything up itself.

use super::{
    Engine, Step, Steps,
    change::{Change, Journey, Sent, Theirs, difference},
    options::Doubt,
    policy::Verdict,
    sync::{Mode, Parcel, Slot, SlotState},
    table::Uid,
};
use crate::{ChangeKind, Delta, Error, ErrorKind, Found, LookUp, OutgoingRow, Record, Result, Text};

/// What a look-up says of the change.
enum Said {
    Applied(Option<Record>),
    NotApplied,
    Conflict(Theirs),
    Nothing,
}

impl Engine {
    /// Whether somebody has to decide about this change: nobody knows, and it is not to be repeated blindly.
    pub(super) fn asks(&self, change: &Change) -> bool {
        let doubts = &self.options.doubts;
        let unknown = |sent: &Sent| sent.in_doubt && !sent.in_flight && (!doubts.looks_up || sent.unknown);
        doubts.otherwise == Doubt::Ask && !doubts.honours_keys && change.sent.as_ref().is_some_and(unknown)
    }

    /// What may be sent as it is; of a request in doubt the steps that settle it.
    pub(super) fn without_doubt(&mut self, parcel: Parcel, mode: Mode) -> Result<Parcel, Steps> {
        let in_doubt =
            |uid: &Uid| self.change(*uid).and_then(|change| change.sent.as_ref()).is_some_and(|s| s.in_doubt);
        let doubts = self.options.doubts;
        if doubts.honours_keys || !self.options.offline_storage || !parcel.uids.iter().any(in_doubt) {
            return Ok(parcel);
        }
        if doubts.looks_up {
            let mut steps = Steps::new();
            for uid in parcel.uids {
                steps.extend(self.look_up(uid));
            }
            steps.push_back(Step::Run(super::step::Then(super::step::Cont::SyncNext)));
            return Err(steps);
        }
        let decided = matches!(mode, Mode::Only(only) if parcel.uids.contains(&only));
        if doubts.otherwise == Doubt::Repeat || decided {
            return Ok(parcel);
        }
        let error = nobody_knows();
        let mut delta = Delta::default();
        let outcomes = parcel.uids.iter().filter_map(|uid| self.put_back(*uid, &error, &mut delta)).collect();
        Err(self.not_tried(parcel.uids, outcomes, delta))
    }

    /// A conflict whose other side the refusal did not show is looked up.
    pub(super) fn ask_for_theirs(&mut self, uids: &[Uid]) -> Steps {
        if !self.options.doubts.looks_up || !self.options.offline_storage {
            return Steps::new();
        }
        let unknown = |uid: &&Uid| {
            let accepted = self.change(**uid).and_then(|change| change.accepted.as_ref());
            accepted.is_some_and(|accepted| {
                let failure = accepted.failure.as_ref();
                accepted.kind != ChangeKind::Create
                    && failure.is_some_and(|own| {
                        own.verdict == Verdict::Conflict && own.theirs == Theirs::Unknown && !own.in_company()
                    })
            })
        };
        let unknown: Vec<Uid> = uids.iter().filter(unknown).copied().collect();
        unknown.into_iter().filter_map(|uid| self.look_up(uid)).collect()
    }

    fn look_up(&mut self, uid: Uid) -> Option<Step> {
        let model = self.options.schema.model();
        let source = |field: &Text| model.map_or_else(|| field.clone(), |model| Text::from(model.source_of(field)));
        let write = |record: &Record| model.map_or_else(|| record.clone(), |model| model.write(record.clone()));
        let change = self.change(uid)?;
        let (kind, record, changed, key) = match (&change.sent, &change.accepted) {
            (Some(sent), _) => (sent.kind, &sent.record, &sent.changed, &sent.key),
            (None, Some(accepted)) => (accepted.kind, &accepted.record, &accepted.changed, &accepted.key),
            (None, None) => return None,
        };
        let ask = LookUp {
            row: OutgoingRow {
                kind,
                id: self.id_of(record),
                changed: changed.iter().map(source).collect(),
                base: change.base.as_ref().map(write),
                record: write(record),
            },
            id_field: self.id_source(),
            natural_key: self.options.natural_key.as_ref().map(source),
            key: Some(key.clone()),
        };
        let id = self.next_number();
        let mut journey = Journey::default();
        if let Some(sent) = self.change_mut(uid).and_then(|change| change.sent.as_mut()) {
            sent.in_flight = true;
            journey = sent.journey();
        }
        let run = self.sync.as_mut()?;
        run.spent += 1;
        let (state, uids) = (SlotState::Sent, vec![uid]);
        run.push(Slot { id, operation: kind.into(), uids, journey, state, outcomes: Vec::new(), events: Vec::new() });
        Some(Step::LookUp(id, Box::new(ask)))
    }

    /// Takes what a look-up found.
    pub fn looked_up(&mut self, id: u64, found: Result<Found>) -> Steps {
        let Some(run) = self.sync.as_ref() else { return Steps::new() };
        let mode = run.mode;
        let slot = run.find(id).and_then(|at| Some((at, run.slots.get(at)?)));
        let Some((at, Some(uid), journey)) =
            slot.map(|(at, slot)| (at, slot.uids.first().copied(), slot.journey.clone()))
        else {
            return Steps::new();
        };
        let mut delta = Delta::default();
        if self.change(uid).and_then(|change| change.sent.as_ref()).is_some_and(|sent| !sent.is_on(&journey)) {
            // Another program has put another request in place of this one.
            return self.store_answer(at, delta);
        }
        let in_doubt = self.change_mut(uid).and_then(|change| change.sent.as_mut()).map(|sent| sent.in_flight = false);
        let outcome = if in_doubt.is_some() {
            self.settle_doubt(uid, found, mode, &mut delta)
        } else {
            self.note_theirs(uid, found, &mut delta);
            None
        };
        if let Some(slot) = self.slot(at) {
            slot.outcomes.extend(outcome);
        }
        self.store_answer(at, delta)
    }

    fn settle_doubt(
        &mut self,
        uid: Uid,
        found: Result<Found>,
        mode: Mode,
        delta: &mut Delta,
    ) -> Option<super::ChangeOutcome> {
        let said = match found {
            Ok(found) => self.said(uid, found),
            Err(error) => {
                // The doubt stays; a service that wants a login or a pause gets it.
                let error = error.during("look up");
                let kind = self.change(uid)?.sent.as_ref()?.kind;
                let of_queue = self.verdicts(uid, kind, &error).1;
                self.hold(of_queue, &error);
                let sent = self.change_mut(uid)?.sent.as_mut()?;
                sent.asked = sent.asked.saturating_add(1);
                let sent = sent.clone();
                let failure = self.failure(&error, Verdict::InDoubt, sent.attempts, &sent);
                return self.still_in_doubt(uid, &error, failure, delta);
            }
        };
        let (error, verdict, theirs) = match said {
            Said::Applied(record) => match self.usable(uid, record) {
                Ok(record) => return self.acknowledge(uid, &record, delta),
                Err(error) => return self.unknown(uid, &error, mode, delta),
            },
            Said::NotApplied => {
                let error = Error::new(ErrorKind::Transport, "it did not get through; it is sent again");
                (error, Verdict::Retry, None)
            }
            Said::Conflict(theirs) => {
                let words = "the outcome was unknown, and the server has another version by now";
                (Error::new(ErrorKind::Conflict, words), Verdict::Conflict, Some(theirs))
            }
            Said::Nothing => return self.unknown(uid, &nobody_knows(), mode, delta),
        };
        let outcome = self.fail_as(uid, &error, (verdict, verdict), theirs, delta);
        if verdict == Verdict::Retry {
            self.follow(uid);
            return None;
        }
        outcome
    }

    /// What a look-up found is laid beside what was sent.
    fn said(&self, uid: Uid, found: Found) -> Said {
        let Some(change) = self.change(uid) else { return Said::Nothing };
        let Some(sent) = &change.sent else { return Said::Nothing };
        let record = match found {
            Found::Unknown => return Said::Nothing,
            Found::Missing => {
                return match sent.kind {
                    ChangeKind::Create => Said::NotApplied,
                    ChangeKind::Update => Said::Conflict(Theirs::Gone),
                    ChangeKind::Destroy => Said::Applied(None),
                };
            }
            Found::Record(record) => record,
        };
        let Some(record) = self.as_read(record) else { return Said::Nothing };
        match sent.kind {
            ChangeKind::Create => Said::Applied(Some(record)),
            ChangeKind::Destroy => Said::NotApplied,
            ChangeKind::Update => {
                let changed = match &change.base {
                    Some(base) => difference(base, &sent.record),
                    None => sent.changed.clone(),
                };
                let is = |other: &Record| changed.iter().all(|name| record.get(name) == other.get(name));
                if is(&sent.record) {
                    Said::Applied(Some(record))
                } else if change.base.as_ref().is_some_and(is) {
                    Said::NotApplied
                } else {
                    Said::Conflict(Theirs::Record(record))
                }
            }
        }
    }

    /// A record in the server's form as the schema reads it.
    fn as_read(&self, record: Record) -> Option<Record> {
        let answer = self.options.schema.write_answer(Some(record.into())).ok()?;
        answer.rows?.into_iter().next()
    }

    /// Nobody could tell.
    fn unknown(&mut self, uid: Uid, error: &Error, mode: Mode, delta: &mut Delta) -> Option<super::ChangeOutcome> {
        let decided = mode == Mode::Only(uid);
        if self.options.doubts.otherwise == Doubt::Ask && !decided {
            let sent = self.change_mut(uid)?.sent.as_mut()?;
            sent.unknown = true;
            let mut failure = sent.failure.clone().unwrap_or_default();
            failure.verdict = Verdict::InDoubt;
            return self.still_in_doubt(uid, error, failure, delta);
        }
        let words = Error::new(ErrorKind::InDoubt, "nobody could tell whether it got through; it is repeated");
        self.fail_as(uid, &words, (Verdict::Retry, Verdict::Retry), None, delta);
        self.follow(uid);
        None
    }

    fn still_in_doubt(
        &mut self,
        uid: Uid,
        error: &Error,
        failure: super::Failure,
        delta: &mut Delta,
    ) -> Option<super::ChangeOutcome> {
        let order = self.order_of(uid);
        let change = self.change_mut(uid)?;
        let sent = change.sent.as_mut()?;
        sent.failure = Some(failure);
        let (kind, record) = (sent.kind, sent.record.clone());
        let change = change.clone();
        delta.put.extend(self.encode_layers(uid, order, &change));
        Some(super::ChangeOutcome { uid, kind, record, result: Err(error.clone()) })
    }

    fn note_theirs(&mut self, uid: Uid, found: Result<Found>, delta: &mut Delta) {
        let theirs = match found {
            Ok(Found::Missing) => Theirs::Gone,
            Ok(Found::Record(record)) => match self.as_read(record) {
                Some(record) => Theirs::Record(record),
                None => return,
            },
            Ok(Found::Unknown) | Err(_) => return,
        };
        let order = self.order_of(uid);
        let Some(change) = self.change_mut(uid) else { return };
        let failure = change.accepted.as_mut().and_then(|accepted| accepted.failure.as_mut());
        let Some(failure) = failure.filter(|failure| failure.verdict == Verdict::Conflict) else { return };
        failure.theirs = theirs;
        let change = change.clone();
        delta.put.extend(self.encode_layers(uid, order, &change));
    }

    fn follow(&mut self, uid: Uid) {
        if let Some(run) = &mut self.sync {
            run.follow.push(uid);
        }
    }
}

fn nobody_knows() -> Error {
    Error::new(ErrorKind::InDoubt, "nobody knows whether the server has applied it; decide in the inbox")
}
