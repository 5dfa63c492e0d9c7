//! Accepting drafts (DESIGN section 4): folds each draft into its change and, online, freezes the body that is about to be
//! sent, with its key.
//!
//! Owns what an acceptance writes and how it is undone when it could not be stored. Sends nothing.

use super::{
    Engine,
    change::{Accepted, Change, Sent, Standing, difference},
    gone::Gone,
    mark::Mark,
    step::Ticket,
    sync::{KINDS, Mode, Plan},
    table::Uid,
};
use crate::{ChangeKind, Delta, Operation, Record, Text};
use std::collections::HashSet;

impl Engine {
    /// The overlay's rows of the table in data order; while offline only those that an acceptance has something to do
    /// with, so that what is pending already costs nothing.
    pub(super) fn changed_rows(&mut self, online: bool) -> Vec<Uid> {
        let concerned = if online {
            self.overlay.keys().copied().collect()
        } else {
            self.overlay.touched(|change| {
                let never = change.accepted.is_none() && change.sent.is_none();
                let turned = change.accepted.as_ref().is_some_and(|accepted| accepted.offline.is_none());
                change.draft || never && change.is_new() || turned || change.is_idle()
            })
        };
        let mut rows: Vec<(usize, Uid)> =
            concerned.into_iter().filter_map(|uid| self.table.position(uid).map(|at| (at, uid))).collect();
        rows.sort_unstable();
        rows.into_iter().map(|(_, uid)| uid).collect()
    }

    /// Folds drafts into accepted changes and, online, freezes what is about to be sent. Gives what to store.
    pub(super) fn accept(&mut self, tickets: Vec<Ticket>, online: bool, mode: Mode) -> (Plan, Delta) {
        let batches = if online { self.wanted_batches(mode) } else { HashSet::new() };
        let mut plan = Plan { mode, batches, tickets, meetings: self.meetings, ..Plan::default() };
        self.taken_back.clear();
        let mut delta = Delta::default();
        let shared = (self.options.batch && online).then(|| self.random_number());
        // One mark at a time; without a storage there is nothing to be marked.
        let marks = online && self.options.offline_storage && self.mark.is_none() && self.held().is_none();
        let mut put = Vec::new();
        let changed = self.changed_rows(online);
        let mut overlay = std::mem::take(&mut self.overlay);
        for uid in changed {
            let (Some(row), Some(change)) = (self.table.get(uid), overlay.get_mut(&uid)) else { continue };
            if marks && change.is_stored_as_accepted() && !change.is_sent_as_loaded() && !change.goes_alone() {
                if self.freeze_wanted(uid, change, shared, &mut plan) {
                    plan.frozen.push(uid);
                }
                continue;
            }
            let record = row.record.clone();
            let before = change.clone();
            let kind = if change.is_new() && change.sent.is_none() { ChangeKind::Create } else { ChangeKind::Update };
            let mut touched = mode.accepts(uid) && self.accept_one(change, kind, &record, online);
            if online {
                touched |= self.freeze_wanted(uid, change, shared, &mut plan);
            }
            if touched {
                plan.stored += 1;
                plan.undo.push((uid, before));
                put.push(uid);
            }
            if change.is_idle() {
                overlay.remove(&uid);
            }
        }
        self.overlay = overlay;
        let mut removed = std::mem::take(&mut self.removed);
        for uid in changed_removals(&removed, online) {
            let Some(gone) = removed.get_mut(uid) else { continue };
            let as_stored = gone.change.is_stored_as_accepted() && !gone.change.is_sent_as_loaded();
            if marks && as_stored && !gone.change.goes_alone() {
                if self.freeze_wanted(uid, &mut gone.change, shared, &mut plan) {
                    plan.frozen.push(uid);
                }
                continue;
            }
            if gone.change.is_new() && gone.change.sent.is_none() && mode.accepts(uid) {
                // Created and removed without the server ever knowing: nothing is left.
                delta.delete.push(uid.0);
                self.dropping.push(gone.clone());
                let place = removed.place(uid);
                plan.dropped.extend(removed.remove(uid).map(|gone| (place, gone)));
                continue;
            }
            let before = gone.change.clone();
            let record = gone.row.record.clone();
            let mut touched =
                mode.accepts(uid) && self.accept_one(&mut gone.change, ChangeKind::Destroy, &record, online);
            if online {
                touched |= self.freeze_wanted(uid, &mut gone.change, shared, &mut plan);
            }
            if touched {
                plan.stored += 1;
                plan.undo.push((uid, before));
                put.push(uid);
            }
        }
        self.removed = removed;
        if online {
            let parked = self.parked.take();
            let mut kept = Gone::default();
            for (place, mut gone) in parked {
                let (uid, before) = (gone.row.uid, gone.change.clone());
                if self.freeze_wanted(uid, &mut gone.change, shared, &mut plan) {
                    plan.undo.push((uid, before));
                    put.push(uid);
                }
                kept.put(place, gone);
            }
            self.parked = kept;
        }
        let batches = self.name_batch(shared, &plan);
        if !plan.frozen.is_empty() {
            let ids = |uids: &[Uid]| uids.iter().map(|uid| self.names.stored(*uid)).collect();
            let lists = match shared {
                Some(_) => batches.iter().map(|(key, uids)| (Some(key.clone()), ids(uids))).collect(),
                None => vec![(None, ids(&plan.frozen))],
            };
            self.mark = Some(Mark { number: self.random_number(), batch: shared, lists });
            self.meta_dirty = true;
        }
        for uid in put {
            if let Some(change) = self.change(uid) {
                delta.put.extend(self.encode_layers(uid, self.order_of(uid), change));
            }
        }
        (plan, delta)
    }

    /// Gives the rows of each new request of several rows the key of that request. It follows from the keys of the
    /// changes, so that the same changes make the same request, and any other has another key. Gives the new requests:
    /// key and rows in their order.
    pub(super) fn name_batch(&mut self, batch: Option<u64>, plan: &Plan) -> Vec<(Text, Vec<Uid>)> {
        let mut out = Vec::new();
        let Some(batch) = batch else { return out };
        let at_once = self.options.offers.contains(Operation::Submit);
        let kinds = if at_once { KINDS.get(..1) } else { KINDS.get(..) };
        for kind in kinds.unwrap_or_default() {
            let ours: Vec<Uid> = plan
                .send
                .iter()
                .filter(|(of, _)| of == kind || at_once)
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
            out.push((key, ours));
        }
        out
    }

    /// Takes the draft of one row over into an accepted change. Gives whether anything changed.
    pub(super) fn accept_one(&self, change: &mut Change, kind: ChangeKind, record: &Record, online: bool) -> bool {
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
        let offline = match old {
            _ if !online => Some(Box::new((kind, record.clone()))),
            // What is on its way holds what was accepted offline before it, and cannot be taken back.
            Some(old) if old.offline.is_some() && change.sent.as_ref().is_some_and(|sent| sent.is_of(&old)) => {
                Some(Box::new((old.kind, old.record)))
            }
            old => old.and_then(|old| old.offline),
        };
        change.accepted = Some(Accepted {
            kind,
            record: record.clone(),
            key: known.unwrap_or_else(|| self.new_key()),
            changed,
            offline,
            standing: Standing::Queued,
            attempts: 0,
            failure: None,
            unstored: self.options.offline_storage,
            before,
        });
        true
    }

    /// Freezes what this sync is about to send, if it does and nothing holds the queue.
    fn freeze_wanted(&self, uid: Uid, change: &mut Change, batch: Option<u64>, plan: &mut Plan) -> bool {
        if !self.goes(uid, change, plan) {
            return false;
        }
        if self.held().is_some() {
            let kind = change.sent.as_ref().map(|sent| sent.kind);
            plan.held.extend(kind.or(change.accepted.as_ref().map(|own| own.kind)).map(|kind| (kind, uid)));
            return change.sent.is_none() && change.accepted.as_mut().is_some_and(|accepted| self.wait(accepted));
        }
        Self::freeze(uid, change, batch, plan)
    }

    /// Marks a change that waits because the queue does. Gives whether that is news.
    pub(super) fn wait(&self, accepted: &mut Accepted) -> bool {
        if accepted.standing != Standing::Queued {
            return false;
        }
        accepted.standing = Standing::Held;
        // Why it failed itself says more than why it waits.
        if accepted.failure.is_none() {
            accepted.failure = self.held_failure();
        }
        true
    }

    /// Freezes what is about to be sent. Gives whether the stored form changed.
    pub(super) fn freeze(uid: Uid, change: &mut Change, batch: Option<u64>, plan: &mut Plan) -> bool {
        if let Some(sent) = &mut change.sent {
            plan.send.push((sent.kind, uid));
            return std::mem::take(&mut sent.loaded);
        }
        let alone = change.goes_alone();
        let Some(accepted) = &change.accepted else { return false };
        // A request of several that holds one: another body than the change by itself, and so another key.
        let own = (alone && batch.is_some()).then(|| combined(&[&accepted.key]));
        // Its own also where a stored state gives several changes one key.
        let batch = own.as_deref().map(|key| number_of(key) ^ uid.0).or(batch);
        change.sent = Some(Sent {
            kind: accepted.kind,
            record: accepted.record.clone(),
            key: own.unwrap_or_else(|| accepted.key.clone()),
            changed: accepted.changed.clone(),
            in_doubt: false,
            in_flight: false,
            loaded: false,
            read_since: false,
            batch,
            place: 0,
            // The try is counted in the commit before it, so that a crash does not forget it.
            attempts: accepted.attempts.saturating_add(1),
            asked: 0,
            unknown: false,
            counted: true,
            together: false,
            failure: None,
        });
        plan.send.push((accepted.kind, uid));
        true
    }

    /// The acceptance could not be stored: everything is a draft again, as if `sync` had not been called. Not where a commit
    /// of everything was made meanwhile, which took another program's state in: that stored the acceptance on top of it, and
    /// what it says is on its way may have been sent by the other one.
    pub(super) fn undo(&mut self, plan: Plan) -> Vec<Ticket> {
        self.dropping.clear();
        self.meta_dirty = true;
        // A commit that was made meanwhile may speak of what is undone here.
        self.snapshot_needed |= plan.snapshot || !self.handed.is_empty();
        if plan.meetings != self.meetings {
            for uid in plan.undo.iter().map(|(uid, _)| *uid).chain(plan.frozen) {
                if let Some(sent) = self.change_mut(uid).and_then(|change| change.sent.as_mut()) {
                    sent.in_doubt = true;
                }
            }
            return plan.tickets;
        }
        let taken_back = std::mem::take(&mut self.taken_back);
        for (uid, before) in plan.undo {
            match self.change_mut(uid) {
                Some(change) if taken_back.contains(&uid) => change.sent = before.sent,
                _ if taken_back.contains(&uid) => {}
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
        if !plan.frozen.is_empty() {
            self.mark = None;
        }
        for uid in plan.frozen {
            if let Some(change) = self.change_mut(uid) {
                change.sent = None;
            }
        }
        for (place, dropped) in plan.dropped {
            self.removed.put(place, dropped);
        }
        plan.tickets
    }

    /// What was accepted is in the storage now.
    pub(super) fn is_stored(&mut self, plan: &Plan) {
        let dropped = std::mem::take(&mut self.dropping).into_iter().map(|gone| gone.row.uid);
        for uid in plan.undo.iter().map(|(uid, _)| *uid).chain(dropped) {
            if let Some(accepted) = self.change_mut(uid).and_then(|change| change.accepted.as_mut()) {
                accepted.unstored = false;
                accepted.before = None;
            }
        }
    }
}

/// The removals in their order; while offline only those that an acceptance has something to do with.
fn changed_removals(removed: &Gone, online: bool) -> Vec<Uid> {
    let settled = |change: &Change| {
        let removal = |accepted: &Accepted| accepted.kind == ChangeKind::Destroy && accepted.offline.is_some();
        change.is_stored_as_accepted() && change.accepted.as_ref().is_some_and(removal)
    };
    removed.iter().filter(|gone| online || !settled(&gone.change)).map(|gone| gone.row.uid).collect()
}

/// A number for the batch of one change, from the key of its request.
fn number_of(key: &str) -> u64 {
    key.get(..13).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
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
