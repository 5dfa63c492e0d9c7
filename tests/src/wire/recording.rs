//! Recordings: the form in which requests are written down. Owns the placeholders.

use super::{
    case::{Case, Origins},
    servers::Received,
};
use landfall_core::{Record, Value};
use landfall_transport::form;
use regex_lite::Regex;
use std::sync::OnceLock;

/// The headers that are always recorded.
const STANDARD: [&str; 3] = ["accept", "content-type", "x-requested-with"];

#[expect(clippy::expect_used, reason = "the patterns are constants, and every run of the program compiles them")]
fn pattern(cell: &'static OnceLock<Regex>, text: &str) -> &'static Regex {
    cell.get_or_init(|| Regex::new(text).expect("a pattern"))
}

/// The form of generated callback names.
pub(super) fn generated_callback() -> &'static Regex {
    static CELL: OnceLock<Regex> = OnceLock::new();
    pattern(&CELL, "jQuery[0-9]+_[0-9]+")
}

/// One request in the form of the recordings.
pub(super) fn of(case: &Case, origins: &Origins, received: &Received) -> Value {
    static STAMP: OnceLock<Regex> = OnceLock::new();
    static BOUNDARY: OnceLock<Regex> = OnceLock::new();
    let body = String::from_utf8_lossy(&received.body);
    let header = |name: &str| {
        received.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let boundary = |text: &str| {
        let found = pattern(&BOUNDARY, "boundary=([^;\\s]+)").captures_iter(text);
        found.filter_map(|found| found.get(1).map(|name| name.as_str().to_owned())).collect::<Vec<String>>()
    };
    let mut marks: Vec<(String, String)> = Vec::new();
    if header("content-type").starts_with("multipart/mixed") {
        let batch = boundary(header("content-type")).into_iter().map(|name| (name, "{batch}".to_owned()));
        let mut changesets = boundary(&body);
        changesets.dedup();
        let changesets = changesets.into_iter().enumerate();
        marks.extend(batch.chain(changesets.map(|(at, name)| (name, format!("{{changeset{}}}", at + 1)))));
    }
    let clean = |text: &str| {
        let mut out = generated_callback().replace_all(text, "{callback}").into_owned();
        for (origin, mark) in [(&origins.same, "{same}"), (&origins.cross, "{cross}")] {
            out = out.replace(origin.as_str(), mark).replace(&form::component(origin), mark);
        }
        marks.iter().fold(out, |out, (name, mark)| out.replace(name.as_str(), mark))
    };
    let (path, query) = match received.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (received.target.as_str(), None),
    };
    let query = query.map(|query| {
        let stamped = pattern(&STAMP, "(^|&)_=[0-9]+").replace_all(query, "${1}_={stamp}").into_owned();
        clean(&stamped)
    });
    let recorded = |name: &str| STANDARD.contains(&name) || case.headers.iter().any(|known| known == name);
    let headers: Record = received
        .headers
        .iter()
        .filter(|(name, _)| recorded(name))
        .map(|(name, value)| (name.as_str(), Value::from(clean(value))))
        .collect();
    Record::from([
        ("server", Value::from(received.server)),
        ("method", Value::from(received.method.as_str())),
        ("path", Value::from(clean(path))),
        ("query", query.into()),
        ("headers", headers.into()),
        ("body", Value::from(clean(&body))),
    ])
    .into()
}
