//! Fresh rows under pending changes (G4): what an answer brings goes into the table, what is pending goes on top of it.
//!
//! Owns how rows and changes find each other, and what becomes of a change whose row is not there. When a read is made, and
//! what is stored of it, is said in `read`.

use super::{
    Engine,
    change::{Change, Removed, Standing, carry_over_both, difference},
    groups::{GroupItems, GroupNode},
    identity::{Identities, is_made_here},
    table::{Row, RowRef, Uid},
};
use crate::{ChangeKind, ReadAnswer, Record, ServerGroup, ServerItems, Text, record::Cell};
use std::collections::HashMap;

/// Order keys of changes whose rows are not shown start here.
const PARKED: u64 = 1 << 52;

impl Engine {
    pub(crate) fn take_fresh(&mut self, answer: ReadAnswer) {
        let mut named = self.named();
        let kept = self.pending();
        for (_, Removed { row, change }) in &kept {
            let id = change.base.as_ref().and_then(|base| self.id_of(base));
            named.extend(id.map(|id| (id.to_text(), row.uid)));
        }
        self.overlay.clear();
        self.removed.clear();
        self.parked.clear();
        self.appended.clear();
        self.ids = None;
        let whole = self.reads_whole();
        let (records, tree) = Self::flatten(answer);
        let first = self.reserve(records.len());
        let mut uids: Vec<Uid> = Vec::new();
        if !named.is_empty() {
            let new = (first..).map(Uid).zip(&records);
            uids = new
                .map(|(uid, record)| self.id_of(record).and_then(|id| named.remove(&id.to_text())).unwrap_or(uid))
                .collect();
        }
        let uid_at = |at: usize| uids.get(at).copied().unwrap_or(Uid(first + at as u64));
        let looks_new = self.newness();
        for (at, record) in records.iter().enumerate() {
            if looks_new(record) {
                let change = Change { base: Some(record.clone()), looks_new: true, ..Change::default() };
                self.overlay.insert(uid_at(at), change);
            }
        }
        self.groups = tree.map(|groups| with_identities(groups, &mut (0..records.len()).map(uid_at)));
        self.pristine_groups.clone_from(&self.groups);
        if uids.is_empty() {
            self.table.load(records, first);
        } else {
            self.table.load_as(records, &uids);
        }
        self.fresh_rows = self.options.offline_storage;
        if !kept.is_empty() {
            self.lay_on_top(kept, whole);
        }
        self.forget_names();
        self.refill = Identities::default();
        self.note_order();
        self.touch();
    }

    /// Rows that keep their identity over a read, by id: those of which another program may hold an edit that it knows by this
    /// identity only. Items that were made here, and all where programs have met.
    fn named(&self) -> HashMap<Text, Uid> {
        if !self.options.offline_storage {
            return HashMap::new();
        }
        let shown = self.table.rows().map(|row| (row.uid, row.record, self.overlay.get(&row.uid)));
        let hidden = self.hidden.iter().flat_map(|hidden| hidden.rows.iter());
        let hidden = hidden.map(|(row, change)| (row.uid, &row.record, change.as_deref()));
        let gone = self.removed.iter().chain(self.parked.iter());
        let gone = gone.map(|gone| (gone.row.uid, &gone.row.record, Some(&gone.change)));
        let made = shown.chain(hidden).chain(gone).filter(|(uid, ..)| self.names.lasting || is_made_here(*uid));
        made.filter_map(|(uid, record, change)| {
            let known = change.map_or(Some(record), |change| change.base.as_ref())?;
            Some((self.given_id(known)?.to_text(), uid))
        })
        .collect()
    }

    /// The changes that a read must keep: accepted ones with a storage, and whatever is under way. With their positions.
    fn pending(&mut self) -> Vec<(Option<usize>, Removed)> {
        let keep = |change: &Change| {
            change.in_flight() || self.options.offline_storage && (change.accepted.is_some() || change.sent.is_some())
        };
        let mut out = Vec::new();
        for (at, row) in self.table.rows().enumerate() {
            if let Some(change) = self.overlay.get(&row.uid).filter(|change| keep(change)) {
                out.push((Some(at), Removed { row: row.to_row(), change: change.clone() }));
            }
        }
        out.extend(self.removed.iter().filter(|removed| keep(&removed.change)).map(|removed| (None, removed.clone())));
        out.extend(self.parked.iter().map(|parked| (None, parked.clone())));
        if let Some(mut hidden) = self.hidden.take() {
            for (at, (row, change)) in hidden.rows.into_iter().enumerate() {
                if let Some(change) = change.filter(|change| change.accepted.is_some() || change.sent.is_some()) {
                    out.push((Some(at), Removed { row, change: *change }));
                }
            }
            out.extend(hidden.removed.take().map(|(_, removed)| (None, removed)));
        }
        out
    }

    pub(crate) fn lay_on_top(&mut self, kept: Vec<(Option<usize>, Removed)>, whole: bool) {
        let mut creates = Vec::new();
        let now = self.env.now();
        for (at, Removed { row, mut change }) in kept {
            // Drafts are dropped; what is accepted or on its way is what the row shows.
            change.draft = false;
            change.fields.clear();
            if let Some(sent) = &mut change.sent {
                sent.read_since = true;
            }
            let kind = change
                .accepted
                .as_ref()
                .map(|accepted| accepted.kind)
                .or(change.sent.as_ref().map(|sent| sent.kind))
                .unwrap_or(ChangeKind::Update);
            change.dirty = kind != ChangeKind::Destroy;
            let record = change.below().cloned().unwrap_or_else(|| row.record.clone());
            let row = Row { record, ..row };
            if change.base.is_none() && change.is_new() {
                self.hide_twin(&change);
                if kind == ChangeKind::Destroy {
                    self.removed.push(Removed { row, change });
                } else {
                    creates.push((at, Removed { row, change }));
                }
                continue;
            }
            let id = change.base.as_ref().and_then(|base| self.id_of(base)).or_else(|| self.id_of(&row.record));
            let fresh = id.as_ref().and_then(|id| self.find_id(id));
            match (fresh.and_then(|uid| self.table.get(uid).map(RowRef::to_row)), kind) {
                (Some(fresh), ChangeKind::Destroy) => {
                    self.forget(fresh.uid);
                    change.base = Some(fresh.record);
                    self.removed.push(Removed { row: Row { order: fresh.order, ..row }, change });
                    self.total = self.total.map(|total| total.saturating_sub(1));
                }
                (Some(fresh), _) => {
                    let record = self.rebase(&mut change, &row.record, &fresh.record);
                    self.rename(fresh.uid, row.uid, record);
                    self.overlay.remove(&fresh.uid);
                    self.overlay.insert(row.uid, change);
                }
                (None, ChangeKind::Destroy) => self.removed.push(Removed { row, change }),
                (None, _) => {
                    if whole
                        && change.sent.is_none()
                        && let Some(accepted) = &mut change.accepted
                    {
                        accepted.standing = Standing::Quarantined;
                        accepted.failure = Some(super::change::Failure {
                            message: "conflict: the record is gone on the server".to_owned(),
                            verdict: super::policy::Verdict::Conflict,
                            at: Some(now),
                            theirs: super::change::Theirs::Gone,
                            ..super::change::Failure::default()
                        });
                    }
                    // Behind all rows.
                    let order = PARKED + self.parked.len() as u64;
                    self.parked.push(Removed { row: Row { order, ..row }, change });
                }
            }
        }
        creates.sort_by_key(|(at, _)| at.unwrap_or(usize::MAX));
        for (at, Removed { row, change }) in creates {
            self.insert_row(at.unwrap_or(usize::MAX), row.uid, row.record);
            self.overlay.insert(row.uid, change);
            self.total = self.total.map(|total| total + 1);
        }
    }

    /// A create that was sent and not answered may be what the service shows already: one of the two is enough, and the
    /// answer to the create will bring them together.
    fn hide_twin(&mut self, change: &Change) {
        let (Some(field), Some(sent)) = (&self.options.natural_key, &change.sent) else { return };
        let Some(name) = sent.record.get(field).filter(|name| !name.is_null()) else { return };
        let twin = self.table.rows().find(|row| row.record.cell(field).same(Cell::from(name))).map(|row| row.uid);
        if let Some(twin) = twin.filter(|uid| !self.overlay.contains_key(uid)) {
            self.forget(twin);
            self.total = self.total.map(|total| total.saturating_sub(1));
        }
    }

    /// Re-applies what was changed since the old base on a new one. Gives what the row shows.
    pub(super) fn rebase(&self, change: &mut Change, shown: &Record, fresh: &Record) -> Record {
        if let (Some(sent), Some(accepted)) = (&change.sent, &change.accepted)
            && sent.is_of(accepted)
        {
            // On its way as it is: the answer will say what becomes of it.
            change.base = Some(fresh.clone());
            return shown.clone();
        }
        let was = change.base.clone();
        let sent = change.sent.as_ref().map(|sent| sent.record.clone());
        let over = |now: &Record, changed: &[Text]| {
            if let Some(was) = &was {
                carry_over_both(was, sent.as_ref(), now, fresh)
            } else {
                // No base is known (imported from Kendo): the fields that were changed win, all if that is not known.
                let mut out = fresh.clone();
                for name in changed {
                    if let Some(value) = now.get(name) {
                        out.set(name, value.clone());
                    }
                }
                out
            }
        };
        let changed = change.accepted.as_ref().map(|accepted| accepted.changed.clone()).unwrap_or_default();
        let record = over(shown, &changed);
        let key = self.new_key();
        if let Some(accepted) = &mut change.accepted {
            let values = over(&accepted.record, &changed);
            if values != accepted.record {
                // Another body is another request.
                accepted.key = key;
                if let Some(offline) = &mut accepted.offline {
                    offline.1 = over(&offline.1, &changed);
                }
            }
            accepted.record = values;
        }
        change.changed = difference(fresh, &record);
        change.base = Some(fresh.clone());
        record
    }

    fn flatten(answer: ReadAnswer) -> (Vec<Record>, Option<Vec<ServerGroup>>) {
        match answer.groups {
            None => (answer.rows, None),
            Some(groups) => {
                fn walk(groups: &[ServerGroup], out: &mut Vec<Record>) {
                    for group in groups {
                        match &group.items {
                            ServerItems::Groups(inner) => walk(inner, out),
                            ServerItems::Rows(rows) => out.extend(rows.iter().cloned()),
                        }
                    }
                }
                let mut records = Vec::new();
                walk(&groups, &mut records);
                (records, Some(groups))
            }
        }
    }
}

fn with_identities(groups: Vec<ServerGroup>, ids: &mut impl Iterator<Item = Uid>) -> Vec<GroupNode> {
    groups
        .into_iter()
        .map(|group| GroupNode {
            head: group.head,
            items: match group.items {
                ServerItems::Groups(inner) => GroupItems::Groups(with_identities(inner, ids)),
                ServerItems::Rows(rows) => GroupItems::Rows(ids.by_ref().take(rows.len()).collect()),
            },
        })
        .collect()
}
