//! What a program, or the user before it, decides about a pending change: sent again, as it was or edited; given up; mine or
//! theirs; known to be done.
//!
//! Owns these decisions and what they leave in table, outbox and storage. Sends nothing itself: it asks for a sync of the
//! one change.

use super::{
    Engine, Step, Steps,
    change::{Change, Removed, Standing, Theirs, difference},
    event::{Action, Event, EventKind},
    heard::{Layer, Said},
    policy::Verdict,
    step::{Cont, Settled, Ticket},
    sync::Mode,
    table::{Row, Uid},
};
use crate::{ChangeKind, Delta, Error, ErrorKind, Record, Result};

/// What becomes of a pending change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Decision {
    /// Sent again, with what was edited since.
    Retry,
    /// Sent with these values.
    Amend(Record),
    /// Given up: the item goes back to what the server last said, with its drafts.
    Discard,
    /// Of a conflict: what was changed here goes on top of the server's version and is sent.
    KeepMine,
    /// Of a conflict: the server's version stays.
    TakeTheirs,
    /// Of a change in doubt: the server has it, with these values where they are known.
    Confirm(Option<Record>),
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

impl Engine {
    /// Decides about a pending change. What is pending must be known: restore or read first.
    pub fn decide(&mut self, ticket: Ticket, uid: Uid, decision: Decision) -> Steps {
        if self.gate {
            // An acceptance is being stored; it may bring this change, or take it back.
            self.deferred.push(Cont::Decide(ticket, uid, Box::new(decision)));
            return Steps::new();
        }
        self.show_hidden();
        match self.decided(ticket, uid, decision) {
            Ok(steps) => steps,
            Err(error) => Steps::from([Step::Settle(ticket, Err(error.during("inbox")))]),
        }
    }

    fn decided(&mut self, ticket: Ticket, uid: Uid, decision: Decision) -> Result<Steps> {
        let pending = |change: &&Change| change.accepted.is_some() || change.sent.is_some();
        let Some(change) = self.change(uid).filter(pending) else {
            return Err(Error::new(ErrorKind::NotFound, "there is no pending change of this item"));
        };
        let queued = self.sync.as_ref().is_some_and(|run| run.queue.iter().any(|parcel| parcel.uids.contains(&uid)));
        if queued || change.sent.as_ref().is_some_and(|sent| sent.in_flight || !sent.in_doubt) {
            return Err(invalid("the change is being sent; wait for the sync"));
        }
        let doubt = change.sent.is_some();
        let failure = change.failure();
        let conflict = failure.filter(|failure| failure.verdict == Verdict::Conflict && !doubt);
        let theirs = conflict.map(|failure| failure.theirs.clone());
        match decision {
            Decision::Retry => Ok(self.request_sync(ticket, Mode::Only(uid))),
            Decision::Amend(record) => self.amend(ticket, uid, record),
            Decision::Discard => self.discard(ticket, uid),
            Decision::Confirm(record) if doubt => self.confirm(ticket, uid, record.as_ref()),
            Decision::Confirm(_) => Err(invalid("the change is not in doubt")),
            Decision::KeepMine => match theirs {
                None => Err(invalid("the change is not in conflict")),
                Some(Theirs::Unknown) => Ok(self.request_sync(ticket, Mode::Only(uid))),
                Some(Theirs::Gone) => self.make_anew(ticket, uid),
                Some(Theirs::Record(theirs)) => Ok(self.keep_mine(ticket, uid, &theirs)),
            },
            Decision::TakeTheirs => match theirs {
                None => Err(invalid("the change is not in conflict")),
                Some(Theirs::Unknown) => Err(invalid("what the server has is not known; read, or discard")),
                Some(theirs) => {
                    if let Some(change) = self.change_mut(uid) {
                        change.base = theirs.record().cloned();
                    }
                    self.discard(ticket, uid)
                }
            },
        }
    }

    /// Takes the change of a row out, wherever it is, with the row of one that is not shown.
    fn take_change(&mut self, uid: Uid) -> Option<(Place, Change)> {
        if let Some(change) = self.overlay.remove(&uid) {
            return Some((Place::Shown, change));
        }
        if let Some(Removed { row, change }) = self.removed.remove(uid) {
            return Some((Place::Removed(row), change));
        }
        let Removed { row, change } = self.parked.remove(uid)?;
        Some((Place::Parked(row), change))
    }

    fn discard(&mut self, ticket: Ticket, uid: Uid) -> Result<Steps> {
        let batch = self.change(uid).and_then(|change| change.sent.as_ref()?.batch);
        if batch.is_some_and(|batch| self.travel_together(batch) > 1) {
            return Err(invalid(
                "its outcome is unknown, and it can only be repeated together with the others of its request",
            ));
        }
        let Some((place, change)) = self.take_change(uid) else { return Ok(Steps::new()) };
        let mut delta = Delta::default();
        if self.options.offline_storage {
            let sent = change.sent.as_ref().map(|sent| (&sent.key, Layer::Sent));
            let accepted = change.accepted.as_ref().map(|accepted| (&accepted.key, Layer::Accepted));
            for (key, layer) in sent.into_iter().chain(accepted) {
                self.unstored.note(uid, key, Said::Withdrawn(layer));
            }
        }
        match (place, change.base) {
            (Place::Shown, Some(base)) => {
                if let Some(slot) = self.table.record_mut(uid) {
                    *slot = base;
                }
                self.keep_newness(uid);
                delta.put.extend(self.encode(uid));
            }
            (Place::Shown, None) => {
                self.forget(uid);
                self.total = self.total.map(|total| total.saturating_sub(1));
                self.meta_dirty |= self.groups.is_some();
                delta.delete.push(uid.0);
            }
            (Place::Removed(row), Some(base)) => {
                self.table.put_back(vec![Row { record: base, ..row }]);
                self.total = self.total.map(|total| total + 1);
                self.rebuild_groups();
                self.keep_newness(uid);
                delta.put.extend(self.encode(uid));
            }
            (Place::Removed(_), None) | (Place::Parked(_), _) => delta.delete.push(uid.0),
        }
        Ok(self.decided_and_stored(ticket, delta))
    }

    /// A row that the server sent looking new looks new again.
    pub(super) fn keep_newness(&mut self, uid: Uid) {
        let Some(record) = self.table.get(uid).map(|row| row.record.clone()) else { return };
        if self.looks_new(&record) {
            let change = Change { base: Some(record), looks_new: true, ..Change::default() };
            self.overlay.insert(uid, change);
        }
    }

    fn travel_together(&self, batch: u64) -> usize {
        let of_it = |change: &Change| change.sent.as_ref().is_some_and(|sent| sent.batch == Some(batch));
        self.all_changes().filter(|(_, change)| of_it(change)).count()
    }

    fn amend(&mut self, ticket: Ticket, uid: Uid, record: Record) -> Result<Steps> {
        let key = self.new_key();
        let order = self.order_of(uid);
        let shown = self.table.get(uid).map(|row| row.record.clone());
        let Some(change) = self.change_mut(uid) else { return Ok(Steps::new()) };
        if change.sent.is_some() {
            return Err(invalid("its outcome is unknown; an edit of the item follows it as a change of its own"));
        }
        let Some(accepted) = change.accepted.as_mut().filter(|own| own.kind != ChangeKind::Destroy) else {
            return Err(invalid("a removal has no values"));
        };
        if let Some(shown) = shown {
            for field in difference(&shown, &record) {
                change.note(&field);
            }
            if let Some(slot) = self.table.record_mut(uid) {
                *slot = record;
            }
            self.ids = None;
            self.touch();
            self.sort_in_place();
            let mut event = Event::new(EventKind::Change);
            event.action = Some(Action::ItemChange);
            event.items = self.items_of(&[uid]);
            let mut steps = Steps::from([Step::Emit(event)]);
            steps.extend(self.request_sync(ticket, Mode::Only(uid)));
            return Ok(steps);
        }
        // Its row is not shown: there is no draft to carry the values.
        if accepted.record != record {
            accepted.key = key;
        }
        accepted.record = record.clone();
        if let Some(offline) = &mut accepted.offline {
            offline.1 = record.clone();
        }
        if let Some(base) = &change.base {
            accepted.changed = difference(base, &record);
        }
        let change = change.clone();
        if let Some(parked) = self.parked.iter_mut().find(|parked| parked.row.uid == uid) {
            parked.row.record = record;
        }
        let mut delta = Delta::default();
        delta.put.extend(self.encode_layers(uid, order, &change));
        let mut steps = self.storage_steps(delta);
        steps.extend(self.request_sync(ticket, Mode::Only(uid)));
        Ok(steps)
    }

    fn keep_mine(&mut self, ticket: Ticket, uid: Uid, theirs: &Record) -> Steps {
        let Some((place, mut change)) = self.take_change(uid) else { return Steps::new() };
        let shown = match &place {
            Place::Shown => self.table.get(uid).map(|row| row.record.clone()),
            Place::Removed(row) | Place::Parked(row) => Some(row.record.clone()),
        };
        let shown = shown.unwrap_or_else(|| theirs.clone());
        let record = self.rebase(&mut change, &shown, theirs);
        if let Some(accepted) = &mut change.accepted {
            accepted.standing = Standing::Queued;
            accepted.failure = None;
            accepted.changed = difference(theirs, &accepted.record);
        }
        self.put_change_back(place, uid, record, change);
        self.stored_and_sent(ticket, uid)
    }

    /// The record is gone on the server, and is kept here: it is made anew.
    fn make_anew(&mut self, ticket: Ticket, uid: Uid) -> Result<Steps> {
        let key = self.new_key();
        let Some((place, mut change)) = self.take_change(uid) else { return Ok(Steps::new()) };
        let Some(accepted) = change.accepted.as_mut().filter(|own| own.kind != ChangeKind::Destroy) else {
            // Gone is what was wanted.
            self.put_change_back(place, uid, Record::new(), Change { base: None, ..change });
            return self.discard(ticket, uid);
        };
        accepted.kind = ChangeKind::Create;
        accepted.key = key;
        accepted.standing = Standing::Queued;
        accepted.failure = None;
        if let Some(offline) = &mut accepted.offline {
            offline.0 = ChangeKind::Create;
        }
        let record = accepted.record.clone();
        change.base = None;
        change.added = true;
        match place {
            Place::Shown => {
                self.overlay.insert(uid, change);
            }
            Place::Removed(row) | Place::Parked(row) => {
                let end = self.groups.as_ref().map_or(self.table.len(), Vec::len);
                self.insert_row(end, row.uid, record);
                self.overlay.insert(uid, change);
                self.total = self.total.map(|total| total + 1);
            }
        }
        Ok(self.stored_and_sent(ticket, uid))
    }

    fn put_change_back(&mut self, place: Place, uid: Uid, record: Record, change: Change) {
        match place {
            Place::Shown => {
                if let Some(slot) = self.table.record_mut(uid) {
                    *slot = record;
                }
                self.overlay.insert(uid, change);
            }
            Place::Removed(row) => self.removed.push(Removed { row: Row { record, ..row }, change }),
            Place::Parked(row) => self.parked.push(Removed { row: Row { record, ..row }, change }),
        }
    }

    /// The change of this row stands anew: stores and shows it, and sends it.
    fn stored_and_sent(&mut self, ticket: Ticket, uid: Uid) -> Steps {
        let mut delta = Delta::default();
        if let Some(change) = self.change(uid) {
            delta.put.extend(self.encode_layers(uid, self.order_of(uid), change));
        }
        let mut steps = self.storage_steps(delta);
        steps.push_back(Step::Emit(self.shown_anew()));
        steps.extend(self.request_sync(ticket, Mode::Only(uid)));
        steps
    }

    fn shown_anew(&mut self) -> Event {
        self.ids = None;
        self.touch();
        self.sort_in_place();
        let mut event = Event::new(EventKind::Change);
        event.items = self.view_items();
        event
    }

    /// The service has it after all: as if it had answered so.
    fn confirm(&mut self, ticket: Ticket, uid: Uid, record: Option<&Record>) -> Result<Steps> {
        let mut delta = Delta::default();
        let record = self.usable(uid, record.cloned())?;
        self.acknowledge(uid, &record, &mut delta);
        Ok(self.decided_and_stored(ticket, delta))
    }

    fn decided_and_stored(&mut self, ticket: Ticket, delta: Delta) -> Steps {
        let mut steps = Steps::from([Step::Emit(self.shown_anew())]);
        match self.commit(delta, Cont::Stored(Some(ticket))) {
            Some(step) => steps.push_back(step),
            None => steps.push_back(Step::Settle(ticket, Ok(Settled::Done))),
        }
        steps
    }
}

/// Where the row of a pending change is.
enum Place {
    Shown,
    Removed(Row),
    Parked(Row),
}
