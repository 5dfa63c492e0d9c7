//! The stored form, written. What the texts of a [`StoredRow`] and the meta document mean is known here, in `restore`, which
//! reads them, in `mark`, and in `kendo`, which writes a state as Kendo stores it; nowhere else.
//!
//! `kind` stands there only where it differs from the row's state: an update that waits behind a create in doubt.
//!
//! `record`: the accepted values (the base while nothing is accepted) in the server's member names. `change`: one object
//!
//! ```json
//! {"seq":3,"key":"…","was":{"name":"old"},"new":["note"],"changed":["name"],"accepted":true,
//!  "offline":{"kind":"update","record":{…}},"standing":"queued","attempts":1,"error":{"message":"…","status":503},
//!  "sent":{"kind":"update","record":{…},"key":"…","changed":["name"],"attempts":1},"since":51}
//! ```
//!
//! `error` may also hold `body` (what the server said), `verdict` (what the failure policy made of it), `at` and `wait` (when, and
//! how long the change waits since then; milliseconds), `together` (the request held other changes), and of a conflict `theirs` (the server's record, null when it is gone).
//!
//! The base is what `record` becomes with the members of `was` put back and those of `new` taken out; where that does not
//! give its members in their order, `base` holds it whole (in format 1 always).
//!
//! `meta`: `{"format":2}`, with `groups` (the tree of server groups, leaves by row id) where there is one, with
//! `shared` (true) where another program may know rows by their ids only, so that they keep them over reads, and with
//! `sending` while a sync is under way, or was when the program ended:
//!
//! ```json
//! {"mark":52,"batch":7,"lists":[{"key":"…","rows":[4096,1,1,10]}]}
//! ```
//!
//! The rows of the lists (the first id, then the distance to the one before) are sent as they were accepted: each as if its
//! `change` said so in `sent`, with the place it has in its list, and the key of the list where it has one. Not those whose
//! `since` is the mark: they were written later and say for themselves what is sent. So the marks of a sync cost a few bytes
//! a row, and no row is written for being sent.

use super::{
    Engine, Step, Steps,
    change::{Change, Failure, Standing, Theirs},
    groups::{GroupItems, GroupNode},
    policy::Verdict,
    restore::Restored,
    step::{Cont, Then},
    table::Uid,
};
use crate::{ChangeKind, Delta, Record, StoredRow, Text, Value};
use std::{sync::Arc, time::Duration};

/// The version of the stored form that this program writes.
pub(crate) const FORMAT: i64 = 2;

/// Whether two values are written with the same letters.
fn spelled_alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Null, Value::Null) => true,
        _ => a.to_json() == b.to_json(),
    }
}

/// The base of a change in its stored form: by its difference from the record where that gives it back as it is.
fn base_out(out: &mut Record, base: Record, record: &Record) {
    let was: Record = base
        .iter()
        .filter(|(name, value)| !record.get(name).is_some_and(|now| spelled_alike(now, value)))
        .map(|(name, value)| (name, value.clone()))
        .collect();
    let new: Vec<Text> =
        record.iter().filter(|(name, _)| !base.contains(name)).map(|(name, _)| Text::from(name)).collect();
    let names = record.iter().map(|(name, _)| name).filter(|name| base.contains(name));
    let lost = was.iter().map(|(name, _)| name).filter(|name| !record.contains(name));
    if names.chain(lost).eq(base.iter().map(|(name, _)| name)) {
        out.set("was", was);
        if !new.is_empty() {
            out.set("new", list(&new));
        }
    } else {
        out.set("base", base);
    }
}

fn list(texts: &[Text]) -> Value {
    Value::array(texts.iter().map(Value::from))
}

/// A length of time, in milliseconds.
fn millis(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

impl Engine {
    // ---- writing

    fn out(&self, record: &Record) -> Record {
        match self.options.schema.model() {
            Some(model) => model.write(record.clone()),
            None => record.clone(),
        }
    }

    pub(crate) fn order_of(&self, uid: Uid) -> u64 {
        self.table
            .get(uid)
            .map(|row| row.order)
            .or_else(|| self.gone(uid).map(|gone| gone.row.order))
            .unwrap_or(u64::MAX >> 12)
    }

    /// The stored form of a row of the table; `None` for a draft that nothing is stored of.
    pub(crate) fn encode(&self, uid: Uid) -> Option<StoredRow> {
        if !self.options.offline_storage {
            return None;
        }
        let row = self.table.get(uid)?;
        match self.overlay.get(&uid) {
            Some(change) => self.encode_layers(uid, row.order, change),
            None => Some(self.plain(uid, row.order, row.record)),
        }
    }

    fn plain(&self, uid: Uid, order: u64, record: &Record) -> StoredRow {
        StoredRow { id: uid.0, order, state: None, record: Arc::from(self.out(record).to_json()), change: None }
    }

    /// The stored form of the layers below the draft.
    pub(crate) fn encode_layers(&self, uid: Uid, order: u64, change: &Change) -> Option<StoredRow> {
        if !self.options.offline_storage {
            return None;
        }
        let (kind, record) = match (&change.accepted, &change.sent) {
            (Some(accepted), _) => (accepted.kind, &accepted.record),
            (None, Some(sent)) => (sent.kind, &sent.record),
            (None, None) if change.unlisted => return None,
            (None, None) => return change.base.as_ref().map(|base| self.plain(uid, order, base)),
        };
        let written = self.out(record);
        let mut out = Record::new();
        let created = change.sent.as_ref().is_some_and(|sent| sent.kind == ChangeKind::Create);
        let state = if created && kind == ChangeKind::Update {
            // An update behind a create in doubt: to everybody else the record is still new.
            out.set("kind", kind.as_str());
            ChangeKind::Create
        } else {
            kind
        };
        if kind == ChangeKind::Destroy {
            out.set("seq", self.removed.place(uid));
        }
        if let Some(base) = &change.base {
            base_out(&mut out, self.out(base), &written);
        }
        if let Some(accepted) = &change.accepted {
            out.set("accepted", true);
            out.set("key", &accepted.key);
            out.set("changed", list(&accepted.changed));
            if let Some(offline) = &accepted.offline {
                let (kind, values) = &**offline;
                let mut entry = Record::from([("kind", kind.as_str())]);
                if !values.same(record) {
                    entry.set("record", self.out(values));
                }
                out.set("offline", entry);
            }
            if accepted.standing != Standing::Queued {
                out.set("standing", accepted.standing.as_str());
            }
            if accepted.attempts > 0 {
                out.set("attempts", accepted.attempts);
            }
            if let Some(failure) = &accepted.failure {
                out.set("error", self.failure_out(failure));
            }
        }
        if let Some(sent) = &change.sent {
            let mut entry = Record::from([("kind", sent.kind.as_str())]);
            if !sent.record.same(record) {
                entry.set("record", self.out(&sent.record));
            }
            entry.set("key", &sent.key);
            entry.set("changed", list(&sent.changed));
            if sent.attempts > 0 {
                entry.set("attempts", sent.attempts);
            }
            if let Some(batch) = sent.batch {
                entry.set("batch", batch);
                entry.set("place", sent.place);
            }
            if let Some(failure) = &sent.failure {
                entry.set("error", self.failure_out(failure));
            }
            out.set("sent", entry);
        }
        if let Some(mark) = &self.mark {
            out.set("since", mark.number);
        }
        Some(StoredRow {
            id: uid.0,
            order,
            state: Some(state),
            record: Arc::from(written.to_json()),
            change: Some(Arc::from(out.to_json())),
        })
    }

    /// Everything, to replace whatever is stored.
    pub(crate) fn snapshot(&mut self) -> Delta {
        // Each row says for itself what is sent.
        self.mark = None;
        let mut put: Vec<StoredRow> = self.table.rows().filter_map(|row| self.encode(row.uid)).collect();
        for removed in self.removed.iter().chain(self.parked.iter()) {
            put.extend(self.encode_layers(removed.row.uid, removed.row.order, &removed.change));
        }
        self.names.write(Delta { clear: true, delete: Vec::new(), put, meta: Some(self.meta()) })
    }

    fn meta(&self) -> Arc<str> {
        let mut out = Record::from([("format", FORMAT)]);
        if let Some(groups) = &self.groups {
            out.set("groups", Value::array(groups.iter().map(|group| self.group_out(group))));
        }
        if self.names.lasting {
            out.set("shared", true);
        }
        if let Some(mark) = &self.mark {
            out.set("sending", mark.to_value());
        }
        Arc::from(out.to_json())
    }

    /// Takes over what a stored state says about itself: what is written from now on goes with it.
    pub(crate) fn go_on_with(&mut self, restored: &Restored) {
        self.mark.clone_from(&restored.mark);
        self.names.lasting |= restored.shared;
        // An older program must not take what this one writes for its own.
        self.meta_dirty |= restored.old;
    }

    /// A commit of the delta with nothing to be done after it, if there is a storage and something to commit.
    pub(crate) fn storage_steps(&mut self, delta: Delta) -> Steps {
        match self.commit(delta, Cont::Stored(None)) {
            Some(step) => Steps::from([step]),
            None => Steps::new(),
        }
    }

    /// A commit step; the whole state where single rows do not do.
    pub(crate) fn commit(&mut self, mut delta: Delta, then: Cont) -> Option<Step> {
        if !self.options.offline_storage {
            return None;
        }
        // A commit behind one of everything must not rely on that one: it may fail.
        let renumbered = self.table.take_renumbered();
        let unsure = (self.meta_dirty || !delta.is_empty()) && self.handed.holds_whole();
        if renumbered || self.snapshot_needed || unsure {
            self.snapshot_needed = false;
            self.meta_dirty = false;
            self.hand_out(true);
            return Some(Step::Commit(self.snapshot(), Then(then)));
        }
        if std::mem::take(&mut self.meta_dirty) {
            delta.meta = Some(self.meta());
        }
        if delta.is_empty() {
            return None;
        }
        self.hand_out(false);
        Some(Step::Commit(self.names.write(delta), Then(then)))
    }

    fn hand_out(&mut self, whole: bool) {
        self.commits += 1;
        self.handed.push(self.commits, whole);
        self.unstored.handed(self.commits);
    }

    fn failure_out(&self, failure: &Failure) -> Value {
        let mut out = Record::from([("message", Value::from(failure.message.as_str()))]);
        if let Some(status) = failure.status {
            out.set("status", status);
        }
        if let Some(body) = &failure.body {
            out.set("body", body.clone());
        }
        if failure.verdict != Verdict::Retry {
            out.set("verdict", failure.verdict.as_str());
        }
        if failure.together {
            out.set("together", true);
        }
        if let Some(at) = failure.at {
            out.set("at", at.millis());
        }
        if let Some(wait) = failure.wait {
            out.set("wait", millis(wait));
        }
        match &failure.theirs {
            Theirs::Unknown => {}
            Theirs::Gone => drop(out.set("theirs", Value::Null)),
            Theirs::Record(record) => drop(out.set("theirs", self.out(record))),
        }
        out.into()
    }

    fn group_out(&self, group: &GroupNode) -> Value {
        let mut out = group.head.clone();
        match &group.items {
            GroupItems::Groups(groups) => {
                out.set("groups", Value::array(groups.iter().map(|group| self.group_out(group))))
            }
            GroupItems::Rows(rows) => {
                out.set("rows", Value::array(rows.iter().map(|uid| Value::from(self.names.stored(*uid)))))
            }
        };
        out.into()
    }
}
