//! A record that is shown twice becomes one: a read between a create and its answer may bring the created record as a row of
//! its own.
//!
//! Owns how the two rows, and what was changed about each, come together. Never decides what is sent.

use super::{
    Engine,
    change::{Change, carry_over, difference},
    table::Uid,
};
use crate::{Delta, Record};

impl Engine {
    /// A read between a create and its answer may have brought the created record as a row of its own: it gives way. Gives
    /// the row and what was changed about it meanwhile.
    pub(super) fn displace(
        &mut self,
        uid: Uid,
        record: &Record,
        delta: &mut Delta,
    ) -> Option<(Record, Option<Change>)> {
        let id = self.given_id(record)?;
        let other = self.find_id(&id).filter(|other| *other != uid)?;
        if self.overlay.get(&other).is_some_and(|change| change.sent.is_some()) {
            // Its own request is on its way; the answer to that brings the two together.
            self.twins.push((uid, other));
            return None;
        }
        let row = self.table.get(other)?.record.clone();
        let change = self.overlay.remove(&other);
        self.forget(other);
        self.total = self.total.map(|total| total.saturating_sub(1));
        self.meta_dirty |= self.groups.is_some();
        delta.delete.push(other.0);
        Some((row, change))
    }

    /// The second row of a record shown twice was answered: the first takes over what it shows and what is left of its
    /// change. Gives whether it did.
    pub(super) fn become_one(&mut self, first: Uid, second: Uid, record: &Record, delta: &mut Delta) -> bool {
        let waits = self.change(first).is_some_and(|change| change.sent.is_some());
        let (Some(_), Some(row), false) = (self.table.get(first), self.table.get(second), waits) else {
            return false;
        };
        let row = row.record.clone();
        let twin = self.overlay.remove(&second);
        self.forget(second);
        self.total = self.total.map(|total| total.saturating_sub(1));
        self.meta_dirty |= self.groups.is_some();
        delta.delete.push(second.0);
        self.merge_twin(first, record, &row, twin);
        if self.overlay.get(&first).is_some_and(Change::is_idle) {
            self.overlay.remove(&first);
        }
        if self.change(first).is_some_and(|change| change.accepted.is_some())
            && let Some(run) = &mut self.sync
        {
            run.follow.push(first);
        }
        match self.change(first).cloned() {
            Some(change) => delta.put.extend(self.encode_layers(first, self.order_of(first), &change)),
            None => delta.put.extend(self.encode(first)),
        }
        true
    }

    /// Puts what is newest under a row, and what was changed about its twin on top of it.
    pub(super) fn merge_twin(&mut self, uid: Uid, newest: &Record, row: &Record, twin: Option<Change>) {
        let Some(shown) = self.table.get(uid).map(|row| row.record.clone()) else { return };
        let mut change =
            self.overlay.remove(&uid).unwrap_or_else(|| Change { base: Some(shown.clone()), ..Change::default() });
        if change.base.as_ref() != Some(newest) {
            let now = self.rebase(&mut change, &shown, newest);
            if let Some(slot) = self.table.record_mut(uid) {
                *slot = now;
            }
        }
        self.overlay.insert(uid, change);
        if let Some(twin) = twin {
            self.take_over(uid, newest, row, twin);
        }
    }

    /// What was changed about the other row of the same record goes on top of this one. `record`: what the server just said.
    fn take_over(&mut self, uid: Uid, record: &Record, row: &Record, twin: Change) {
        let Some(was) = twin.base else { return };
        let key = self.new_key();
        let Some(shown) = self.table.get(uid).map(|row| row.record.clone()) else { return };
        let shown = carry_over(&was, row, &shown);
        let change = self.overlay.entry(uid).or_default();
        change.base.get_or_insert_with(|| record.clone());
        if let Some(mut accepted) = twin.accepted {
            let below = change.accepted.as_ref().map_or(record, |own| &own.record);
            accepted.rebase(&was, None, below, key.clone());
            // Another record than the one that the key was made for.
            accepted.key = key;
            accepted.changed = difference(record, &accepted.record);
            if accepted.offline.is_none() {
                accepted.offline = change.accepted.take().and_then(|own| own.offline);
            }
            change.accepted = Some(accepted);
        }
        let below = change.below().cloned().unwrap_or_else(|| record.clone());
        change.draft = shown != below;
        change.changed = difference(record, &shown);
        change.dirty = change.draft || change.accepted.is_some();
        for field in twin.fields {
            if !change.fields.contains(&field) {
                change.fields.push(field);
            }
        }
        if let Some(slot) = self.table.record_mut(uid) {
            *slot = shown;
        }
    }
}
