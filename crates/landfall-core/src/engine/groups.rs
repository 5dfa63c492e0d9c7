//! The tree of groups that a grouping server answered: its leaves are rows of the table.
//!
//! Owns the shape of the tree. Rows are named by identity; their values live in the table.

use super::table::Uid;
use crate::{Group, Record, Value};
use std::collections::HashMap;

/// A group of rows or of groups.
#[derive(Clone, Debug)]
pub(crate) struct GroupNode {
    /// All members except `items`, as the server named them: `field`, `value`, `hasSubgroups`, `aggregates`, ...
    pub(crate) head: Record,
    pub(crate) items: GroupItems,
}

#[derive(Clone, Debug)]
pub(crate) enum GroupItems {
    Groups(Vec<GroupNode>),
    Rows(Vec<Uid>),
}

impl GroupNode {
    pub(crate) fn rows(&self, out: &mut Vec<Uid>) {
        match &self.items {
            GroupItems::Groups(groups) => groups.iter().for_each(|group| group.rows(out)),
            GroupItems::Rows(rows) => out.extend(rows),
        }
    }

    fn count(&self) -> usize {
        match &self.items {
            GroupItems::Groups(groups) => groups.iter().map(Self::count).sum(),
            GroupItems::Rows(rows) => rows.len(),
        }
    }

    /// Groups that hold nothing and announce nothing are dropped (R10.4).
    fn is_empty(&self) -> bool {
        let announced = self.head.get("itemCount").and_then(Value::as_i64).unwrap_or(0) > 0;
        !announced && self.count() == 0
    }

    /// One group per level around a new row (R4.34).
    pub(crate) fn around(levels: &[Group], record: &Record, uid: Uid) -> Option<Self> {
        let (level, rest) = levels.split_first()?;
        let items = match Self::around(rest, record, uid) {
            Some(inner) => GroupItems::Groups(vec![inner]),
            None => GroupItems::Rows(vec![uid]),
        };
        let value = record.get(&level.field).cloned().unwrap_or(Value::Null);
        let mut head = Record::new();
        head.set("value", value);
        head.set("field", level.field.clone());
        head.set("hasSubgroups", !rest.is_empty());
        let mut aggregates = Record::new();
        for aggregate in &level.aggregates {
            let mut of_field = aggregates.get(&aggregate.field).and_then(Value::as_object).cloned().unwrap_or_default();
            of_field.set(&aggregate.name, 0);
            aggregates.set(&aggregate.field, of_field);
        }
        head.set("aggregates", aggregates);
        Some(Self { head, items })
    }
}

/// Takes a row out of the tree.
pub(crate) fn remove(groups: &mut [GroupNode], uid: Uid) -> bool {
    for group in groups.iter_mut() {
        let found = match &mut group.items {
            GroupItems::Groups(inner) => remove(inner, uid),
            GroupItems::Rows(rows) => {
                let before = rows.len();
                rows.retain(|row| *row != uid);
                rows.len() != before
            }
        };
        if found {
            return true;
        }
    }
    false
}

/// Gives rows of the tree other identities.
pub(crate) fn rename_all(groups: &mut [GroupNode], names: &HashMap<Uid, Uid>) {
    for group in groups {
        match &mut group.items {
            GroupItems::Groups(inner) => rename_all(inner, names),
            GroupItems::Rows(rows) => {
                for uid in rows {
                    *uid = names.get(uid).copied().unwrap_or(*uid);
                }
            }
        }
    }
}

/// The position of a row in its group.
pub(crate) fn place(groups: &[GroupNode], uid: Uid) -> Option<usize> {
    groups.iter().find_map(|group| match &group.items {
        GroupItems::Groups(inner) => place(inner, uid),
        GroupItems::Rows(rows) => rows.iter().position(|row| *row == uid),
    })
}

/// Drops empty groups at every level. Says whether there were any.
pub(crate) fn prune(groups: &mut Vec<GroupNode>) -> bool {
    let mut dropped = false;
    for group in groups.iter_mut() {
        if let GroupItems::Groups(inner) = &mut group.items {
            dropped |= prune(inner);
        }
    }
    let before = groups.len();
    groups.retain(|group| !group.is_empty());
    dropped || groups.len() != before
}

/// All rows of the tree in order.
pub(crate) fn leaves(groups: &[GroupNode]) -> Vec<Uid> {
    let mut out = Vec::new();
    for group in groups {
        group.rows(&mut out);
    }
    out
}
