//! OData's query options from Kendo's read parameters (R8.28 to R8.34).
//!
//! Owns `$top`, `$skip`, `$orderby` and `$filter`. Shared by the dialects `kendo` and `odata`. Percent-encodes nothing.

use crate::{Error, ErrorKind, Result, Zone, dates};
use landfall_core::{Record, Value};

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// OData 2 (and 3).
    V2,
    /// OData 4.
    V4,
}

/// How deep filters may nest.
const DEPTH: usize = 100;

/// Adds the parameters of a read in their order: `take`, `skip`, `sort` and `filter` are translated, `page` and
/// `pageSize` dropped, everything else passes unchanged.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for an operator that OData lacks (Q54), [`ErrorKind::Invalid`] for a filter that is none.
pub fn read_params(out: &mut Record, params: &Record, version: Version, zone: &dyn Zone) -> Result<()> {
    for (name, value) in params.iter() {
        match name {
            "take" if value.is_truthy() => {
                out.set("$top", value.clone());
            }
            "skip" if value.is_truthy() => {
                out.set("$skip", value.clone());
            }
            "take" | "skip" | "page" | "pageSize" => {}
            "sort" => {
                let order = order_by(value);
                if !order.is_empty() {
                    out.set("$orderby", order);
                }
            }
            "filter" => {
                if let Some(text) = filter(value, version, zone)?.filter(|text| !text.is_empty()) {
                    out.set("$filter", text);
                }
            }
            _ => {
                out.set(name, value.clone());
            }
        }
    }
    Ok(())
}

/// `a/b desc,c`.
pub fn order_by(sort: &Value) -> String {
    let terms: Vec<String> = sort
        .as_array()
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_object)
        .filter_map(|term| {
            let field = term.get("field")?.to_text().replace('.', "/");
            let descending =
                term.get("dir").and_then(Value::as_str).is_some_and(|dir| dir.eq_ignore_ascii_case("desc"));
            Some(if descending { format!("{field} desc") } else { field })
        })
        .collect();
    terms.join(",")
}

/// A filter expression; `None` for no filter.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for an operator that OData lacks (Q54), [`ErrorKind::Invalid`] for a filter that is none.
pub fn filter(filter: &Value, version: Version, zone: &dyn Zone) -> Result<Option<String>> {
    match filter {
        Value::Null => Ok(None),
        Value::Object(record) => group(record, version, zone, DEPTH).map(Some),
        _ => Err(Error::new(ErrorKind::Invalid, "a filter is an object with logic and filters")),
    }
}

fn group(filter: &Record, version: Version, zone: &dyn Zone, depth: usize) -> Result<String> {
    if depth == 0 {
        return Err(Error::new(ErrorKind::Limit, "filters nest too deep"));
    }
    let logic = match filter.get("logic").and_then(Value::as_str) {
        Some("or") => " or ",
        _ => " and ",
    };
    let mut terms = Vec::new();
    for term in filter.get("filters").and_then(Value::as_array).unwrap_or_default() {
        let Value::Object(term) = term else {
            return Err(Error::new(ErrorKind::Invalid, "a filter holds conditions and groups only"));
        };
        let text = if term.contains("filters") {
            group(term, version, zone, depth - 1)?
        } else {
            condition(term, version, zone)?
        };
        if !text.is_empty() {
            terms.push(text);
        }
    }
    let text = terms.join(logic);
    Ok(if terms.len() > 1 { format!("({text})") } else { text })
}

fn condition(term: &Record, version: Version, zone: &dyn Zone) -> Result<String> {
    let Some(field) = term.get("field").map(|field| field.to_text().replace('.', "/")) else {
        return Err(Error::new(ErrorKind::Invalid, "a condition names a field"));
    };
    let operator = term.get("operator").map(Value::to_text).unwrap_or_default().to_ascii_lowercase();
    match operator.as_str() {
        "isnull" => return Ok(format!("{field} eq null")),
        "isnotnull" => return Ok(format!("{field} ne null")),
        "isempty" => return Ok(format!("{field} eq ''")),
        "isnotempty" => return Ok(format!("{field} ne ''")),
        "isnullorempty" => return Ok(format!("({field} eq null or {field} eq '')")),
        "isnotnullorempty" => return Ok(format!("({field} ne null and {field} ne '')")),
        _ => {}
    }
    let unsupported = |message: &'static str| {
        Error::new(ErrorKind::Unsupported, message).with("field", field.clone()).with("operator", operator.as_str())
    };
    let comparison = match operator.as_str() {
        "eq" | "gt" | "lt" => operator.as_str(),
        "neq" => "ne",
        "gte" => "ge",
        "lte" => "le",
        "contains" | "doesnotcontain" | "startswith" | "endswith" => "",
        _ => return Err(unsupported("OData has no such filter operator")),
    };
    let value = term.get("value").ok_or_else(|| unsupported("the condition has no value to compare with"))?;
    let ignore_case = term.get("ignoreCase").and_then(Value::as_bool) == Some(true) && value.as_str().is_some();
    let target = if ignore_case { format!("tolower({field})") } else { field.clone() };
    let literal = literal(value, version, zone);
    Ok(match (operator.as_str(), version) {
        ("contains", Version::V2) => format!("substringof({literal},{target})"),
        ("doesnotcontain", Version::V2) => format!("substringof({literal},{target}) eq false"),
        ("contains", Version::V4) => format!("contains({target},{literal})"),
        ("doesnotcontain", Version::V4) => {
            // Always quoted, as Kendo does: only text contains text.
            let text = if literal.starts_with('\'') { literal } else { format!("'{literal}'") };
            format!("indexof({target},{text}) eq -1")
        }
        ("startswith" | "endswith", _) => format!("{operator}({target},{literal})"),
        _ => format!("{target} {comparison} {literal}"),
    })
}

/// A value in a filter or key: text in single quotes, doubled inside; dates as the version wants them (R8.31).
pub fn literal(value: &Value, version: Version, zone: &dyn Zone) -> String {
    match (value, version) {
        (Value::String(text), _) => format!("'{}'", text.replace('\'', "''")),
        (Value::Date(date), Version::V2) => format!("datetime'{}'", dates::local_iso(*date, zone)),
        (Value::Date(date), Version::V4) => format!("{}+00:00", dates::local_iso(*date, &crate::Utc)),
        (other, _) => other.to_text().into(),
    }
}

/// Takes the quotes off texts that are GUIDs (R8.34).
pub fn unquote_guids(filter: &str) -> String {
    let mut out = String::with_capacity(filter.len());
    let mut rest = filter;
    while let Some((before, inner)) = rest.split_once('\'') {
        out.push_str(before);
        let guid = inner.get(..GUID).filter(|text| is_guid(text) && inner.as_bytes().get(GUID) == Some(&b'\''));
        if let Some(guid) = guid {
            out.push_str(guid);
            rest = inner.get(GUID + 1..).unwrap_or_default();
        } else {
            out.push('\'');
            rest = inner;
        }
    }
    out.push_str(rest);
    out
}

/// How long a GUID is, in characters.
const GUID: usize = 36;

/// Whether the text has the shape of a GUID.
pub fn is_guid(text: &str) -> bool {
    let mut groups = text.split('-');
    [8, 4, 4, 4, 12].iter().all(|length| {
        groups.next().is_some_and(|group| group.len() == *length && group.bytes().all(|b| b.is_ascii_hexdigit()))
    }) && groups.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, v2: &str, v4: &str) {
        let value = Value::from_json(json).unwrap();
        assert_eq!(filter(&value, Version::V2, &crate::Utc).unwrap().as_deref(), Some(v2), "v2 {json}");
        let text = filter(&value, Version::V4, &crate::Utc).unwrap().unwrap();
        assert_eq!(unquote_guids(&text), v4, "v4 {json}");
    }

    #[test]
    fn filters() {
        let one = |term: &str| format!(r#"{{"logic":"and","filters":[{term}]}}"#);
        check(&one(r#"{"field":"a.b","operator":"neq","value":"it's"}"#), "a/b ne 'it''s'", "a/b ne 'it''s'");
        check(
            &one(r#"{"field":"a","operator":"contains","value":"x","ignoreCase":true}"#),
            "substringof('x',tolower(a))",
            "contains(tolower(a),'x')",
        );
        check(
            &one(r#"{"field":"a","operator":"doesnotcontain","value":5}"#),
            "substringof(5,a) eq false",
            "indexof(a,'5') eq -1",
        );
        let guid = "2f4e9B3c-1111-2222-3333-444455556666";
        check(
            &one(&format!(r#"{{"field":"a","operator":"eq","value":"{guid}"}}"#)),
            &format!("a eq '{guid}'"),
            &format!("a eq {guid}"),
        );
        check(
            &one(&format!(r#"{{"field":"a","operator":"eq","value":"x{guid}"}}"#)),
            &format!("a eq 'x{guid}'"),
            &format!("a eq 'x{guid}'"),
        );
        check(
            &one(&format!(r#"{{"field":"a","operator":"eq","value":"{{{guid}}}"}}"#)),
            &format!("a eq '{{{guid}}}'"),
            &format!("a eq '{{{guid}}}'"),
        );
        check(
            r#"{"logic":"or","filters":[{"field":"a","operator":"eq","value":1},{"logic":"and","filters":[]},{"filters":[{"field":"b","operator":"isnull"},{"field":"c","operator":"eq","value":null}]}]}"#,
            "(a eq 1 or (b eq null and c eq null))",
            "(a eq 1 or (b eq null and c eq null))",
        );
    }

    #[test]
    fn what_odata_lacks_is_refused() {
        for term in [
            r#"{"field":"a","operator":"doesnotstartwith","value":"x"}"#,
            r#"{"field":"a","operator":"matches","value":"x"}"#,
            r#"{"field":"a","operator":"contains"}"#,
            r#"{"field":"a","value":1}"#,
        ] {
            let value = Value::from_json(&format!(r#"{{"logic":"and","filters":[{term}]}}"#)).unwrap();
            let error = filter(&value, Version::V4, &crate::Utc).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Unsupported, "{term}");
        }
        let mut deep = Record::from([("field", "a")]);
        for _ in 0..300 {
            deep = Record::from([("filters", Value::array([deep.into()]))]);
        }
        let error = filter(&Value::Object(deep), Version::V2, &crate::Utc).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Limit);
    }

    #[test]
    fn a_quoted_literal_stays_one_literal() {
        // S5: whatever the text, the quotes around it pair up.
        for text in ["'", "''", "' or 1 eq 1 or '", "a'b", "\u{2019}"] {
            let quoted = literal(&text.into(), Version::V4, &crate::Utc);
            let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap();
            assert_eq!(inner.replace("''", "'"), text);
            assert_eq!(inner.matches('\'').count() % 2, 0);
        }
    }
}
