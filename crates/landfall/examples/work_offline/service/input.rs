//! How requests are read: query, form in jQuery's bracket style, JSON, `models`. Owns no meaning of a product.

use super::store::{Failure, Page, Row};
use serde_json::Value;

/// What a request brought, from its query and its body together.
#[derive(Debug, Default)]
pub(super) struct Input {
    members: Row,
    query: Vec<(String, String)>,
}

impl Input {
    pub(super) fn parse(query: Option<&str>, content_type: Option<&str>, body: &[u8]) -> Result<Self, Failure> {
        let mut input = Self { query: pairs(query.unwrap_or_default().as_bytes()), ..Self::default() };
        for (name, text) in &input.query {
            put(&mut input.members, name, text)?;
        }
        if body.is_empty() {
            return Ok(input);
        }
        if content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            for (name, text) in pairs(body) {
                put(&mut input.members, &name, &text)?;
            }
            return Ok(input);
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => input.members.extend(members),
            Ok(list @ Value::Array(_)) => {
                input.members.insert("models".to_owned(), list);
            }
            Ok(_) => return Err(Failure::new(400, "the body must be an object or a list")),
            Err(cause) => return Err(Failure::new(400, format!("the body is neither JSON nor a form: {cause}"))),
        }
        Ok(input)
    }

    /// A parameter as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.members.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The records: `models` (a list, its JSON text, or jQuery's brackets), else the one record of flat members.
    pub(super) fn rows(&self) -> Result<Vec<Row>, Failure> {
        let models = match self.members.get("models") {
            None => return Ok(vec![self.row()?]),
            Some(Value::String(text)) => {
                serde_json::from_str(text).map_err(|cause| Failure::new(400, format!("models is not JSON: {cause}")))?
            }
            Some(other) => other.clone(),
        };
        let rows = match models {
            Value::Array(rows) => rows,
            // Brackets give an object with the members "0", "1", ...
            Value::Object(rows) => rows.into_iter().map(|(_, row)| row).collect(),
            _ => return Err(Failure::new(400, "models must be a list")),
        };
        rows.into_iter()
            .map(|row| match row {
                Value::Object(row) => Ok(row),
                _ => Err(Failure::new(400, "models must be a list of records")),
            })
            .collect()
    }

    /// The one record of flat members.
    pub(super) fn row(&self) -> Result<Row, Failure> {
        if self.members.is_empty() {
            return Err(Failure::new(400, "no record was sent"));
        }
        Ok(self.members.clone())
    }

    /// The name of the JSONP callback. Only a name: anything else could be script of an attacker.
    pub(super) fn callback(&self) -> Result<Option<String>, Failure> {
        let Some(name) = self.text("callback") else { return Ok(None) };
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.');
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(letter) {
            return Err(Failure::new(400, "the callback must be a name"));
        }
        Ok(Some(name))
    }

    /// The query without what a JSONP client makes new for every try.
    pub(super) fn query_without_wrapping(&self) -> String {
        let kept = self.query.iter().filter(|(name, _)| !matches!(name.as_str(), "callback" | "_"));
        kept.map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join("&")
    }

    /// Paging and order: `skip` and `take`, or `page` and `pageSize` from 1; `sort[0][field]` and `sort[0][dir]`.
    pub(super) fn page(&self) -> Result<Page, Failure> {
        let number = |name: &'static str| match self.text(name) {
            None => Ok(None),
            Some(text) => match text.parse::<u32>() {
                Ok(number) => Ok(Some(number)),
                Err(cause) => Err(Failure::new(400, format!("{name}: {cause}"))),
            },
        };
        let take = number("take")?.or(number("pageSize")?);
        let skip = match (number("skip")?, number("page")?, take) {
            (Some(skip), _, _) => skip,
            (None, Some(page), Some(take)) => page.saturating_sub(1).saturating_mul(take),
            _ => 0,
        };
        let of = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let sort = match self.members.get("sort") {
            Some(Value::Object(items)) => items.values().map(|item| (of(item, "field"), of(item, "dir"))).collect(),
            Some(Value::Array(items)) => items.iter().map(|item| (of(item, "field"), of(item, "dir"))).collect(),
            _ => Vec::new(),
        };
        Ok(Page { skip, take, sort })
    }
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

/// Puts `models[0][ProductName]` where it belongs.
fn put(members: &mut Row, name: &str, text: &str) -> Result<(), Failure> {
    let (first, rest) = name.split_once('[').map_or((name, ""), |(first, rest)| (first, rest));
    let steps: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.trim_end_matches(']').split("][").collect() };
    if steps.len() > 8 {
        return Err(Failure::new(400, "a parameter is nested too deeply"));
    }
    let mut slot = members.entry(first).or_insert(Value::Null);
    for step in steps {
        if !slot.is_object() {
            *slot = Value::Object(Row::new());
        }
        let Value::Object(inner) = slot else { return Err(Failure::new(500, "unreachable")) };
        let name = if step.is_empty() { inner.len().to_string() } else { step.to_owned() };
        slot = inner.entry(name).or_insert(Value::Null);
    }
    *slot = Value::String(text.to_owned());
    Ok(())
}
