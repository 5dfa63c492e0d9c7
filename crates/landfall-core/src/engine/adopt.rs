//! Meeting another program's commits on the same key (G10), and drafts made before anything was loaded.
//!
//! The other's state goes underneath, what was changed here stays on top, field by field.

use super::{
    Engine,
    change::{Change, Removed, carry_over},
    restore::Restored,
    table::{Row, Uid},
};
use crate::{ChangeKind, Record, Result, StoredState};
use std::collections::HashMap;

impl Engine {
    /// The commit of these steps found somebody else's revision: loads, merges, commits again. Give the loaded state.
    ///
    /// # Errors
    /// The error of the load, to be told to every waiting step through [`committed`](Self::committed).
    pub fn stale(&mut self, state: Result<StoredState>) -> Result<crate::Delta> {
        let state = state?;
        let restored = self.decode(&state)?;
        self.revision = state.revision;
        self.loaded = true;
        self.hidden = None;
        if state.rows.is_empty() && state.meta.is_none() {
            // The key was deleted, which says nothing about the rows: what is here is stored anew, as Kendo does.
            self.snapshot_needed = false;
            self.meta_dirty = false;
            return Ok(self.snapshot());
        }
        self.avoid(&restored);
        if self.fresh_rows {
            self.lay_theirs_on_top(restored);
        } else {
            self.lay_drafts_over(restored, true);
        }
        self.touch();
        self.snapshot_needed = false;
        self.meta_dirty = false;
        Ok(self.snapshot())
    }

    /// The rows here were read from the server just now and are newer than the stored ones: they stay, and of the other
    /// program's state its pending changes go on top of them.
    fn lay_theirs_on_top(&mut self, mut restored: Restored) {
        let unknown = |uid: Uid| self.change(uid).is_none();
        let rows = restored.rows.into_iter().enumerate().filter_map(|(at, (row, change))| {
            let change = change.filter(|change| change.accepted.is_some() || change.sent.is_some())?;
            unknown(row.uid).then_some((Some(at), Removed { row, change: *change }))
        });
        let removed =
            restored.removed.take().map(|(_, gone)| gone).filter(|gone| unknown(gone.row.uid)).map(|gone| (None, gone));
        let theirs: Vec<(Option<usize>, Removed)> = rows.chain(removed).collect();
        if !theirs.is_empty() {
            self.lay_on_top(theirs, !self.options.server_paging && !self.options.server_filtering);
            self.rebuild_groups();
        }
    }

    /// Shows a restored state with everything that was changed here on top of it.
    /// `known`: what is pending here was stored before, as far as it does not say that it was not.
    pub(crate) fn lay_drafts_over(&mut self, restored: Restored, known: bool) {
        let ours: Vec<(bool, usize, Row, Change)> = {
            let table = &self.table;
            let mut rows: Vec<(bool, usize, Row, Change)> = self
                .overlay
                .iter()
                .filter_map(|(uid, change)| {
                    let at = table.position(*uid)?;
                    Some((true, at, table.at(at)?.to_row(), change.clone()))
                })
                .collect();
            rows.sort_by_key(|(_, at, ..)| *at);
            let gone = self.removed.take().chain(self.parked.take());
            rows.extend(gone.map(|(_, gone)| (false, usize::MAX, gone.row, gone.change)));
            rows
        };
        let theirs: HashMap<Uid, Option<Change>> = restored
            .rows
            .iter()
            .map(|(row, change)| (row.uid, change.as_deref().cloned()))
            .chain(restored.removed.iter().map(|gone| (gone.row.uid, Some(gone.change.clone()))))
            .collect();
        let total = self.total;
        self.show(restored);
        for (present, at, row, change) in ours {
            if change.accepted.as_ref().is_some_and(|accepted| accepted.unstored) {
                self.lay_accepted(present, at, row, change, &theirs);
            } else if known && (change.accepted.is_some() || change.sent.is_some() || !change.draft) {
                // It was stored, so what is stored now is newer, or the same; only a draft goes on top.
                self.lay_draft(present, at, &row, &change, &theirs);
            } else {
                self.lay_one(present, at, row, change, &theirs);
            }
        }
        if self.options.server_paging {
            self.total = total.or(self.total);
        } else {
            self.total = Some(self.groups.as_ref().map_or(self.table.len(), Vec::len));
        }
        self.rebuild_groups();
        self.ids = None;
        self.touch();
    }

    /// An acceptance whose commit met another program's: what it changed goes on top of what is stored now.
    fn lay_accepted(
        &mut self,
        present: bool,
        at: usize,
        row: Row,
        mut change: Change,
        theirs: &HashMap<Uid, Option<Change>>,
    ) {
        let uid = row.uid;
        let stored = self
            .table
            .get(uid)
            .map(|row| row.record.clone())
            .or_else(|| self.removed.get(uid).map(|gone| gone.row.record.clone()));
        let (Some(their_change), Some(stored)) = (theirs.get(&uid), stored) else {
            return self.lay_one(present, at, row, change, theirs);
        };
        let Some(accepted) = &mut change.accepted else { return };
        let frozen_now = change.sent.as_ref().is_some_and(|sent| !sent.in_doubt && !sent.in_flight);
        let before = accepted.before.clone().unwrap_or_else(|| stored.clone());
        let shown = carry_over(&before, &row.record, &stored);
        accepted.rebase(&before, None, &stored, self.new_key());
        accepted.before = Some(stored.clone());
        // The server knows it by now, or a create of it is on its way.
        let created = their_change.as_ref().is_none_or(|their| their.base.is_some() || their.sent.is_some());
        if created && accepted.kind == ChangeKind::Create {
            accepted.kind = ChangeKind::Update;
        }
        change.base = match their_change {
            None => Some(stored),
            Some(their) => their.base.clone(),
        };
        change.added = their_change.as_ref().is_some_and(|their| their.added);
        if let Some(sent) = their_change.as_ref().and_then(|their| their.sent.clone()) {
            change.sent = Some(sent);
        } else if frozen_now && let Some(sent) = &mut change.sent {
            sent.kind = accepted.kind;
            sent.record = accepted.record.clone();
            sent.key = accepted.key.clone();
        }
        self.put_over(present, at, Row { record: shown, ..row }, change);
    }

    /// A draft on top of what another program stored; nothing of it when that is all there is.
    fn lay_draft(
        &mut self,
        present: bool,
        at: usize,
        row: &Row,
        change: &Change,
        theirs: &HashMap<Uid, Option<Change>>,
    ) {
        let (true, Some(their_change)) = (change.draft, theirs.get(&row.uid)) else { return };
        let stored = self.table.get(row.uid).map(|row| row.record.clone());
        let record = match (change.below(), &stored) {
            (Some(below), Some(stored)) => carry_over(below, &row.record, stored),
            _ => row.record.clone(),
        };
        let mut next = their_change.clone().unwrap_or_else(|| Change { base: stored, ..Change::default() });
        next.draft = true;
        next.dirty |= change.dirty;
        next.fields.clone_from(&change.fields);
        next.changed.clone_from(&change.changed);
        self.put_over(present, at, Row { record, ..row.clone() }, next);
    }

    /// Puts a row of ours in place of theirs of the same identity.
    fn put_over(&mut self, present: bool, at: usize, row: Row, change: Change) {
        let uid = row.uid;
        self.removed.remove(uid);
        self.parked.remove(uid);
        if !present {
            self.forget(uid);
            self.removed.push(Removed { row, change });
            return;
        }
        match self.table.record_mut(uid) {
            Some(slot) => *slot = row.record,
            None => {
                self.insert_row(at, uid, row.record);
            }
        }
        self.overlay.insert(uid, change);
    }

    fn lay_one(
        &mut self,
        present: bool,
        at: usize,
        row: Row,
        mut change: Change,
        theirs: &HashMap<Uid, Option<Change>>,
    ) {
        let known = if theirs.contains_key(&row.uid) {
            Some(row.uid)
        } else {
            change.base.as_ref().and_then(|base| self.id_of(base)).and_then(|id| self.find_id(&id))
        };
        let Some(uid) = known else {
            // Theirs does not have it: a record of ours, or one that is gone there.
            if !present {
                self.removed.push(Removed { row, change });
            } else if change.base.is_none() || change.looks_new {
                self.insert_row(at, row.uid, row.record);
                self.overlay.insert(row.uid, change);
            } else {
                self.parked.push(Removed { row, change });
            }
            return;
        };
        let was = change.base.clone();
        let over = |now: &Record, their: &Record| match &was {
            Some(was) => carry_over(was, now, their),
            None => now.clone(),
        };
        let their_change = theirs.get(&uid).cloned().flatten();
        let their_record = self.table.get(uid).map(|row| row.record.clone());
        if let (Some(was), Some(their), Some(accepted)) = (&was, &their_record, &mut change.accepted) {
            accepted.rebase(was, change.sent.as_ref().map(|sent| &sent.record), their, self.new_key());
        }
        let their_base = their_change.and_then(|change| change.base);
        if let Some(base) = their_base.or_else(|| their_record.clone().filter(|_| was.is_some())) {
            change.base = Some(base);
        }
        if present {
            let record = match &their_record {
                Some(their) => over(&row.record, their),
                None => row.record.clone(),
            };
            self.removed.remove(uid);
            match self.table.record_mut(uid) {
                Some(slot) => *slot = record,
                None => {
                    self.insert_row(at, uid, record);
                }
            }
            if !change.is_idle() {
                self.overlay.insert(uid, change);
            }
        } else {
            self.forget(uid);
            self.removed.remove(uid);
            self.removed.push(Removed { row: Row { uid, ..row }, change });
        }
    }

    /// Replaces the rows as [`set_data`](Self::set_data) does: pending changes stay on top, removals stay (C38), but a removal
    /// that no sync has accepted gives way to a row that is given again.
    pub(crate) fn replace_rows(&mut self, records: Vec<Record>) {
        let drafts_gone: Vec<Removed> =
            self.removed.iter().filter(|gone| gone.change.accepted.is_none()).cloned().collect();
        self.from_store = false;
        self.total = Some(records.len());
        (self.elsewhere, self.filtered_total) = (0, false);
        let answer = crate::ReadAnswer { rows: records, ..crate::ReadAnswer::default() };
        self.take_fresh(answer);
        for gone in drafts_gone {
            let given_again = self.id_of(&gone.row.record).is_some_and(|id| self.find_id(&id).is_some());
            if !given_again && self.removed.get(gone.row.uid).is_none() {
                self.removed.push(gone);
            }
        }
    }
}
