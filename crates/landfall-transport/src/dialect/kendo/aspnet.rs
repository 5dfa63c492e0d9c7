//! The parameters of ASP.NET's `DataSourceRequest` (Kendo's `type: "aspnetmvc-ajax"`): queries as short texts, rows as
//! dotted form fields.
//!
//! Owns the texts. Encodes nothing: form encoding follows.

use super::Mapped;
use crate::{Error, ErrorKind, Operation, Result, Zone, dates::local_iso};
use landfall_core::{Record, Value};

/// How deep filters and rows may nest.
const DEPTH: usize = 100;

/// What a request becomes.
pub(super) fn mapped(value: &Value, operation: Operation, zone: &dyn Zone) -> Result<Mapped> {
    let Value::Object(params) = value else {
        return Err(Error::new(ErrorKind::Invalid, "this parameter map needs an object"));
    };
    let mut out = Record::new();
    if operation != Operation::Read {
        for (name, value) in params.iter() {
            fields(&mut out, name, value, DEPTH)?;
        }
        return Ok(Mapped::Params(out));
    }
    for (name, value) in params.iter() {
        let text = match name {
            "take" | "skip" => continue,
            "sort" | "group" => terms(value, "dir"),
            "aggregate" => terms(value, "aggregate"),
            "filter" => filter(value, zone, DEPTH)?,
            _ => {
                out.set(name, value.clone());
                continue;
            }
        };
        if !text.is_empty() {
            out.set(name, text);
        }
    }
    Ok(Mapped::Params(out))
}

/// `Name-asc~Price-desc`.
fn terms(list: &Value, second: &str) -> String {
    let text = |term: &Record, name: &str| term.get(name).map(Value::to_text).unwrap_or_default();
    let terms = list.as_array().unwrap_or_default().iter().filter_map(Value::as_object);
    let terms: Vec<String> =
        terms.map(|term| format!("{}-{}", text(term, "field"), text(term, second).to_ascii_lowercase())).collect();
    terms.join("~")
}

/// `(Name~contains~'x'~and~Price~gte~3.5)`; parentheses around two or more.
fn filter(value: &Value, zone: &dyn Zone, depth: usize) -> Result<String> {
    let Some(term) = value.as_object() else { return Ok(String::new()) };
    if depth == 0 {
        return Err(Error::new(ErrorKind::Limit, "filters nest too deep"));
    }
    let Some(filters) = term.get("filters").and_then(Value::as_array) else {
        let text = |name: &str| term.get(name).map(Value::to_text).unwrap_or_default();
        return Ok(format!("{}~{}~{}", text("field"), text("operator"), literal(term.get("value"), zone)));
    };
    let logic = if term.get("logic").and_then(Value::as_str) == Some("or") { "~or~" } else { "~and~" };
    let parts: Vec<String> = filters.iter().map(|part| filter(part, zone, depth - 1)).collect::<Result<_>>()?;
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let text = parts.join(logic);
    Ok(if parts.len() > 1 { format!("({text})") } else { text })
}

fn literal(value: Option<&Value>, zone: &dyn Zone) -> String {
    match value {
        None => "undefined".to_owned(),
        Some(Value::String(text)) => format!("'{}'", text.replace('\'', "''")),
        Some(Value::Date(date)) => format!("datetime'{}'", local_iso(*date, zone).replace(':', "-")),
        Some(other) => other.to_text().into(),
    }
}

/// `models[0].Name=…`: lists by index, members by dots.
fn fields(out: &mut Record, name: &str, value: &Value, depth: usize) -> Result<()> {
    if depth == 0 {
        return Err(Error::new(ErrorKind::Limit, "rows nest too deep"));
    }
    match value {
        Value::Object(record) => {
            for (member, value) in record.iter() {
                fields(out, &format!("{name}.{member}"), value, depth - 1)?;
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                fields(out, &format!("{name}[{at}]"), item, depth - 1)?;
            }
        }
        plain => drop(out.set(name, plain.clone())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Utc, form};
    use landfall_core::Date;

    fn query(params: &Value, operation: Operation) -> String {
        match mapped(params, operation, &Utc).unwrap() {
            Mapped::Params(params) => form::encode(&params, &form::FormRules::default()),
            other => panic!("{other:?}"),
        }
    }

    fn read(params: &str) -> String {
        query(&Value::from_json(params).unwrap(), Operation::Read)
    }

    #[test]
    fn queries_as_the_vendor_writes_them() {
        assert_eq!(
            read(
                r#"{"take":10,"skip":20,"page":3,"pageSize":10,"sort":[{"field":"Name","dir":"asc"},{"field":"Price","dir":"desc"}]}"#
            ),
            "page=3&pageSize=10&sort=Name-asc~Price-desc"
        );
        assert_eq!(
            read(
                r#"{"filter":{"logic":"and","filters":[{"field":"Name","operator":"contains","value":"O'Neil & co"},{"field":"Price","operator":"gte","value":3.5}]}}"#
            ),
            "filter=(Name~contains~'O''Neil%20%26%20co'~and~Price~gte~3.5)"
        );
        assert_eq!(
            read(
                r#"{"filter":{"logic":"or","filters":[{"field":"A","operator":"eq","value":true},{"logic":"and","filters":[{"field":"B","operator":"eq","value":null},{"field":"C","operator":"isnull"}]}]}}"#
            ),
            "filter=(A~eq~true~or~(B~eq~null~and~C~isnull~undefined))"
        );
        assert_eq!(
            read(
                r#"{"group":[{"field":"Cat","dir":"desc"},{"field":"B","dir":"asc"}],"aggregate":[{"field":"Price","aggregate":"sum"},{"field":"Price","aggregate":"max"},{"field":"N","aggregate":"count"}]}"#
            ),
            "group=Cat-desc~B-asc&aggregate=Price-sum~Price-max~N-count"
        );
        let at = Date::from_iso("2024-02-29T13:05:09.007Z").unwrap();
        let before =
            Record::from([("field", Value::from("At")), ("operator", "lt".into()), ("value", Value::Date(at))]);
        let filter = Record::from([("logic", Value::from("and")), ("filters", Value::array([before.into()]))]);
        let params = Record::from([("filter", Value::from(filter))]);
        assert_eq!(query(&params.into(), Operation::Read), "filter=At~lt~datetime'2024-02-29T13-05-09'");
        assert_eq!(read(r#"{"group":[],"x":1}"#), "x=1");
    }

    #[test]
    fn rows_are_dotted_fields() {
        let rows = r#"{"models":[{"ProductID":7,"Name":"a b","Box":{"W":1},"Tags":["x"]}]}"#;
        assert_eq!(
            query(&Value::from_json(rows).unwrap(), Operation::Update),
            "models%5B0%5D.ProductID=7&models%5B0%5D.Name=a%20b&models%5B0%5D.Box.W=1&models%5B0%5D.Tags%5B0%5D=x"
        );
    }
}
