//! Meeting another program's commits on the same key (G10), and drafts made before anything was loaded.
//!
//! The other's state goes underneath, what was changed here stays on top, field by field.

use super::{
    Engine,
    change::{Accepted, Change, Removed, Sent, carry_over},
    groups,
    identity::{Known, is_given},
    restore::Restored,
    table::{Row, RowRef, Uid},
};
use crate::{ChangeKind, Record, Result, StoredState, Text};
use std::collections::{HashMap, HashSet};

/// Something changed here, taken out of its place.
struct Own {
    /// In the table.
    present: bool,
    /// Among the removed.
    was_removed: bool,
    at: usize,
    row: Row,
    change: Change,
}

impl Engine {
    /// The commit of these steps found somebody else's revision: loads, merges, commits again. Give the loaded state.
    ///
    /// # Errors
    /// The error of the load, to be told to every waiting step through [`committed`](Self::committed).
    pub fn stale(&mut self, state: Result<StoredState>) -> Result<crate::Delta> {
        let state = state?;
        let mut restored = self.decode(&state)?;
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
        self.as_known_here(&mut restored);
        self.names.lasting = true;
        self.adopted = true;
        self.outdated = self.handed.len();
        // What the other program heard of the service since may be newer than rows that were read: what is stored stays, and
        // they are asked for again.
        // Not where the state was put there in Kendo's form, which says nothing about itself.
        let ours = state.rows.iter().all(|row| is_given(Uid(row.id)));
        if ours {
            self.stored_while_reading(&restored);
        }
        let older = self.fresh_rows && ours && self.reads.brought_rows() && self.differ(&restored);
        if self.fresh_rows && !older {
            self.lay_over_fresh(restored);
        } else {
            self.fresh_rows = false;
            self.lay_drafts_over(restored, true);
        }
        if older && self.reads.may_be_made_again() {
            self.reads.make_again();
        }
        self.say_again();
        self.touch();
        self.snapshot_needed = false;
        self.meta_dirty = false;
        Ok(self.laid_down())
    }

    /// Everything, with a note of what is accepted and stored by it.
    fn laid_down(&mut self) -> crate::Delta {
        let gone = self.removed.iter().map(|gone| (gone.row.uid, &gone.change));
        let all = self.overlay.iter().map(|(uid, change)| (*uid, change)).chain(gone);
        let laid = all.filter_map(|(uid, change)| {
            let accepted = change.accepted.as_ref().filter(|accepted| accepted.unstored)?;
            Some((uid, accepted.key.clone()))
        });
        self.laid = laid.collect();
        self.snapshot()
    }

    /// What is to be committed in place of a delta that was handed out: itself, or everything, where another program's state
    /// was taken in since.
    pub fn up_to_date(&mut self, delta: crate::Delta) -> crate::Delta {
        if self.outdated == 0 {
            return delta;
        }
        self.adopted = true;
        self.laid_down()
    }

    /// The service's records as a stored state has them, by id.
    fn records_in_state<'a>(&self, restored: &'a Restored) -> Vec<(Text, &'a Record)> {
        let shown = restored.rows.iter().map(|(row, change)| match change {
            Some(change) => change.base.as_ref(),
            None => Some(&row.record),
        });
        let gone = restored.removed.iter().map(|gone| gone.change.base.as_ref());
        shown.chain(gone).flatten().filter_map(|record| Some((self.given_id(record)?.to_text(), record))).collect()
    }

    /// The service's records as they are known here, by id.
    fn records_here(&self) -> Vec<(Text, &Record)> {
        let shown = self.table.rows().map(|row| match self.overlay.get(&row.uid) {
            Some(change) => change.base.as_ref(),
            None => Some(row.record),
        });
        let gone = self.removed.iter().map(|gone| gone.change.base.as_ref());
        shown.chain(gone).flatten().filter_map(|record| Some((self.given_id(record)?.to_text(), record))).collect()
    }

    /// The answer to a read that is under way may be older than what another program stored: what that one heard of the
    /// service since is kept, as an acknowledgement of our own is.
    fn stored_while_reading(&mut self, restored: &Restored) {
        if !self.reads.waits_for_answer() {
            return;
        }
        let theirs = self.records_in_state(restored);
        let ours: HashMap<Text, &Record> = self.records_here().into_iter().collect();
        let known: HashSet<&Text> = theirs.iter().map(|(id, _)| id).collect();
        let gone = ours.iter().filter(|(id, _)| self.reads_whole() && !known.contains(id));
        let gone = gone.map(|(_, record)| (ChangeKind::Destroy, (*record).clone()));
        let news = theirs.iter().filter_map(|(id, record)| match ours.get(id) {
            Some(own) if own == record => None,
            Some(_) => Some((ChangeKind::Update, (*record).clone())),
            None => Some((ChangeKind::Create, (*record).clone())),
        });
        let news: Vec<(ChangeKind, Record)> = gone.chain(news).collect();
        self.reads.heard(news);
    }

    /// Whether the rows here say something else of the service's records than a stored state does.
    fn differ(&self, restored: &Restored) -> bool {
        let theirs: HashMap<Text, &Record> = self.records_in_state(restored).into_iter().collect();
        let ours: HashMap<Text, &Record> = self.records_here().into_iter().collect();
        let whole = self.reads_whole();
        whole && ours.len() != theirs.len()
            || ours.iter().any(|(id, record)| theirs.get(id).map_or(whole, |other| other != record))
    }

    /// The rows here were read from the service just now and are newer than the stored ones: they stay. What is stored as
    /// pending goes on top of them, whoever stored it, as it is the last word on each change; and on top of that what is not
    /// stored yet.
    fn lay_over_fresh(&mut self, restored: Restored) {
        let flying = self.flying();
        let ours = self.take_ours();
        let there: HashSet<Uid> = restored.rows.iter().map(|(row, _)| row.uid).collect();
        for own in &ours {
            let (uid, base) = (own.row.uid, own.change.base.clone());
            match base {
                Some(base) if own.present => {
                    if let Some(slot) = self.table.record_mut(uid) {
                        *slot = base;
                    }
                    self.keep_newness(uid);
                }
                Some(base) if own.was_removed && there.contains(&uid) => {
                    self.table.put_back(vec![Row { record: base, ..own.row.clone() }]);
                    self.total = self.total.map(|total| total + 1);
                }
                None if own.present => {
                    self.forget(uid);
                    self.total = self.total.map(|total| total.saturating_sub(1));
                }
                _ => {}
            }
        }
        self.ids = None;
        self.name_fresh(&restored);
        let rows = restored.rows.into_iter().enumerate().filter_map(|(at, (row, change))| {
            let change = change.filter(|change| change.accepted.is_some() || change.sent.is_some())?;
            Some((Some(at), Removed { row, change: *change }))
        });
        let mut removed = restored.removed;
        let gone = removed.take().map(|(_, gone)| (None, gone));
        let theirs: Vec<(Option<usize>, Removed)> = rows.chain(gone).collect();
        self.lay_on_top(theirs, self.reads_whole());
        self.fly_on(flying);
        self.lay_ours(ours, true);
        self.rebuild_groups();
        self.ids = None;
    }

    /// A fresh row is the item that its record is stored as: a read may bring it while it is known here as not created yet.
    fn name_fresh(&mut self, restored: &Restored) {
        for (row, change) in &restored.rows {
            if self.table.get(row.uid).is_some() || self.gone(row.uid).is_some() {
                continue;
            }
            let record = change.as_ref().map_or(Some(&row.record), |change| change.base.as_ref());
            let fresh = record.and_then(|record| self.given_id(record)).and_then(|id| self.find_id(&id));
            if let Some(fresh) = fresh.and_then(|uid| self.table.get(uid)).map(RowRef::to_row) {
                self.rename(fresh.uid, row.uid, fresh.record);
            }
        }
    }

    /// Takes out everything that is changed here.
    fn take_ours(&mut self) -> Vec<Own> {
        let overlay = std::mem::take(&mut self.overlay);
        let table = &self.table;
        let mut ours: Vec<Own> = overlay
            .iter()
            .filter_map(|(uid, change)| {
                let at = table.position(*uid)?;
                Some(Own { present: true, was_removed: false, at, row: table.at(at)?.to_row(), change: change.clone() })
            })
            .collect();
        ours.sort_by_key(|own| own.at);
        let own = |(_, gone): (u64, Removed), was_removed| Own {
            present: false,
            was_removed,
            at: usize::MAX,
            row: gone.row,
            change: gone.change,
        };
        ours.extend(self.removed.take().map(|gone| own(gone, true)));
        ours.extend(self.parked.take().map(|gone| own(gone, false)));
        // An item that was made and removed here is one more removal, where another program made something of it.
        let dropping = self.dropping.clone().into_iter().map(|mut gone| {
            gone.change.accepted = Some(Accepted::removal(&gone.row.record, self.new_key()));
            // A sync has accepted it: no later one does so again.
            gone.change.draft = false;
            own((0, gone), true)
        });
        ours.extend(dropping);
        ours
    }

    /// Puts what was changed here on top of what is shown.
    /// `known`: what is pending here was stored before, as far as it does not say that it was not.
    fn lay_ours(&mut self, ours: Vec<Own>, known: bool) {
        for Own { present, at, row, change, .. } in ours {
            let pending = change.accepted.is_some() || change.sent.is_some();
            if change.accepted.as_ref().is_some_and(|accepted| accepted.unstored) {
                self.lay_accepted(present, at, row, change);
            } else if known && (pending || !change.draft) || !pending && self.known_change(row.uid).is_some() {
                // What is pending was stored, so what is stored now is newer, or the same; only a draft goes on top.
                self.lay_draft(present, at, &row, &change);
            } else {
                self.lay_one(present, at, row, change, known);
            }
        }
    }

    /// Gives the rows of a stored state the identities by which they are known here: by their stored ids first, then by the
    /// service's ids of their records, as a row that each program read has another identity in each.
    pub(super) fn as_known_here(&mut self, restored: &mut Restored) {
        // What is to be made anew has the id that it had before.
        let id = |record: &Record, change: Option<&Change>| {
            let base = change.and_then(|change| change.base.as_ref());
            self.given_id(base.unwrap_or(record)).map(|id| id.to_text())
        };
        let mut known = Known::default();
        for row in self.table.rows() {
            known.add(row.uid, id(row.record, self.overlay.get(&row.uid)));
        }
        for gone in self.removed.iter().chain(self.parked.iter()).chain(&self.dropping) {
            known.add(gone.row.uid, id(&gone.row.record, Some(&gone.change)));
        }
        let rows = restored.rows.iter().map(|(row, change)| (row, change.as_deref()));
        let gone = restored.removed.iter().map(|gone| (&gone.row, Some(&gone.change)));
        let by_name = self.ids_by_name(restored);
        let created = |change: Option<&Change>| {
            let sent = change.filter(|change| change.is_created_unheard())?.sent.as_ref()?;
            by_name.get(&name_in(&sent.record, self.options.natural_key.as_ref()?)?).cloned()
        };
        let ids = |(row, change): (&Row, _)| (row.uid, id(&row.record, change).or_else(|| created(change)));
        let theirs: Vec<_> = rows.chain(gone).map(ids).collect();
        let names = self.names.recognise(&theirs, &known, &mut self.identities);
        if names.is_empty() {
            return;
        }
        let rename = |row: &mut Row| row.uid = names.get(&row.uid).copied().unwrap_or(row.uid);
        restored.rows.iter_mut().for_each(|(row, _)| rename(row));
        let removed: Vec<(u64, Removed)> = restored.removed.take().collect();
        for (place, mut gone) in removed {
            rename(&mut gone.row);
            restored.removed.put(place, gone);
        }
        if let Some(groups) = &mut restored.groups {
            groups::rename_all(groups, &names);
        }
    }

    /// The service's ids of the records here by their natural keys, where another program has sent one of which it does not know
    /// an answer: a read may have brought it here. Nothing where there is no such record.
    fn ids_by_name(&self, restored: &Restored) -> HashMap<Text, Text> {
        let Some(field) = &self.options.natural_key else { return HashMap::new() };
        if !restored.rows.iter().any(|(_, change)| change.as_ref().is_some_and(|change| change.is_created_unheard())) {
            return HashMap::new();
        }
        let named = |record: &Record| Some((name_in(record, field)?, self.given_id(record)?.to_text()));
        self.table.rows().filter_map(|row| named(row.record)).collect()
    }

    /// Forgets by which ids items that are not here any more were stored.
    pub(super) fn forget_names(&mut self) {
        if self.names.is_empty() {
            return;
        }
        let mut names = std::mem::take(&mut self.names);
        // What was removed for good or answered may be met again until that is stored.
        let unstored: HashSet<Uid> =
            self.dropping.iter().map(|gone| gone.row.uid).chain(self.unstored.rows()).collect();
        names.keep(|uid| self.table.get(uid).is_some() || self.gone(uid).is_some() || unstored.contains(&uid));
        self.names = names;
    }

    /// What is known about a row of this identity: nothing, that it is there, or how it is changed.
    #[expect(clippy::option_option, reason = "not there, there as it was, there and changed")]
    fn known_change(&self, uid: Uid) -> Option<Option<Change>> {
        if self.table.get(uid).is_some() {
            return Some(self.overlay.get(&uid).cloned());
        }
        self.gone(uid).map(|gone| Some(gone.change.clone()))
    }

    /// Shows a restored state with everything that was changed here on top of it.
    /// `known`: as in [`lay_ours`](Self::lay_ours).
    pub(crate) fn lay_drafts_over(&mut self, restored: Restored, known: bool) {
        let flying = self.flying();
        let ours = self.take_ours();
        let total = self.total;
        self.show(restored);
        self.fly_on(flying);
        self.lay_ours(ours, known);
        if self.options.server_paging {
            self.total = total.or(self.total);
        } else {
            self.total = Some(self.groups.as_ref().map_or(self.table.len(), Vec::len));
        }
        self.rebuild_groups();
        self.ids = None;
        self.touch();
    }

    /// Requests under way stay so, unless somebody else has settled what they are about: then nobody waits for their answers.
    /// The other program may send them as well by now, so that whatever this one hears of its own try, they are in doubt.
    pub(crate) fn fly_on(&mut self, flying: Vec<(Uid, Sent)>) {
        let storage = self.options.offline_storage;
        for (uid, sent) in flying {
            if let Some(change) = self.change_mut(uid)
                && (!storage || change.sent.as_ref().is_some_and(|other| other.key == sent.key))
            {
                change.sent = Some(Sent { in_doubt: true, ..sent });
            }
        }
    }

    /// An acceptance whose commit met another program's: what it changed goes on top of what is stored now.
    fn lay_accepted(&mut self, present: bool, at: usize, row: Row, mut change: Change) {
        let uid = row.uid;
        let stored = self
            .table
            .get(uid)
            .map(|row| row.record.clone())
            .or_else(|| self.gone(uid).map(|gone| gone.row.record.clone()));
        let (Some(their_change), Some(stored)) = (self.known_change(uid), stored) else {
            let never = change.accepted.as_ref().is_some_and(|accepted| accepted.kind == ChangeKind::Destroy);
            if never && change.base.is_none() {
                return;
            }
            return self.lay_one(present, at, row, change, true);
        };
        let Some(accepted) = &mut change.accepted else { return };
        let frozen_now = change.sent.as_ref().is_some_and(|sent| !sent.in_doubt && !sent.in_flight);
        let before = accepted.before.clone().unwrap_or_else(|| without(&row.record, &accepted.changed));
        let shown = carry_over(&before, &row.record, &stored);
        accepted.rebase(&before, None, &stored, self.new_key());
        accepted.before = Some(stored.clone());
        // The server knows it by now, or a create of it is on its way.
        let created = their_change.as_ref().is_none_or(|their| their.base.is_some() || their.sent.is_some());
        accepted.kind = match accepted.kind {
            ChangeKind::Create if created => ChangeKind::Update,
            // The try that it was to follow was given up.
            ChangeKind::Update if !created => ChangeKind::Create,
            ChangeKind::Destroy if !created => {
                self.forget(uid);
                self.removed.remove(uid);
                return;
            }
            kind => kind,
        };
        if accepted.offline.is_none() {
            // Cancelling takes back what was accepted here, not what the other one accepted.
            let theirs = their_change.as_ref().and_then(|their| their.accepted.as_ref());
            accepted.offline = theirs.map(|theirs| Box::new((theirs.kind, theirs.record.clone())));
        }
        change.base = match &their_change {
            None => Some(stored),
            Some(their) => their.base.clone(),
        };
        change.added = their_change.as_ref().is_some_and(|their| their.added);
        if let Some(sent) = their_change.as_ref().and_then(|their| their.sent.clone()) {
            change.sent = Some(sent);
        } else if !frozen_now || change.sent.as_ref().is_some_and(|sent| !sent.is_of(accepted)) {
            // Settled by the other; or another body than the one that was frozen, which goes after this, with a key of its own.
            change.sent = None;
        }
        self.put_over(present, at, Row { record: shown, ..row }, change);
    }

    /// A draft on top of what another program stored; nothing of it when that is all there is.
    fn lay_draft(&mut self, present: bool, at: usize, row: &Row, change: &Change) {
        if !change.draft {
            return;
        }
        let Some(their_change) = self.known_change(row.uid) else {
            if present {
                self.lay_lone_draft(at, row, change);
            }
            return;
        };
        let shown = self.table.get(row.uid).map(|row| row.record.clone());
        let stored = shown.or_else(|| self.gone(row.uid).map(|gone| gone.row.record.clone()));
        let record = match &stored {
            Some(stored) => {
                let below = change.below().cloned().unwrap_or_else(|| without(&row.record, &change.changed));
                carry_over(&below, &row.record, stored)
            }
            None => row.record.clone(),
        };
        let mut next = their_change.unwrap_or_else(|| Change { base: stored, ..Change::default() });
        next.draft = true;
        next.dirty |= change.dirty;
        next.fields.clone_from(&change.fields);
        next.changed.clone_from(&change.changed);
        self.put_over(present, at, Row { record, ..row.clone() }, next);
    }

    /// A draft of a record that another program removed: one of a record that the service never had makes it anew; of
    /// another one, nothing is stored until it is accepted, and then it is a conflict.
    fn lay_lone_draft(&mut self, at: usize, row: &Row, change: &Change) {
        let added = change.base.is_none();
        let change = Change {
            base: change.base.clone(),
            draft: true,
            added,
            unlisted: !added,
            dirty: change.dirty,
            fields: change.fields.clone(),
            changed: change.changed.clone(),
            ..Change::default()
        };
        self.insert_row(at, row.uid, row.record.clone());
        self.overlay.insert(row.uid, change);
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

    fn lay_one(&mut self, present: bool, at: usize, row: Row, mut change: Change, stored: bool) {
        let known = if self.known_change(row.uid).is_some() {
            Some(row.uid)
        } else {
            change.base.as_ref().and_then(|base| self.id_of(base)).and_then(|id| self.find_id(&id))
        };
        let Some(uid) = known else {
            // Theirs does not have it: a record of ours, or one that is gone there.
            if stored
                && change.sent.take().is_some()
                && change.base.is_none()
                && let Some(accepted) = &mut change.accepted
            {
                // What was sent of it is settled: it is made anew.
                accepted.kind = ChangeKind::Create;
                change.added = true;
            }
            if !present && (change.accepted.is_some() || !stored) {
                self.removed.push(Removed { row, change });
            } else if !present {
                // Gone is what was wanted.
            } else if change.accepted.is_none() && change.sent.is_none() && change.base.is_some() && stored {
                self.lay_lone_draft(at, &row, &change);
            } else if change.base.is_none() || change.looks_new || change.draft {
                // A draft is to be seen until it is accepted.
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
        let their_change = self.known_change(uid).flatten();
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
        self.reads.given();
        for gone in drafts_gone {
            let given_again = self.id_of(&gone.row.record).is_some_and(|id| self.find_id(&id).is_some());
            if !given_again && self.removed.get(gone.row.uid).is_none() {
                self.removed.push(gone);
            }
        }
    }
}

/// What a record is called in this field.
fn name_in(record: &Record, field: &str) -> Option<Text> {
    Some(record.cell(field).to_value().filter(|name| !name.is_null())?.to_text())
}

/// A record without the members of which something was changed: as if that was new in them.
fn without(record: &Record, changed: &[Text]) -> Record {
    let is_in = |name: &str, path: &str| {
        path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let same = record.iter().filter(|(name, _)| !changed.iter().any(|path| is_in(name, path)));
    same.map(|(name, value)| (name, value.clone())).collect()
}
