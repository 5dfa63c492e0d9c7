//! Traces: the form in which results are written down. Owns the canonical form; asks no data source.

use landfall_core::{Number, Record, Text, Value};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// The member that marks pending changes.
const STATE: &str = "__state__";

/// A row or group of what a data source shows.
#[derive(Clone, Debug)]
pub enum Node<U> {
    /// A row: its identity and its values.
    Row(U, Record),
    /// A group.
    Group(Group<U>),
}

/// A group of rows or groups.
#[derive(Clone, Debug)]
pub struct Group<U> {
    /// The grouped field.
    pub field: Text,
    /// The common value; `None` for undefined.
    pub value: Option<Value>,
    /// Whether the items are groups.
    pub has_subgroups: bool,
    /// Aggregates by field and function.
    pub aggregates: Record,
    /// The items.
    pub items: Vec<Node<U>>,
}

/// Builds objects whose absent members are left out.
#[derive(Debug, Default)]
pub struct Object(Record);

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    pub fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.set(name, value);
    }

    /// Adds a member if there is a value for it.
    pub fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Adds a member if the list holds something.
    pub fn put_list(&mut self, name: &str, list: Vec<Value>) {
        if !list.is_empty() {
            self.put(name, list);
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        object.0.into()
    }
}

/// The canonical form: dates as text, numbers that are not finite as null, bookkeeping members left out. `state` says
/// whether `__state__` stays.
pub fn canonical(value: &Value, state: bool) -> Value {
    match value {
        Value::Date(date) => Value::from(date.to_string()),
        Value::Number(number) if !number.is_finite() => Value::Null,
        Value::Number(number) if number.as_f64() == 0.0 => Value::Number(Number::from(0_i64)),
        Value::Array(items) => Value::array(items.iter().map(|item| canonical(item, state))),
        Value::Object(record) => canonical_record(record, state).into(),
        other => other.clone(),
    }
}

/// [`canonical`] for a row.
pub fn canonical_record(record: &Record, state: bool) -> Record {
    let shown = |name: &str| match name {
        "uid" => false,
        STATE => state,
        name => !name.starts_with("__"),
    };
    let members = record.iter().filter(|(name, _)| shown(name));
    members.map(|(name, value)| (name, canonical(value, state))).collect()
}

/// What a storage holds or `offlineData` returns: canonical, states kept, groups reduced to their five members.
pub fn stored(value: &Value) -> Value {
    reduced(&canonical(value, true))
}

/// Reduces every group within a value to its five members.
pub fn reduced(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::array(items.iter().map(reduced)),
        Value::Object(record) => {
            let group = record.contains("field")
                && record.contains("hasSubgroups")
                && record.get("items").is_some_and(|items| items.as_array().is_some());
            if !group {
                return record.iter().map(|(name, value)| (name, reduced(value))).collect::<Record>().into();
            }
            let member = |name: &str| record.get(name).cloned();
            let mut out = Record::new();
            out.set("field", member("field").unwrap_or_default());
            out.set("value", member("value").unwrap_or_default());
            out.set("hasSubgroups", member("hasSubgroups").unwrap_or_default());
            out.set("aggregates", member("aggregates").unwrap_or_else(|| Record::new().into()));
            out.set("items", member("items").map(|items| reduced(&items)).unwrap_or_default());
            out.into()
        }
        other => other.clone(),
    }
}

/// A view: rows that are in the data as their positions there, others as plain objects.
pub fn view<U: Eq + Hash, S: BuildHasher>(nodes: &[Node<U>], positions: &HashMap<U, usize, S>, state: bool) -> Value {
    let shown = nodes.iter().map(|node| match node {
        Node::Row(uid, record) => match positions.get(uid) {
            Some(position) => Value::from(*position),
            None => canonical_record(record, state).into(),
        },
        Node::Group(group) => {
            let mut out = Record::new();
            out.set("field", &group.field);
            out.set("value", group.value.as_ref().map(|value| canonical(value, state)));
            out.set("hasSubgroups", group.has_subgroups);
            out.set("aggregates", canonical_record(&group.aggregates, state));
            out.set("items", view(&group.items, positions, state));
            Value::from(out)
        }
    });
    Value::array(shown)
}

/// The text of a trace: one step a line, so that two of them can be compared by eye.
pub fn text(area: &str, name: &str, steps: &[Value]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| sorted(step).to_json()).collect();
    let (area, name) = (Value::from(area).to_json(), Value::from(name).to_json());
    format!("{{\"area\":{area},\"name\":{name},\"steps\":[\n{}\n]}}\n", steps.join(",\n"))
}

/// The same value with members in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::array(items.iter().map(sorted)),
        Value::Object(record) => {
            let mut members: Vec<(&str, &Value)> = record.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            members.into_iter().map(|(name, value)| (name, sorted(value))).collect::<Record>().into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_core::Date;

    fn json(text: &str) -> Value {
        Value::from_json(text).unwrap()
    }

    #[test]
    fn the_canonical_form() {
        let mut row = json(r#"{"id":1,"uid":"u","__state__":"update","__landfall":{},"n":{"uid":2,"k":[{"__x":1}]}}"#);
        if let Value::Object(row) = &mut row {
            row.set("d", Date::from_millis(0));
            row.set("bad", f64::INFINITY);
            row.set("zero", -0.0);
        }
        let rest = r#""n":{"k":[{}]},"d":"1970-01-01T00:00:00.000Z","bad":null,"zero":0}"#;
        assert_eq!(canonical(&row, false).to_json(), format!("{{\"id\":1,{rest}"));
        assert_eq!(canonical(&row, true).to_json(), format!("{{\"id\":1,\"__state__\":\"update\",{rest}"));
    }

    #[test]
    fn stored_groups_keep_five_members() {
        let stored = stored(&json(
            r#"[{"field":"a","hasSubgroups":false,"items":[{"id":1,"__state__":"destroy"}],"itemCount":1,"uid":"x"}]"#,
        ));
        let expected = r#"[{"field":"a","value":null,"hasSubgroups":false,"aggregates":{},"items":[{"id":1,"__state__":"destroy"}]}]"#;
        assert_eq!(stored.to_json(), expected);
    }

    #[test]
    fn views() {
        let row = |uid: u32, id: u32| Node::Row(uid, Record::from([("id", id)]));
        let group = Group {
            field: Text::from("f"),
            value: None,
            has_subgroups: false,
            aggregates: Record::new(),
            items: vec![row(5, 1), row(9, 2)],
        };
        let positions = HashMap::from([(5, 3)]);
        let expected = r#"[{"field":"f","value":null,"hasSubgroups":false,"aggregates":{},"items":[3,{"id":2}]}]"#;
        assert_eq!(view(&[Node::Group(group)], &positions, false).to_json(), expected);
    }

    #[test]
    fn texts_have_a_line_for_each_step() {
        let text = text("a", "n", &[json(r#"{"step":0,"do":"x"}"#), json(r#"{"step":1}"#)]);
        assert_eq!(text, "{\"area\":\"a\",\"name\":\"n\",\"steps\":[\n{\"do\":\"x\",\"step\":0},\n{\"step\":1}\n]}\n");
        assert!(Value::from_json(&text).is_ok());
    }
}
