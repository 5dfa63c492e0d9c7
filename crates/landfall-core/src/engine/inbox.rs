//! What a program may ask about items and pending changes.

use super::{
    Engine,
    change::{Change, Failure, Standing, Theirs},
    event::Item,
    state::QueryOptions,
    table::Uid,
};
use crate::{ChangeKind, Date, Record, Text, Value};

/// How an item differs from what the server last said.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChangeInfo {
    /// The item.
    pub uid: Uid,
    /// Its position in the data.
    pub at: usize,
    /// Whether it is new to the server (`isNew`).
    pub is_new: bool,
    /// Whether it was edited (`dirty`).
    pub dirty: bool,
    /// The fields edited since the last load (`dirtyFields`).
    pub fields: Vec<Text>,
}

/// A pending change: accepted, stored where there is a storage, not acknowledged yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pending {
    /// The item.
    pub uid: Uid,
    /// What is to be done on the server.
    pub kind: ChangeKind,
    /// The values that are to be sent.
    pub record: Record,
    /// The server's last known version, if there is one.
    pub base: Option<Record>,
    /// The fields changed since the base.
    pub changed: Vec<Text>,
    /// The idempotency key.
    pub key: Text,
    /// Where it stands.
    pub standing: Standing,
    /// How often it was sent.
    pub attempts: u32,
    /// Why the last try failed.
    pub failure: Option<Failure>,
    /// The later change of the same item that waits until this one, whose outcome is unknown, is settled.
    pub waiting: Option<(ChangeKind, Record)>,
}

impl Pending {
    /// What happened, in a few words for people: `update, sent 2 times, last at 2026-03-01T10:00:00.000Z: conflict (status
    /// 409): …; the service said: …`.
    pub fn explain(&self) -> String {
        use std::fmt::Write;
        let mut out = format!("{}, {}", self.kind, self.standing.as_str());
        // Writing to a text never fails.
        let times = if self.attempts == 1 { "once".to_owned() } else { format!("{} times", self.attempts) };
        _ = write!(out, ", sent {times}");
        let Some(failure) = &self.failure else { return out };
        if let Some(at) = failure.at {
            _ = write!(out, ", last at {at}");
        }
        _ = write!(out, ": {}", failure.verdict.as_str());
        if let Some(status) = failure.status {
            _ = write!(out, " (status {status})");
        }
        _ = write!(out, ": {}", failure.message);
        if let Some(body) = &failure.body {
            let said: String = body.as_str().map_or_else(|| body.to_json(), str::to_owned).chars().take(200).collect();
            _ = write!(out, "; the service said: {said}");
        }
        if failure.in_company() {
            out.push_str("; which change of the request was meant is not known, it is sent alone next");
        }
        if let Some(at) = self.retry_at() {
            _ = write!(out, "; again at {at}");
        }
        out
    }

    /// All of it as JSON, to be kept or sent to somebody who can help: `kind`, `standing`, `attempts`, `key`, `record`, `base`,
    /// `theirs`, `changed`, `verdict`, `status`, `message`, `said`, `at` and `retryAt` (ISO 8601), as far as there is any.
    pub fn to_value(&self) -> Value {
        let mut out = Record::from([
            ("kind", Value::from(self.kind.as_str())),
            ("standing", self.standing.as_str().into()),
            ("attempts", self.attempts.into()),
            ("key", self.key.as_str().into()),
            ("changed", Value::array(self.changed.iter().map(Value::from))),
            ("record", self.record.clone().into()),
        ]);
        if let Some(base) = &self.base {
            out.set("base", base.clone());
        }
        if let Some((kind, record)) = &self.waiting {
            let next = [("kind", Value::from(kind.as_str())), ("record", record.clone().into())];
            out.set("waiting", Record::from(next));
        }
        if let Some(failure) = &self.failure {
            out.set("verdict", failure.verdict.as_str());
            out.set("message", failure.message.as_str());
            if let Some(status) = failure.status {
                out.set("status", status);
            }
            if let Some(said) = &failure.body {
                out.set("said", said.clone());
            }
            match &failure.theirs {
                Theirs::Unknown => {}
                Theirs::Gone => drop(out.set("theirs", Value::Null)),
                Theirs::Record(theirs) => drop(out.set("theirs", theirs.clone())),
            }
            if let Some(at) = failure.at {
                out.set("at", at.to_string());
            }
        }
        if let Some(at) = self.retry_at() {
            out.set("retryAt", at.to_string());
        }
        out.into()
    }

    /// When the change may be sent again, if it waits for a pause or a back-off; by the data source's clock. None while it
    /// waits for a login, or for nothing.
    pub fn retry_at(&self) -> Option<Date> {
        self.failure.as_ref().and_then(Failure::retry_at)
    }
}

impl Engine {
    /// The number of items in the data.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// The item at a position of the data.
    pub fn at(&self, index: usize) -> Option<Item> {
        self.table.at(index).map(|row| Item { uid: row.uid, record: row.record.clone() })
    }

    /// The item of this identity.
    pub fn item(&self, uid: Uid) -> Option<Item> {
        self.table.get(uid).map(|row| Item { uid, record: row.record.clone() })
    }

    /// The item with this id; `2` and `"2"` are equal (R9.28).
    pub fn get(&mut self, id: &Value) -> Option<Item> {
        if self.options.schema.model().is_none() {
            // Without a model a member `id` is taken for the id (R9.29).
            let same = |record: &Record| {
                record.cell("id").to_value().is_some_and(|own| !own.is_null() && own.to_text() == id.to_text())
            };
            let row = self.table.rows().find(|row| same(row.record))?;
            return Some(Item { uid: row.uid, record: row.record.clone() });
        }
        let uid = self.find_id(id)?;
        self.item(uid)
    }

    /// The position of an item in the data; none while the data are groups of a server (R4.33).
    #[doc(alias = "indexOf")]
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        self.table.position(uid).filter(|_| self.groups.is_none())
    }

    /// All items in data order.
    pub fn data(&self) -> Vec<Item> {
        self.table.rows().map(|row| Item { uid: row.uid, record: row.record.clone() }).collect()
    }

    /// The server's groups as a tree in Kendo's form, while grouped by the server.
    pub fn data_groups(&self) -> Option<Value> {
        fn out(engine: &Engine, group: &super::groups::GroupNode) -> Value {
            let mut head = group.head.clone();
            let items = match &group.items {
                super::groups::GroupItems::Groups(groups) => {
                    Value::array(groups.iter().map(|group| out(engine, group)))
                }
                super::groups::GroupItems::Rows(rows) => Value::array(
                    rows.iter().filter_map(|uid| engine.table.get(*uid)).map(|row| Value::from(row.record.clone())),
                ),
            };
            head.set("items", items);
            head.into()
        }
        self.groups.as_ref().map(|groups| Value::array(groups.iter().map(|group| out(self, group))))
    }

    /// Whether anything is new, edited or removed (R4.21), or waits for the server.
    #[doc(alias = "hasChanges")]
    pub fn has_changes(&self) -> bool {
        self.overlay.values().any(|change| change.is_new() || change.dirty)
            || self.has_visible_removals()
            || !self.parked.is_empty()
    }

    /// The changed items in data order.
    pub fn changes(&self) -> Vec<ChangeInfo> {
        let mut out: Vec<ChangeInfo> = self
            .overlay
            .iter()
            .filter(|(_, change)| change.is_new() || change.dirty || !change.fields.is_empty())
            .filter_map(|(uid, change)| {
                let at = self.table.position(*uid)?;
                Some(ChangeInfo {
                    uid: *uid,
                    at,
                    is_new: change.is_new(),
                    dirty: change.dirty,
                    fields: change.fields.clone(),
                })
            })
            .collect();
        out.sort_by_key(|info| info.at);
        out
    }

    /// The new items in data order (R4.2).
    pub fn created(&self) -> Vec<Item> {
        self.changes().into_iter().filter(|info| info.is_new).filter_map(|info| self.item(info.uid)).collect()
    }

    /// The edited items in data order (R4.2).
    pub fn updated(&self) -> Vec<Item> {
        self.changes()
            .into_iter()
            .filter(|info| !info.is_new && info.dirty)
            .filter_map(|info| self.item(info.uid))
            .collect()
    }

    /// The removed items that the server still has, in removal order.
    pub fn destroyed(&self) -> Vec<Item> {
        self.removed
            .iter()
            .filter(|gone| !gone.change.is_new() || gone.change.sent.is_some())
            .map(|gone| Item { uid: gone.row.uid, record: gone.row.record.clone() })
            .collect()
    }

    /// Everything accepted and not acknowledged: rows in data order, then removals, then changes of rows that the last
    /// read did not contain.
    pub fn pending_changes(&self) -> Vec<Pending> {
        let mut rows: Vec<(usize, Uid)> =
            self.overlay.keys().filter_map(|uid| self.table.position(*uid).map(|at| (at, *uid))).collect();
        rows.sort_unstable();
        let shown = rows.into_iter().filter_map(|(_, uid)| self.overlay.get(&uid).map(|change| (uid, change)));
        let hidden = self.removed.iter().chain(self.parked.iter()).map(|gone| (gone.row.uid, &gone.change));
        let stored = self.hidden.iter().flat_map(|hidden| {
            let rows = hidden.rows.iter().filter_map(|(row, change)| change.as_deref().map(|change| (row.uid, change)));
            rows.chain(hidden.removed.iter().map(|gone| (gone.row.uid, &gone.change)))
        });
        shown.chain(hidden).chain(stored).filter_map(|(uid, change)| pending(uid, change)).collect()
    }

    /// The changes that wait for somebody's decision: refused for good, in conflict, or in doubt where nobody knows and
    /// somebody is to be asked.
    pub fn inbox(&self) -> Vec<Pending> {
        let asks = |uid| self.change(uid).is_some_and(|change| self.asks(change));
        let mut out = self.pending_changes();
        out.retain(|pending| match pending.standing {
            Standing::Quarantined => true,
            Standing::InDoubt => asks(pending.uid),
            _ => false,
        });
        out
    }

    pub(crate) fn changes_in_doubt(&self) -> usize {
        self.pending_changes().iter().filter(|pending| pending.standing == Standing::InDoubt).count()
    }

    /// Whether nothing is under way: no read, no sync.
    pub fn is_idle(&self) -> bool {
        self.sync.is_none() && !self.gate && self.waiting_syncs.is_empty() && self.reads.is_idle()
    }

    /// The current query settings.
    pub fn query_state(&self) -> QueryOptions {
        QueryOptions { skip: self.state.skip(), take: self.state.take(), ..self.state.to_options() }
    }
}

pub(super) fn pending(uid: Uid, change: &Change) -> Option<Pending> {
    let base = change.base.clone();
    if let Some(sent) = change.sent.as_ref().filter(|sent| sent.in_doubt) {
        return Some(Pending {
            uid,
            kind: sent.kind,
            record: sent.record.clone(),
            base,
            changed: sent.changed.clone(),
            key: sent.key.clone(),
            standing: Standing::InDoubt,
            attempts: sent.attempts,
            failure: sent.failure.clone(),
            waiting: change
                .accepted
                .as_ref()
                .filter(|accepted| !sent.is_of(accepted))
                .map(|accepted| (accepted.kind, accepted.record.clone())),
        });
    }
    let accepted = change.accepted.as_ref()?;
    Some(Pending {
        uid,
        kind: accepted.kind,
        record: accepted.record.clone(),
        base,
        changed: accepted.changed.clone(),
        key: accepted.key.clone(),
        standing: accepted.standing,
        attempts: accepted.attempts,
        failure: accepted.failure.clone(),
        waiting: None,
    })
}
