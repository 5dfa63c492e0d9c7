//! Form encoding as jQuery does it, and percent-encoding as `encodeURIComponent` does it.
//!
//! Owns the bracket rule. Never knows where the text goes: `%20` stays `%20` here.

use crate::Dates;
use landfall_core::{Record, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What `encodeURIComponent` leaves: letters, digits and `- _ . ! ~ * ' ( )`.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Percent-encodes as `encodeURIComponent`.
pub fn component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// How parameters become form text.
#[derive(Clone, Debug, Default)]
pub struct FormRules {
    /// Lists as repeated plain names, nothing nested (jQuery's `traditional`). Default: brackets.
    pub traditional: bool,
    /// How dates are written.
    pub dates: Dates,
}

/// Encodes parameters as `jQuery.param` does (R8.19), depth first and in member order: `a[b]=1&list[]=2&rows[0][x]=3`,
/// percent-encoded. Null is an empty value; empty lists and objects vanish.
pub fn encode(params: &Record, rules: &FormRules) -> String {
    let mut out = String::new();
    for (name, value) in params.iter() {
        build(&mut out, name, value, rules);
    }
    out
}

fn build(out: &mut String, prefix: &str, value: &Value, rules: &FormRules) {
    match value {
        Value::Array(items) => {
            // A name that ends in `[]` already takes its items as they are.
            let plain = rules.traditional || prefix.ends_with("[]");
            for (index, item) in items.iter().enumerate() {
                if plain {
                    add(out, prefix, item, rules);
                } else if matches!(item, Value::Array(_) | Value::Object(_) | Value::Date(_)) {
                    build(out, &format!("{prefix}[{index}]"), item, rules);
                } else {
                    build(out, &format!("{prefix}[]"), item, rules);
                }
            }
        }
        Value::Object(record) if !rules.traditional => {
            for (name, value) in record.iter() {
                build(out, &format!("{prefix}[{name}]"), value, rules);
            }
        }
        scalar => add(out, prefix, scalar, rules),
    }
}

fn add(out: &mut String, name: &str, value: &Value, rules: &FormRules) {
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(&component(name));
    out.push('=');
    if !value.is_null() {
        out.push_str(&component(&text(value, &rules.dates)));
    }
}

/// JavaScript's `String(value)`, with dates as told.
pub fn text(value: &Value, dates: &Dates) -> String {
    match value {
        Value::Date(date) => dates.text(*date),
        Value::Array(items) => {
            let parts: Vec<String> =
                items.iter().map(|item| if item.is_null() { String::new() } else { text(item, dates) }).collect();
            parts.join(",")
        }
        other => other.to_text().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, traditional: bool, expected: &str) {
        let rules = FormRules { traditional, dates: Dates::Iso };
        let text = encode(&Record::from_json(json).unwrap(), &rules);
        let decoded = percent_encoding::percent_decode_str(&text).decode_utf8().unwrap();
        assert_eq!(decoded, expected, "{json}");
    }

    #[test]
    fn brackets() {
        check(r#"{"q":1,"arr":[1,2],"o":{"x":1},"n":null,"b":true}"#, false, "q=1&arr[]=1&arr[]=2&o[x]=1&n=&b=true");
        check(
            r#"{"l":[{"a":1},{"a":2,"b":[3,4]}],"e":[],"f":{}}"#,
            false,
            "l[0][a]=1&l[1][a]=2&l[1][b][]=3&l[1][b][]=4",
        );
        check(r#"{"m":[[1,2],[],["x"]]}"#, false, "m[0][]=1&m[0][]=2&m[2][]=x");
        check(r#"{"a[]":[1,[2,3]]}"#, false, "a[]=1&a[]=2,3");
        check(r#"{"l":[null,1]}"#, false, "l[]=&l[]=1");
        check(r#"{"ids":[1,2],"o":{"x":1},"m":[[1,2]]}"#, true, "ids=1&ids=2&o=[object Object]&m=1,2");
    }

    #[test]
    fn characters() {
        assert_eq!(
            component("!*()~-_.;/?:@$,#%'+ \"é🐎"),
            "!*()~-_.%3B%2F%3F%3A%40%24%2C%23%25'%2B%20%22%C3%A9%F0%9F%90%8E"
        );
    }

    #[test]
    fn dates_in_lists_keep_their_place() {
        let date = landfall_core::Date::from_millis(0);
        let record = Record::from([("d", Value::array([Value::Date(date)]))]);
        assert_eq!(encode(&record, &FormRules::default()), "d%5B0%5D=1970-01-01T00%3A00%3A00.000Z");
    }
}
