//! URL templates: `/products/{ProductID}` with percent-encoded values.
//!
//! Owns the expansion. Never lets a value change which path the URL has.

use crate::{Dates, Error, ErrorKind, Result, form};
use landfall_core::Value;

/// What happens to a placeholder whose value is absent, null or the empty text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It gives nothing.
    Empty,
    /// The request is refused.
    Refused,
}

/// Replaces each `{path}` by the percent-encoded value at that dotted path.
///
/// # Errors
/// [`ErrorKind::Invalid`] when a value is missing and that is [refused](Missing::Refused), or when a whole path segment
/// would become `.` or `..`.
pub fn expand(template: &str, data: &Value, dates: &Dates, missing: Missing) -> Result<String> {
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((path, tail)) = after.split_once('}') else {
            break;
        };
        out.push_str(before);
        let value = at(data, path).filter(|value| !value.is_null());
        let text = match value {
            Some(value) => form::text(value, dates),
            None => length(data, path).map(|length| length.to_string()).unwrap_or_default(),
        };
        if text.is_empty() && missing == Missing::Refused {
            return Err(Error::new(ErrorKind::Invalid, "a value that the URL needs is missing").with("member", path));
        }
        if matches!(text.as_str(), "." | "..") {
            return Err(Error::new(ErrorKind::Invalid, "a value would change the path of the URL").with("member", path));
        }
        out.push_str(&form::component(&text));
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// The value at a dotted path; the members of lists have their index as name.
pub fn at<'a>(data: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(data, |value, name| match value {
        Value::Object(record) => record.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The number of items of a list, or of UTF-16 units of a text, for a path that ends in `length` as in JavaScript.
fn length(data: &Value, path: &str) -> Option<usize> {
    let parent = match path.rsplit_once('.') {
        Some((parent, "length")) => at(data, parent)?,
        _ => return None,
    };
    match parent {
        Value::Array(items) => Some(items.len()),
        Value::String(text) => Some(text.encode_utf16().count()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_never_leave_their_place() {
        let data = Value::from_json(r#"{"id":7,"s":"a/b ?#%c","o":{"x":["q"]},"n":null,"up":"..","e":""}"#).unwrap();
        let expand = |template: &str, missing| expand(template, &data, &Dates::Iso, missing);
        for (template, expected) in [
            ("/p/{id}", "/p/7"),
            ("/p({id})/{s}", "/p(7)/a%2Fb%20%3F%23%25c"),
            ("/p/{o.x.0}", "/p/q"),
            ("/p/{n}/{nope}/{e}", "/p///"),
            ("/p/{o.x.length}/{s.length}/{id.length}", "/p/1/8/"),
            ("/p/{open", "/p/{open"),
            ("/p", "/p"),
        ] {
            assert_eq!(expand(template, Missing::Empty).unwrap(), expected);
        }
        for template in ["/p/{n}", "/p/{nope}", "/p/{e}", "/p/{up}"] {
            assert_eq!(*expand(template, Missing::Refused).unwrap_err().kind(), ErrorKind::Invalid, "{template}");
        }
        assert!(expand("/p/{up}", Missing::Empty).is_err());
    }
}
