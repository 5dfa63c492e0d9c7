//! The judge of recordings: whether one equals the recorded one at a level, and if not, where first.

use crate::conformance::judge::{Difference, difference};
use landfall_core::{Record, Value};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The requests, byte for byte and in order.
    Requests,
    /// Also each step's promise, the error events and the final state.
    Outcome,
}

const REQUEST: [&str; 6] = ["server", "method", "path", "query", "headers", "body"];

/// The first difference of two recordings of one case.
pub fn compare(recorded: &Value, own: &Value, level: Level) -> Option<Difference> {
    difference(&view(recorded, level), &view(own, level), "")
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.get(name)
}

fn list<'a>(value: Option<&'a Value>, name: &str) -> &'a [Value] {
    value.and_then(|value| member(value, name)).and_then(Value::as_array).unwrap_or_default()
}

fn picked(value: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| (*name, member(value, name).cloned().unwrap_or_default())).collect::<Record>().into()
}

fn view(recording: &Value, level: Level) -> Value {
    let requests = list(Some(recording), "requests").iter().map(|request| picked(request, &REQUEST));
    let mut out = Record::from([("requests", Value::array(requests))]);
    if level == Level::Outcome {
        let outcome = member(recording, "outcome");
        let errors = list(outcome, "events");
        let errors = errors.iter().filter(|event| member(event, "event").and_then(Value::as_str) == Some("error"));
        out.set("steps", Value::array(list(outcome, "steps").iter().map(|step| picked(step, &["op", "promise"]))));
        out.set("events", Value::array(errors.map(as_text)));
        out.set("final", outcome.and_then(|outcome| member(outcome, "final")).map(as_text));
    }
    out.into()
}

/// As JSON text holds it: dates are text, numbers that are not finite null.
fn as_text(value: &Value) -> Value {
    Value::from_json(&value.to_json()).unwrap_or_default()
}
