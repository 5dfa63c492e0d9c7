//! Taking edits back, each layer on its own (reference 4.4; DESIGN section 8).

use super::{
    Engine, Step, Steps,
    change::{Accepted, Change, Removed, carry_over},
    event::{Action, Event, EventKind},
    groups::{self, GroupNode},
    heard::{Layer, Said},
    identity::Identities,
    table::{Row, RowRef, Uid},
};
use crate::{ChangeKind, Delta, Record, Result, Text};

/// What a row goes back to.
enum Back {
    /// These values.
    To(Record),
    /// Removed, as accepted.
    Gone,
    /// It was never there.
    Never,
}

impl Engine {
    /// Cancels all drafts and withdraws changes that were accepted online and failed. Changes accepted offline go back
    /// to their accepted values (R4.22, Q38), those accepted over another program's to that one's. What is on its way stays.
    ///
    /// # Errors
    /// None today.
    pub fn cancel_changes(&mut self) -> Result<Steps> {
        let mut delta = Delta::default();
        let (mut came, mut went) = (0, 0);
        let mut back = Vec::new();
        for (place, Removed { row, mut change }) in self.removed.take() {
            let (uid, order) = (row.uid, row.order);
            match self.back(uid, order, &mut change, &mut delta) {
                Back::To(record) => {
                    back.push(Row { record, ..row });
                    came += 1;
                    self.keep(uid, change, true);
                }
                Back::Gone => self.removed.put(place, Removed { row, change }),
                Back::Never => {}
            }
        }
        let mut uids: Vec<Uid> = self.overlay.keys().copied().collect();
        uids.sort_unstable();
        for uid in uids {
            let order = self.order_of(uid);
            let Some(mut change) = self.overlay.remove(&uid) else { continue };
            match self.back(uid, order, &mut change, &mut delta) {
                Back::To(record) => {
                    if let Some(slot) = self.table.record_mut(uid) {
                        *slot = record;
                    }
                    self.keep(uid, change, true);
                }
                Back::Gone => {
                    if let Some((_, row)) = self.table.remove(uid) {
                        went += 1;
                        self.removed.push(Removed { row, change });
                    }
                }
                Back::Never => {
                    went += 1;
                    self.table.remove(uid);
                    if let Some(groups) = &mut self.groups {
                        groups::remove(groups, uid);
                    }
                }
            }
        }
        self.table.put_back(back);
        if self.options.in_place_sort {
            // The order before the sorts in place is the one in which the rows came, or were stored.
            match &self.stored_order {
                Some(order) => self.table.order_like(order),
                None => self.table.order_by_age(),
            }
        }
        self.refill_all();
        let appended = std::mem::take(&mut self.appended);
        if self.groups.is_some() {
            self.groups.clone_from(&self.pristine_groups);
        }
        for uid in appended {
            self.table.move_to_end(uid);
            if let (Some(groups), Some(row)) = (&mut self.groups, self.table.get(uid)) {
                let own = GroupNode::around(self.state.group(), row.record, uid);
                groups::remove(groups, uid);
                groups.extend(own);
            }
        }
        self.rebuild_groups();
        self.ids = None;
        self.total = self.total.map(|total| (total + came).saturating_sub(went));
        self.touch();
        self.sort_in_place();
        // What was not stored leaves the storage as it is (R6.10).
        let mut steps = if delta.is_empty() { Steps::new() } else { self.storage_steps(delta) };
        let mut event = Event::new(EventKind::Change);
        event.items = self.view_items();
        steps.push_back(Step::Emit(event));
        if self.groups_on_server() {
            // The server's grouping may have moved on (R4.36).
            let params = Record::new();
            steps.extend(self.read(0, &params));
        }
        Ok(steps)
    }

    /// What a sync has stored is what cancelling goes back to, and as read from there: numbers and dates that a row lacks are
    /// null (R6.20).
    fn refill_all(&mut self) {
        let Some(model) = self.options.schema.model().filter(|_| self.refill != Identities::default()) else { return };
        let stored = |row: &RowRef<'_>| self.refill.are_after(row.uid);
        let lacking = |row: RowRef<'_>| model.filled(row.record).map(|record| (row.uid, record));
        let filled: Vec<(Uid, Record)> = self.table.rows().filter(stored).filter_map(lacking).collect();
        for (uid, record) in filled {
            // Written with the next commit, as all of Kendo's state is.
            self.snapshot_needed = true;
            if let Some(slot) = self.table.record_mut(uid) {
                *slot = record;
            }
            let Some(change) = self.overlay.get_mut(&uid).filter(|change| change.sent.is_none()) else { continue };
            let accepted = change.accepted.iter_mut().flat_map(|accepted| {
                let offline = accepted.offline.iter_mut().map(|offline| &mut offline.1);
                std::iter::once(&mut accepted.record).chain(offline)
            });
            for layer in change.base.iter_mut().chain(accepted) {
                if let Some(record) = model.filled(layer) {
                    *layer = record;
                }
            }
        }
    }

    /// Cancels the changes of one item (R4.24). A removed item is not brought back.
    ///
    /// # Errors
    /// None: an unknown item has no changes.
    pub fn cancel_changes_of(&mut self, uid: Uid) -> Result<Steps> {
        if self.table.get(uid).is_none() {
            return Ok(Steps::new());
        }
        if self.options.schema.model().is_none() {
            // Without a model there are no changes of a single item: all are cancelled (R4.22).
            return self.cancel_changes();
        }
        let Some(mut change) = self.overlay.remove(&uid) else { return Ok(Steps::new()) };
        self.settle_view();
        let mut delta = Delta::default();
        let order = self.order_of(uid);
        let steps = match self.back(uid, order, &mut change, &mut delta) {
            Back::To(record) => {
                let stored = self.refill.are_after(uid);
                let filled = self.options.schema.model().filter(|_| stored).and_then(|model| model.filled(&record));
                self.snapshot_needed |= filled.is_some();
                if let Some(slot) = self.table.record_mut(uid) {
                    *slot = filled.unwrap_or(record);
                }
                self.keep(uid, change, false);
                self.ids = None;
                Steps::new()
            }
            back @ (Back::Gone | Back::Never) => {
                let Some((mut at, row)) = self.table.remove(uid) else { return Ok(Steps::new()) };
                if let Some(groups) = &mut self.groups {
                    at = groups::place(groups, uid).unwrap_or(at);
                    groups::remove(groups, uid);
                    groups::prune(groups);
                    self.meta_dirty = true;
                }
                self.ids = None;
                let items = self.watch.then(|| vec![super::event::Item { uid, record: row.record.clone() }]);
                if matches!(back, Back::Gone) {
                    self.removed.push(Removed { row, change });
                }
                self.edited(Action::Remove, None, Some(at), items, 1)
            }
        };
        let mut out = if delta.is_empty() { Steps::new() } else { self.storage_steps(delta) };
        out.extend(steps);
        Ok(out)
    }

    /// Takes a change back that was taken back before, in a state that another program stored without knowing. What was edited on
    /// top of it stays.
    pub(super) fn take_back_again(&mut self, uid: Uid, key: &Text, layer: Layer) {
        let Some(change) = self.change_mut(uid) else { return };
        let is_it = match (layer, &change.sent, &change.accepted) {
            (Layer::Sent, Some(sent), _) => sent.key == *key && !sent.in_flight,
            (Layer::Sent, None, _) | (_, _, None) => false,
            // What the other program has sent since is on its way.
            (_, sent, Some(own)) => own.key == *key && !own.unstored && !sent.as_ref().is_some_and(|it| it.is_of(own)),
        };
        if !is_it {
            return;
        }
        let below = change.below().cloned();
        match layer {
            Layer::Online => {}
            Layer::Accepted => change.accepted.iter_mut().for_each(|accepted| accepted.offline = None),
            Layer::Sent => change.sent = None,
        }
        // All of it is stored by the commit that it is said for.
        let mut delta = Delta::default();
        let order = self.order_of(uid);
        if let Some(mut change) = self.overlay.remove(&uid) {
            let draft = change.clone();
            let back = self.back(uid, order, &mut change, &mut delta);
            let Some(row) = self.table.get(uid).map(RowRef::to_row) else { return };
            let record = match (back, below) {
                (Back::To(record), Some(below)) if draft.draft => carry_over(&below, &row.record, &record),
                (Back::To(record), _) => record,
                _ if draft.draft => row.record,
                (back, _) => {
                    self.forget(uid);
                    self.total = self.total.map(|total| total.saturating_sub(1));
                    if matches!(back, Back::Gone) {
                        self.removed.push(Removed { row, change });
                    }
                    return;
                }
            };
            if draft.draft {
                (change.draft, change.fields, change.changed) = (true, draft.fields, draft.changed);
            }
            if let Some(slot) = self.table.record_mut(uid) {
                *slot = record;
            }
            self.keep(uid, change, true);
            return;
        }
        let Some(Removed { row, mut change }) = self.removed.remove(uid) else {
            if layer != Layer::Online {
                self.parked.remove(uid);
            }
            return;
        };
        let draft = change.draft;
        match self.back(uid, order, &mut change, &mut delta) {
            Back::To(record) if !draft => {
                self.table.put_back(vec![Row { record, ..row }]);
                self.total = self.total.map(|total| total + 1);
                self.keep(uid, change, true);
            }
            Back::Never if !draft => {}
            _ => {
                change.draft = draft;
                self.removed.push(Removed { row, change });
            }
        }
    }

    /// Peels the layers that cancelling takes off.
    fn back(&mut self, uid: Uid, order: u64, change: &mut Change, delta: &mut Delta) -> Back {
        change.draft = false;
        change.fields.clear();
        change.changed.clear();
        if let Some(accepted) = change.accepted.take() {
            if change.sent.as_ref().is_some_and(|sent| sent.is_of(&accepted)) {
                // On its way as it is: the answer will say what becomes of it.
                let gone = accepted.kind == ChangeKind::Destroy;
                let record = accepted.record.clone();
                change.accepted = Some(accepted);
                return if gone { Back::Gone } else { Back::To(record) };
            }
            let stored_key = accepted.key.clone();
            if let Some(offline) = accepted.offline {
                let (kind, record) = (change.kind_now(offline.0, &offline.1), offline.1.clone());
                let as_it_was = accepted.kind == kind && accepted.record.same(&record);
                if let Some(base) = &change.base {
                    change.changed = super::change::difference(base, &record);
                }
                change.accepted = Some(Accepted { kind, record: record.clone(), offline: Some(offline), ..accepted });
                if !as_it_was {
                    self.note_taken_back(uid, &stored_key);
                    // The accepted values have a key of their own again.
                    let changed = change.changed.clone();
                    if let Some(accepted) = &mut change.accepted {
                        accepted.key = self.new_key();
                        // They were stored before what is taken back was.
                        (accepted.unstored, accepted.before) = (false, None);
                        if change.base.is_some() {
                            accepted.changed = changed;
                        }
                    }
                    delta.put.extend(self.encode_layers(uid, order, change));
                }
                return if kind == ChangeKind::Destroy { Back::Gone } else { Back::To(record) };
            }
            if self.options.offline_storage {
                self.note_taken_back(uid, &stored_key);
                match (&change.sent, &change.base) {
                    (None, None) => delta.delete.push(uid.0),
                    // Also behind a request whose outcome is open: a restart must not bring back what was withdrawn.
                    _ => delta.put.extend(self.encode_layers(uid, order, change)),
                }
            }
        }
        match (&change.sent, &change.base) {
            (Some(sent), _) if sent.kind == ChangeKind::Destroy => Back::Gone,
            (Some(sent), _) => Back::To(sent.record.clone()),
            (None, Some(base)) => Back::To(base.clone()),
            (None, None) => Back::Never,
        }
    }

    /// What was taken back may be stored still, and an acceptance of it be under way.
    fn note_taken_back(&mut self, uid: Uid, key: &Text) {
        self.unstored.note(uid, key, Said::Withdrawn(Layer::Online));
        if self.gate {
            self.taken_back.insert(uid);
        }
    }

    /// Keeps what is left of a change after cancelling. The whole data source marks pending rows dirty again (R4.22),
    /// a single row only updates (R4.24).
    fn keep(&mut self, uid: Uid, mut change: Change, whole: bool) {
        let kind =
            change.accepted.as_ref().map(|accepted| accepted.kind).or(change.sent.as_ref().map(|sent| sent.kind));
        change.dirty = match kind {
            Some(ChangeKind::Update) => true,
            Some(ChangeKind::Create) => whole,
            Some(ChangeKind::Destroy) | None => false,
        };
        if !change.is_idle() {
            self.overlay.insert(uid, change);
        }
    }
}
