//! What the program prints: lines, and the kinds of errors.

use landfall::{DataSource, Error, ErrorKind, Record, Uid, Value};
use std::{collections::HashMap, fmt::Write as _, io::Write};

use super::End;

/// One line to standard output, in one write.
pub(crate) fn line(text: &str) {
    let mut bytes = String::with_capacity(text.len() + 1);
    bytes.push_str(text);
    bytes.push('\n');
    let mut out = std::io::stdout();
    if out.write_all(bytes.as_bytes()).and_then(|()| out.flush()).is_err() {
        // Nobody reads any more: there is nobody left to acknowledge anything to.
        std::process::exit(0);
    }
}

/// One line to standard error.
#[allow(clippy::print_stderr, reason = "the program talks to people here")]
pub(crate) fn note(text: &str) {
    eprintln!("{}", one_line(text));
}

/// A text without line ends.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The contract's word for a kind.
pub(crate) fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::QuotaExceeded { .. } => "full",
        ErrorKind::ReadOnly => "readonly",
        ErrorKind::Storage => "io",
        ErrorKind::Locked => "locked",
        ErrorKind::Corrupt | ErrorKind::NewerFormat => "corrupt",
        ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Config | ErrorKind::Validation => "invalid",
        ErrorKind::Closed => "closed",
        ErrorKind::TimedOut => "timeout",
        ErrorKind::Transport | ErrorKind::Offline => "net",
        ErrorKind::Status(_) => "status",
        ErrorKind::Undecodable | ErrorKind::Rejected => "protocol",
        ErrorKind::Limit => "limit",
        ErrorKind::Redirect => "redirect",
        ErrorKind::Conflict => "conflict",
        _ => "other",
    }
}

/// Kind and text of an error, as the contract's lines end.
pub(crate) fn failure(error: &Error) -> String {
    format!("{} {}", kind(error), one_line(&error.to_string()))
}

/// Whether the storage is to blame, and how the program ends then.
pub(crate) fn storage_end(error: &Error) -> Option<End> {
    match kind(error) {
        "corrupt" => Some(End::Corrupt),
        "locked" => Some(End::Locked),
        "full" | "readonly" | "io" | "closed" => Some(End::Failed),
        _ => None,
    }
}

/// The key of a row as JSON.
pub(crate) fn key_of(record: &Record) -> String {
    Value::from(record.get("key").and_then(Value::as_str).unwrap_or_default()).to_json()
}

/// Every row with its state.
pub(crate) fn rows(source: &DataSource) -> Vec<(&'static str, Record)> {
    let pending = source.pending();
    let mut states: HashMap<Uid, &'static str> = pending.iter().map(|one| (one.uid, one.kind.as_str())).collect();
    let mut out = Vec::new();
    for row in source.data() {
        out.push((states.remove(&row.uid()).unwrap_or("clean"), row.record().clone()));
    }
    for row in source.destroyed() {
        states.remove(&row.uid());
        out.push(("destroy", row.record().clone()));
    }
    // Changes of rows that the service did not mention any more.
    for one in pending {
        if states.remove(&one.uid).is_some() {
            let (kind, record) = one.waiting.unwrap_or((one.kind, one.record));
            out.push((kind.as_str(), record));
        }
    }
    out
}

/// Prints the dump.
pub(crate) fn dump(source: &DataSource) {
    let rows = rows(source);
    let mut text = String::new();
    for (state, record) in &rows {
        let _infallible = writeln!(text, "row {state} {} {}", key_of(record), record.to_json());
    }
    let _infallible = write!(text, "end {}", rows.len());
    line(&text);
}
