//! Changes that the server announces (reference 4.7). They go into the base and are stored at once; a pending edit of the
//! same record stays on top (DESIGN section 8).

use super::{
    Engine, Step, Steps,
    change::{Change, carry_over_both},
    event::{Action, Event, EventKind, Item},
    table::Uid,
};
use crate::{Delta, Operation, Record, Result, depth};

impl Engine {
    /// Takes in new records at the end (R4.37).
    ///
    /// # Errors
    /// `Limit` when a record is nested deeper than 100 lists and objects.
    pub fn push_create(&mut self, records: Vec<Record>) -> Result<Steps> {
        self.push_insert(usize::MAX, records)
    }

    /// Takes in new records at a position.
    ///
    /// # Errors
    /// As [`push_create`](Self::push_create).
    pub fn push_insert(&mut self, index: usize, records: Vec<Record>) -> Result<Steps> {
        let records = depth::all_checked(records).map_err(|error| error.during("push"))?;
        let mut steps = Steps::new();
        let mut delta = Delta::default();
        let mut items = Vec::new();
        for (offset, record) in records.into_iter().enumerate() {
            let at = index.saturating_add(offset);
            items.push(self.push_one(at, record, &mut steps, &mut delta));
        }
        Ok(self.pushed(Operation::Create, items, steps, delta))
    }

    fn push_one(&mut self, index: usize, record: Record, steps: &mut Steps, delta: &mut Delta) -> Item {
        let record = self.wrap(record);
        let uid = self.next_uid();
        let at = self.insert_row(index, uid, record.clone());
        let at = if index >= usize::MAX - u32::MAX as usize { at } else { index };
        if self.looks_new(&record) {
            self.overlay.insert(uid, Change { base: Some(record.clone()), looks_new: true, ..Change::default() });
        }
        self.appended.push(uid);
        delta.put.extend(self.encode(uid));
        let items = self.items_of(&[uid]);
        self.pushing = true;
        steps.extend(self.edited(Action::Add, None, Some(at), items, 1));
        self.show_anyway(uid);
        self.pushing = false;
        Item { uid, record }
    }

    /// Takes in newer versions of records; unknown ones are added (R4.38). A pending edit of the same record stays on
    /// top of the pushed version (C21).
    ///
    /// # Errors
    /// As [`push_create`](Self::push_create).
    pub fn push_update(&mut self, records: Vec<Record>) -> Result<Steps> {
        let records = depth::all_checked(records).map_err(|error| error.during("push"))?;
        let mut steps = Steps::new();
        let mut delta = Delta::default();
        let mut updated = Vec::new();
        for record in records {
            let record = self.wrap(record);
            let Some(uid) = self.id_of(&record).and_then(|id| self.find_id(&id)) else {
                let item = self.push_one(usize::MAX, record, &mut steps, &mut delta);
                steps.push_back(Step::Emit(push_event(Operation::Create, vec![item])));
                continue;
            };
            self.take_pushed(uid, &record);
            delta.put.extend(self.encode(uid));
            let items = self.items_of(&[uid]);
            self.pushing = true;
            steps.extend(self.edited(Action::ItemChange, None, None, items, 0));
            self.pushing = false;
            if let Some(row) = self.table.get(uid) {
                updated.push(Item { uid, record: row.record.clone() });
            }
        }
        Ok(self.pushed(Operation::Update, updated, steps, delta))
    }

    /// Of records about to be pushed as updates, those of items that are known, in the server's names: what rows given
    /// inline take over, so that the next read has it (C49).
    pub fn known_of_pushed(&mut self, records: &[Record]) -> Vec<Record> {
        let known = |record: &&Record| {
            let id = self.id_of(&self.wrap((*record).clone()));
            id.is_some_and(|id| self.find_id(&id).is_some())
        };
        let known: Vec<Record> = records.iter().filter(known).cloned().collect();
        match self.options.schema.model() {
            Some(model) => known.into_iter().map(|record| model.write(record)).collect(),
            None => known,
        }
    }

    /// The member that rows carry their id in, in the server's names.
    pub fn id_member(&self) -> Option<crate::Text> {
        self.id_source()
    }

    fn take_pushed(&mut self, uid: Uid, pushed: &Record) {
        let merge = |under: &Record| {
            let mut out = under.clone();
            for (name, value) in pushed.iter() {
                out.set(name, value.clone());
            }
            out
        };
        let Some(row) = self.table.get(uid) else { return };
        let now = row.record.clone();
        let key = self.new_key();
        let Some(change) = self.overlay.get_mut(&uid) else {
            if let Some(slot) = self.table.record_mut(uid) {
                *slot = merge(&now);
            }
            return;
        };
        let was = change.base.clone().unwrap_or_else(|| now.clone());
        let base = merge(&was);
        if let Some(accepted) = &mut change.accepted {
            let sent = change.sent.as_ref().filter(|sent| !sent.is_of(accepted)).map(|sent| &sent.record);
            accepted.rebase(&was, sent, &base, key);
        }
        let sent = change.sent.as_ref().map(|sent| &sent.record);
        let record = carry_over_both(&was, sent, &now, &base);
        change.base = Some(base);
        if let Some(slot) = self.table.record_mut(uid) {
            *slot = record;
        }
    }

    /// Takes out records that are gone on the server (R4.40). Nothing stays pending for them (C20).
    ///
    /// # Errors
    /// None today.
    pub fn push_destroy(&mut self, records: Vec<Record>) -> Result<Steps> {
        let mut delta = Delta::default();
        let mut items = Vec::new();
        let mut last = None;
        for record in records {
            let record = self.wrap(record);
            let Some(id) = self.id_of(&record) else { continue };
            if let Some(uid) = self.find_id(&id)
                && let Some((at, removed)) = self.take_out(uid)
            {
                last = Some(at);
                items.insert(0, Item { uid, record: removed });
                self.total = Some(self.current_total().saturating_sub(1));
            }
            // Whatever was pending for it has no target any more.
            let gone: Vec<Uid> = self
                .removed
                .iter()
                .filter(|gone| self.id_of(&gone.row.record).as_ref() == Some(&id))
                .map(|gone| gone.row.uid)
                .collect();
            for uid in gone {
                if !self.removed.get(uid).is_some_and(|removed| removed.change.in_flight()) {
                    self.removed.remove(uid);
                }
                delta.delete.push(uid.0);
            }
        }
        let mut steps = Steps::new();
        if let Some(at) = last {
            self.touch();
            let mut event = Event::new(EventKind::Change);
            event.action = Some(Action::Remove);
            event.field = self.groups.is_some().then(|| crate::Text::from("items"));
            event.index = Some(at);
            event.items = self.watch.then(|| items.clone());
            steps.push_back(Step::Emit(event));
        }
        items.reverse();
        Ok(self.pushed(Operation::Destroy, items, steps, delta))
    }

    fn pushed(&mut self, operation: Operation, items: Vec<Item>, steps: Steps, delta: Delta) -> Steps {
        let mut out = self.storage_steps(delta);
        out.extend(steps);
        if !items.is_empty() {
            out.push_back(Step::Emit(push_event(operation, items)));
        }
        out
    }
}

fn push_event(operation: Operation, items: Vec<Item>) -> Event {
    let mut event = Event::new(EventKind::Push).operation(operation);
    event.items = Some(items);
    event
}
