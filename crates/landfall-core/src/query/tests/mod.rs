//! What queries give, by the numbers of the reference's rules.

mod aggregates;
mod descriptors;
mod filters;
mod forms;
mod groups;
mod random;
mod sorts;

use super::{Processed, Query, Rows, View, process};
use crate::{Record, Value};

#[derive(Debug)]
struct Table(Vec<Record>);

impl Rows for Table {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn record(&self, index: usize) -> &Record {
        &self.0[index]
    }
}

/// Rows with one field `f`; `None` leaves it out.
fn column(values: impl IntoIterator<Item = Option<Value>>) -> Table {
    Table(
        values.into_iter().map(|value| value.map_or_else(Record::new, |value| Record::from([("f", value)]))).collect(),
    )
}

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

/// Rows of a JSON list.
fn table(text: &str) -> Table {
    Table(json(text).as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect())
}

fn rows(processed: &Processed) -> &[u32] {
    match &processed.view {
        View::Rows(rows) => rows,
        View::Groups(groups) => panic!("groups: {groups:?}"),
    }
}

/// The view as JSON: positions, and groups with all their members.
fn shown(view: &View) -> Value {
    match view {
        View::Rows(rows) => Value::array(rows.iter().map(|row| Value::from(*row))),
        View::Groups(groups) => Value::array(groups.iter().map(|group| {
            let mut out = Record::from([("field", Value::from(&group.field))]);
            if let Some(value) = &group.value {
                out.set("value", value.clone());
            }
            out.set("items", shown(&group.items));
            out.set("hasSubgroups", group.has_subgroups);
            out.set("aggregates", group.aggregates.clone());
            out.into()
        })),
    }
}

fn check(table: &Table, query: &Query, expected: &str) {
    assert_eq!(shown(&process(table, query).view).to_json(), json(expected).to_json());
}
