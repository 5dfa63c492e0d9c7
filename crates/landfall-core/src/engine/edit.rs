//! Edits by the program: drafts, synchronous, without any wait (reference 2.4, 4.2).

use super::{
    Engine, Step, Steps,
    change::{Change, Removed, difference},
    event::{Action, Event, EventKind, Item},
    groups,
    table::Uid,
};
use crate::{Error, ErrorKind, Path, Record, Result, Text, Value, depth};

impl Engine {
    /// Adds a record at the end, as an item new to the server. An empty one gets all defaults (R2.11, R4.9).
    ///
    /// # Errors
    /// `Limit` when the record is nested deeper than 100 lists and objects.
    pub fn add(&mut self, record: Record) -> Result<(Uid, Steps)> {
        self.insert(usize::MAX, record)
    }

    /// Inserts a record at a position (of the top-level groups while grouped by the server, R4.34).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn insert(&mut self, index: usize, record: Record) -> Result<(Uid, Steps)> {
        let record = depth::checked(record).map_err(|error| error.during("add"))?;
        let record = self.wrap(record);
        let (uid, at, revived) = self.place(index, record);
        // The event tells the place that was asked for, also one beyond the end (R4.10).
        let at = if index == usize::MAX { at } else { index };
        if !revived {
            let added = self.options.schema.model().is_some();
            self.overlay.insert(uid, Change { added, draft: true, ..Change::default() });
        }
        let items = self.items_of(&[uid]);
        let steps = self.edited(Action::Add, None, Some(at), items, 1);
        self.show_anyway(uid);
        Ok((uid, steps))
    }

    /// What a new instance of the model looks like (R2.11-R2.15).
    pub fn wrap(&self, record: Record) -> Record {
        let Some(model) = self.options.schema.model() else { return record };
        if record.is_empty() {
            return model.defaults(self.env.now());
        }
        let mut record = record;
        if model.id_field() == Some("id")
            && !record.contains("id")
            && let Some(default) = model.default_id()
        {
            record.set("id", default);
        }
        record
    }

    /// Puts a record into table and groups; revives a removed row of the same id instead of making a second (Q28).
    fn place(&mut self, index: usize, record: Record) -> (Uid, usize, bool) {
        let revived = self.id_of(&record).filter(|id| !id.is_null() && !self.is_default_id(Some(id))).and_then(|id| {
            let same = |gone: &&Removed| !gone.change.in_flight() && self.id_of(&gone.row.record).as_ref() == Some(&id);
            self.removed.iter().find(same).map(|gone| gone.row.uid)
        });
        let revived = revived.and_then(|uid| self.removed.remove(uid));
        let found = revived.is_some();
        let uid = match revived {
            Some(Removed { row, mut change }) => {
                change.draft = change.below().is_none_or(|below| *below != record) || change.accepted.is_some();
                if let Some(below) = change.below() {
                    for name in difference(below, &record) {
                        change.note(&name);
                    }
                }
                // An accepted removal has to be taken back on the server's side as well.
                change.dirty |= change.accepted.is_some();
                if !change.is_idle() {
                    self.overlay.insert(row.uid, change);
                }
                row.uid
            }
            None => self.next_uid(),
        };
        let at = self.insert_row(index, uid, record);
        (uid, at, found)
    }

    /// Sets a field of an item; parsed as the field's type says, ignored when the field is not editable or the value is
    /// equal (R2.23). A path sets a nested member and marks the item changed (Q22).
    ///
    /// # Errors
    /// `NotFound` for an unknown item, `Invalid` when the parent of a nested member is missing, `Limit` when the record
    /// would be nested deeper than 100 lists and objects.
    pub fn set(&mut self, uid: Uid, field: &str, value: impl Into<Value>) -> Result<Steps> {
        let mut value = depth::value_checked(value.into()).map_err(|error| error.during("set").with("field", field))?;
        self.options.schema.tick(self.env.now());
        if let Some(model) = self.options.schema.model() {
            if !model.editable(field) {
                return Ok(Steps::new());
            }
            value = model.parse_field(field, value, self.options.schema.zone());
        }
        let path = Path::parse(field);
        let row = self.table.get(uid).ok_or_else(|| unknown(uid).during("set"))?;
        if path.get(row.record) == Some(&value) {
            return Ok(Steps::new());
        }
        let mut record = row.record.clone();
        path.set_strict(&mut record, value).map_err(|error| error.during("set").with("field", field))?;
        let record = depth::checked(record).map_err(|error| error.during("set").with("field", field))?;
        self.replace_record(uid, record, field);
        let items = self.items_of(&[uid]);
        Ok(self.edited(Action::ItemChange, Some(Text::from(field)), None, items, 0))
    }

    /// Changes an array field with a function; marks the item changed (R2.20).
    ///
    /// # Errors
    /// `NotFound` for an unknown item, `Invalid` when the field is no array, `Limit` when it would be nested too deep.
    pub fn edit_array(&mut self, uid: Uid, field: &str, edit: impl FnOnce(&mut Vec<Value>)) -> Result<Steps> {
        let row = self.table.get(uid).ok_or_else(|| unknown(uid).during("edit"))?;
        let path = Path::parse(field);
        let Some(Value::Array(items)) = path.get(row.record) else {
            return Err(Error::new(ErrorKind::Invalid, "the field is not a list").during("edit").with("field", field));
        };
        let before = Vec::clone(items);
        let mut items = before.clone();
        edit(&mut items);
        // The event carries the elements that came or went, as Kendo's does.
        let came = items.iter().filter(|item| !before.contains(item));
        let went = before.iter().filter(|item| !items.contains(item));
        let touched: Vec<Item> = came
            .chain(went)
            .map(|element| Item { uid, record: element.as_object().cloned().unwrap_or_default() })
            .collect();
        let mut record = row.record.clone();
        path.set_strict(&mut record, depth::value_checked(Value::from(items))?)?;
        let record = depth::checked(record).map_err(|error| error.during("edit").with("field", field))?;
        self.replace_record(uid, record, field);
        let items = self.watch.then_some(touched);
        Ok(self.edited(Action::ItemChange, Some(Text::from(field)), None, items, 0))
    }

    fn replace_record(&mut self, uid: Uid, record: Record, field: &str) {
        // Without a model there is no change tracking (R4.2).
        let tracked = self.options.schema.model().is_some();
        let is_id = self.options.schema.model().and_then(|model| model.id_field()) == Some(field);
        let version = self.table.version();
        if let Some(slot) = self.table.record_mut(uid) {
            let was = std::mem::replace(slot, record);
            self.follow_edit(uid, &was, version);
            let change = self.overlay.entry(uid).or_insert_with(|| Change { base: Some(was), ..Change::default() });
            if tracked {
                change.note(field);
            } else {
                change.draft = true;
            }
        }
        if is_id {
            self.ids = None;
        }
    }

    /// Removes an item. A new one vanishes, any other is destroyed by the next sync (R4.12, R4.13).
    ///
    /// # Errors
    /// `NotFound` for an unknown item.
    pub fn remove(&mut self, uid: Uid) -> Result<Steps> {
        let Some((at, record)) = self.take_out(uid) else { return Err(unknown(uid).during("remove")) };
        let items = self.watch.then(|| vec![Item { uid, record }]);
        Ok(self.edited(Action::Remove, None, Some(at), items, 1))
    }

    /// Takes a row out of table and groups and remembers its removal.
    pub(crate) fn take_out(&mut self, uid: Uid) -> Option<(usize, Record)> {
        let (mut at, row) = self.table.remove(uid)?;
        if let Some(groups) = &mut self.groups {
            // Among groups the position is the one in the row's own group.
            at = groups::place(groups, uid).unwrap_or(at);
            groups::remove(groups, uid);
            // A sync that follows at once stores a group that became empty, too; the view drops it afterwards.
            if !self.options.auto_sync || self.pushing {
                groups::prune(groups);
            }
            self.meta_dirty = true;
        }
        self.ids = None;
        let mut change =
            self.overlay.remove(&uid).unwrap_or_else(|| Change { base: Some(row.record.clone()), ..Change::default() });
        let record = row.record.clone();
        // A record nobody else knows of is forgotten; an accepted one, or one on its way, is remembered as removed.
        if !change.is_new() || change.accepted.is_some() || change.sent.is_some() {
            change.draft = true;
            self.removed.push(Removed { row, change });
        }
        Some((at, record))
    }

    /// What follows every edit: total, view, event or auto sync (R4.10, R5.48).
    pub(crate) fn edited(
        &mut self,
        action: Action,
        field: Option<Text>,
        index: Option<usize>,
        items: Option<Vec<Item>>,
        count: usize,
    ) -> Steps {
        match action {
            Action::Add => self.total = Some(self.current_total() + count),
            Action::Remove => self.total = Some(self.current_total().saturating_sub(count)),
            Action::ItemChange | Action::Sync => {}
        }
        self.touch();
        if self.options.auto_sync && !self.pushing {
            return self.auto_sync();
        }
        self.sort_in_place();
        let mut event = Event::new(EventKind::Change);
        event.action = Some(action);
        // Among server groups the change bubbles up through the groups' items, as Kendo reports it.
        let bubbles = self.groups.is_some() && matches!(action, Action::ItemChange | Action::Remove);
        event.field = if bubbles { Some(Text::from("items")) } else { field };
        event.index = index;
        event.items = items;
        Steps::from([Step::Emit(event)])
    }
}

pub(crate) fn unknown(uid: Uid) -> Error {
    Error::new(ErrorKind::NotFound, "no such item; it may have been removed").with("item", format!("{uid:?}"))
}
