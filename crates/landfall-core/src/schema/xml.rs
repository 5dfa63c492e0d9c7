//! Schemas of XML answers (R3.24, R3.25): paths in the manner of `XPath`, over the object form that a transport makes of a
//! document: attributes as `@name`, text as `#text`, repeated elements as lists.
//!
//! Owns the paths and the picking of declared fields. Reads no XML text.

use super::{Accessor, Field, Schema};
use crate::{Path, Record, Value};

/// `/a/b/@c` and `a/b/text()` as member paths.
fn path(expression: &str) -> Path {
    let members = expression.trim_start_matches('/').split('/').filter(|part| !part.is_empty());
    let members: Vec<&str> = members.map(|part| if part == "text()" { "#text" } else { part }).collect();
    Path::parse(&members.join("."))
}

/// The values at a path, through lists at every level.
fn all(value: &Value, expression: &str) -> Vec<Value> {
    let mut found = vec![value.clone()];
    for part in expression.split('/').filter(|part| !part.is_empty()) {
        let step = path(part);
        let inner = found.iter().filter_map(|value| step.get_in(value).cloned());
        found = inner
            .flat_map(|value| match value {
                Value::Array(items) => items.to_vec(),
                Value::Null => Vec::new(),
                one => vec![one],
            })
            .collect();
    }
    found
}

impl Schema {
    /// Turns a schema whose places are XPath-like into one that reads the object form.
    pub(super) fn of_xml(mut self, options: &Record) -> Self {
        let text = |name: &str| options.get(name).and_then(Value::as_str).map(str::to_owned);
        let place = |name: &str| {
            text(name).map(|expression| {
                let path = path(&expression);
                Accessor::function(move |answer| path.get_in(answer).cloned())
            })
        };
        self.total = place("total");
        self.errors = place("errors");
        self.aggregates = place("aggregates");
        self.groups = place("groups");
        let mut fields: Vec<(crate::Text, Path)> = Vec::new();
        if let Some(model) = &mut self.model {
            let id = model.id_field().map(str::to_owned);
            if let Some(id) = id.filter(|id| !model.fields().is_empty() && !model.knows_field(id)) {
                // The id is a path, too.
                let name = id.trim_start_matches('/').replace('/', ".").replace(".text()", "#text");
                *model = std::mem::take(model).id(name.as_str()).field(Field::new(name).from(id));
            }
            for field in model.fields_mut() {
                fields.push((field.name.clone(), path(field.source())));
                field.from = None;
                field.alias = None;
            }
        }
        let expression = text("data").unwrap_or_default();
        self.data = Some(Accessor::function(move |answer| {
            let found = all(answer, &expression);
            if fields.is_empty() {
                return Some(Value::from(found));
            }
            let rows = found.iter().map(|row| {
                let members = fields.iter().filter_map(|(name, path)| Some((name, path.get_in(row)?.clone())));
                Value::from(members.collect::<Record>())
            });
            Some(Value::array(rows))
        }));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_fields_are_picked() {
        let schema = r#"{"type":"xml","data":"/a/b","total":"/a/@n","model":{"id":"id/text()",
            "fields":{"n":{"field":"n/text()","type":"number"},"kind":{"field":"@kind"}}}}"#;
        let schema = Schema::from_value(&Value::from_json(schema).unwrap()).unwrap();
        let read = |answer: &str| schema.read_answer(Some(Value::from_json(answer).unwrap()), false).unwrap();
        let two = r##"{"a":{"@n":"9","b":[{"@kind":"x","n":{"#text":"1"},"id":{"#text":"7"}},{"n":{"#text":"2"}}]}}"##;
        let answer = read(two);
        assert_eq!(answer.total, Some(9));
        let rows = Value::array(answer.rows.into_iter().map(Value::from)).to_json();
        assert_eq!(rows, r#"[{"n":1,"kind":"x","id#text":"7"},{"n":2}]"#);
        // One element is a list of one, a path that leads nowhere an empty one.
        assert_eq!(read(r##"{"a":{"b":{"n":{"#text":"1"}}}}"##).rows.len(), 1);
        assert_eq!(read(r#"{"c":{}}"#).rows.len(), 0);
    }
}
