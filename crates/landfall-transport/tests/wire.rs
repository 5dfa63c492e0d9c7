//! The dialect `kendo` against the recorded requests of the reference implementation.
//!
//! Plays the cases that need no engine: reads with parameters straight from the options, and writes of rows whose changes
//! are plain. What is left out is counted by its reason; the program `wire` plays all cases through a data source.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may stop at the first surprise"
)]

use landfall_core::{ChangeKind, Date, Record, Value};
use landfall_transport::{
    Dialect, Error, ErrorKind, Operation, OutgoingRow, Request, Result, Surroundings, WireRequest, Zone,
    dialect::kendo::{Address, DataHook, Functions, Kendo, SendHook, Submit},
    url::Url,
};
use std::{borrow::Cow, collections::BTreeMap, io::Read, path::Path, sync::Arc};

const SAME: &str = "http://127.0.0.1:40001";
const CROSS: &str = "http://127.0.0.1:40002";
const STAMP: u64 = 1_700_000_000_123;

fn document(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/wire").join(name);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    Value::from_json(&text).unwrap()
}

/// The values that JSON cannot hold; `None` is undefined.
fn special(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Object(record) if record.contains("$date") => {
            Value::Date(Date::from_iso(record.get("$date")?.as_str()?).unwrap())
        }
        Value::Object(record) if record.contains("$undefined") => return None,
        Value::Object(record) if record.contains("$number") => match record.get("$number")?.as_str()? {
            "NaN" => f64::NAN.into(),
            "-0" => (-0.0).into(),
            other => panic!("{other}"),
        },
        Value::Object(record) => {
            Value::Object(record.iter().filter_map(|(name, value)| Some((name, special(value)?))).collect())
        }
        Value::Array(items) => Value::array(items.iter().map(|item| special(item).unwrap_or_default())),
        Value::String(text) => text.replace("{same}", SAME).replace("{cross}", CROSS).into(),
        other => other.clone(),
    })
}

struct Named;

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.get(name)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    member(value, name).and_then(Value::as_str).unwrap_or_default()
}

fn unknown(value: &Value) -> Error {
    Error::new(ErrorKind::Config, "not a function of the format").with("value", value.to_json())
}

impl Functions for Named {
    fn url(&self, value: &Value) -> Result<Address> {
        match text(value, "$fn") {
            "expand" => Ok(Address::template(text(value, "template"))),
            _ => Err(unknown(value)),
        }
    }

    fn data(&self, value: &Value) -> Result<Option<DataHook>> {
        match text(value, "$fn") {
            "" => Ok(None),
            "const" => {
                let data = member(value, "value").and_then(Value::as_object).cloned().unwrap();
                Ok(Some(Arc::new(move |_: &Value| data.clone())))
            }
            "keys" => Ok(Some(Arc::new(|call: &Value| {
                let names: Vec<&str> = call.as_object().unwrap().iter().map(|(name, _)| name).collect();
                Record::from([("seen", names.join(","))])
            }))),
            _ => Err(unknown(value)),
        }
    }

    fn before_send(&self, value: &Value) -> Result<SendHook> {
        let (name, to) = (text(value, "name").to_owned(), text(value, "value").to_owned());
        Ok(Arc::new(move |sent: &mut WireRequest| {
            sent.set_header(&name, &to);
            Ok(())
        }))
    }

    fn submit(&self, value: &Value) -> Result<Submit> {
        Ok(Submit::Json(text(value, "url").into()))
    }
}

/// The zones of the cases, at the instants of the cases.
#[derive(Debug)]
struct CaseZone(String);

impl Zone for CaseZone {
    fn offset_minutes(&self, _at: Date) -> i32 {
        match self.0.as_str() {
            "UTC" => 0,
            "America/New_York" => -300,
            "Europe/Sofia" => 180,
            other => panic!("{other}"),
        }
    }
    fn long_name(&self, _at: Date) -> Cow<'_, str> {
        Cow::Borrowed(match self.0.as_str() {
            "UTC" => "Coordinated Universal Time",
            "America/New_York" => "Eastern Standard Time",
            "Europe/Sofia" => "Eastern European Summer Time",
            other => panic!("{other}"),
        })
    }
}

/// The parameters of a read, as the engine would hand them over; `None` when that takes more than this.
fn read_params(options: &Value, step: &Value) -> Option<Record> {
    let on = |name: &str| member(options, name).is_some_and(Value::is_truthy);
    let mut params = Record::new();
    let number = |name: &str| member(options, name).and_then(Value::as_i64);
    if on("serverPaging")
        && let Some(size) = number("pageSize")
    {
        let page = number("page").unwrap_or(1);
        params.set("take", size);
        params.set("skip", (page - 1) * size);
        params.set("page", page);
        params.set("pageSize", size);
    }
    let list = |value: &Value| match value {
        Value::Array(items) => items.to_vec(),
        other => vec![other.clone()],
    };
    if let Some(sort) = member(options, "sort").filter(|_| on("serverSorting")) {
        let sort: Vec<Value> = list(sort).into_iter().filter(|term| !text(term, "dir").is_empty()).collect();
        params.set("sort", sort);
    }
    if let Some(filter) = member(options, "filter").filter(|_| on("serverFiltering")) {
        let filter = match filter {
            Value::Object(record) if record.contains("filters") => filter.clone(),
            other => Record::from([("logic", Value::from("and")), ("filters", Value::array(list(other)))]).into(),
        };
        // Aliases of operators are the engine's to translate.
        let known = |json: &str| {
            !json.contains("\"==\"") && !json.contains("notsubstringof") && !json.contains("\"operator\":\"!=\"")
        };
        params.set("filter", Some(filter).filter(|filter| known(&filter.to_json()))?);
    }
    if let Some(group) = member(options, "group").filter(|_| on("serverGrouping")) {
        let group = list(group).into_iter().map(|term| {
            let term = term.as_object().unwrap().clone();
            if term.contains("dir") {
                return Value::Object(term);
            }
            let mut out = Record::new();
            for (index, (name, value)) in term.iter().enumerate() {
                out.set(name, value.clone());
                if index == 0 {
                    out.set("dir", "asc");
                }
            }
            Value::Object(out)
        });
        params.set("group", Value::array(group));
    }
    if let Some(aggregate) = member(options, "aggregate").filter(|_| on("serverAggregates")) {
        params.set("aggregate", list(aggregate));
    }
    if on("groupPaging") {
        params.set("groupPaging", true);
    }
    if let Some(Value::Object(extra)) = member(step, "data") {
        for (name, value) in extra.iter() {
            params.set(name, value.clone());
        }
    }
    Some(params)
}

/// The rows of an answer to the first read.
fn rows_of(case: &Value, options: &Value) -> Option<Vec<Record>> {
    let reply = member(case, "replies").and_then(Value::as_array)?.first()?;
    let body = special(member(reply, "json").or_else(|| member(reply, "jsonp"))?)?;
    let path = member(options, "schema").and_then(|schema| member(schema, "data")).and_then(Value::as_str);
    let rows = match (path, text(options, "type")) {
        (Some(path), _) => landfall_transport::template::at(&body, path)?.clone(),
        (None, "odata") => member(member(&body, "d")?, "results")?.clone(),
        (None, "odata-v4") => member(&body, "value")?.clone(),
        _ => body,
    };
    rows.as_array()?.iter().map(|row| row.as_object().cloned()).collect()
}

/// The requests of the steps of a case, or why it cannot be played here.
fn requests(case: &Value, options: &Value) -> std::result::Result<Vec<Request>, &'static str> {
    let model = member(options, "schema").and_then(|schema| member(schema, "model"));
    if model.is_some_and(|model| model.to_json().contains("\"from\"")) {
        return Err("fields with from");
    }
    if member(options, "offlineStorage").is_some() || member(options, "autoSync").is_some() {
        return Err("needs the engine");
    }
    let id_field = model.map(|model| text(model, "id").to_owned()).unwrap_or_default();
    let batch = member(options, "batch").is_some_and(Value::is_truthy);
    let mut rows: Vec<Record> = Vec::new();
    let mut changes: Vec<(ChangeKind, Record)> = Vec::new();
    let mut out = Vec::new();
    let steps = member(case, "steps").and_then(Value::as_array).unwrap();
    for step in steps {
        let step = &special(step).unwrap();
        let position = |rows: &[Record]| {
            let id = member(step, "id")?;
            rows.iter().position(|row| row.get(&id_field) == Some(id))
        };
        match text(step, "op") {
            "read" | "fetch" => {
                out.push(Request::read(read_params(options, step).ok_or("aliases of operators")?));
                if steps.len() > 1 {
                    rows = rows_of(case, options).unwrap_or_default();
                }
            }
            "add" => {
                let row = member(step, "row").and_then(Value::as_object).unwrap().clone();
                if row.is_empty() {
                    return Err("defaults of the model");
                }
                changes.push((ChangeKind::Create, row));
            }
            "set" => {
                let at = position(&rows).ok_or("a row by index")?;
                let values = member(step, "values").and_then(Value::as_object).unwrap();
                for (name, value) in values.iter() {
                    if name.contains('.') || !rows[at].contains(name) {
                        return Err("a nested or new field");
                    }
                    rows[at].set(name, value.clone());
                }
                let row = rows[at].clone();
                changes.retain(|(_, known)| known.get(&id_field) != row.get(&id_field));
                changes.push((ChangeKind::Update, row));
                // Updates go in the order of the data.
                changes
                    .sort_by_key(|(_, row)| rows.iter().position(|known| known.get(&id_field) == row.get(&id_field)));
            }
            "remove" => {
                let at = position(&rows).ok_or("a row by index")?;
                let row = rows.remove(at);
                changes.retain(|(_, known)| known.get(&id_field) != row.get(&id_field));
                changes.push((ChangeKind::Destroy, row));
            }
            "sync" => {
                let outgoing = |kind: ChangeKind| -> Vec<OutgoingRow> {
                    changes
                        .iter()
                        .filter(|(known, _)| *known == kind)
                        .map(|(_, record)| OutgoingRow {
                            kind,
                            record: record.clone(),
                            id: record.get(&id_field).cloned(),
                            changed: Vec::new(),
                            base: None,
                        })
                        .collect()
                };
                let request = |operation: Operation, rows: Vec<OutgoingRow>| Request {
                    operation,
                    rows,
                    batch,
                    id_field: Some(id_field.as_str().into()),
                    ..Request::read(Record::new())
                };
                let kinds = [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy];
                let transport = member(options, "transport").unwrap();
                let submits = member(transport, "submit").is_some() || member(transport, "batch").is_some();
                if batch && submits {
                    out.push(request(Operation::Submit, kinds.into_iter().flat_map(outgoing).collect()));
                } else if batch {
                    let batches = kinds.into_iter().map(|kind| request(kind.into(), outgoing(kind)));
                    out.extend(batches.filter(|request| !request.rows.is_empty()));
                } else {
                    let rows = kinds.into_iter().flat_map(outgoing);
                    out.extend(rows.map(|row| request(row.kind.into(), vec![row])));
                }
            }
            _ => return Err("steps of the engine"),
        }
    }
    Ok(out)
}

/// A request in the form of the recordings.
fn recorded(sent: &WireRequest, record_headers: &[&str]) -> Record {
    let base = Url::parse(&format!("{SAME}/app/")).unwrap();
    let url = base.join(&sent.url).unwrap();
    let server = if url.port() == Some(40001) { "same" } else { "cross" };
    let mut names = vec!["accept", "content-type", "x-requested-with"];
    names.extend(record_headers);
    let headers: Record =
        names.into_iter().filter_map(|name| Some((name.to_ascii_lowercase(), sent.header(name)?))).collect();
    let body = String::from_utf8(sent.body.clone().unwrap_or_default()).unwrap();
    let clean = |text: &str| {
        let mut out = text.replace(&format!("_={STAMP}"), "_={stamp}");
        for (origin, mark) in [(SAME, "{same}"), (CROSS, "{cross}")] {
            let encoded = landfall_transport::form::component(origin);
            out = out.replace(origin, mark).replace(&encoded, mark);
        }
        if let Some(name) = sent.callback.as_ref().filter(|name| name.starts_with("jQuery")) {
            out = out.replace(name.as_str(), "{callback}");
        }
        out
    };
    let mut boundaries: Vec<String> = Vec::new();
    for line in body.lines() {
        if let Some((_, boundary)) = line.split_once("boundary=")
            && !boundaries.iter().any(|known| known == boundary)
        {
            boundaries.push(boundary.to_owned());
        }
    }
    let batch =
        sent.header("content-type").and_then(|kind| kind.split_once("boundary=")).map(|(_, name)| name.to_owned());
    let unbounded = |text: &str| {
        let mut out = clean(text);
        for (index, boundary) in boundaries.iter().enumerate() {
            out = out.replace(boundary, &format!("{{changeset{}}}", index + 1));
        }
        batch.iter().fold(out, |out, batch| out.replace(batch, "{batch}"))
    };
    let headers: Record =
        headers.iter().map(|(name, value)| (name, Value::from(unbounded(value.as_str().unwrap())))).collect();
    Record::from([
        ("server", Value::from(server)),
        ("method", sent.method.as_str().into()),
        ("path", clean(url.path()).into()),
        ("query", url.query().map(clean).into()),
        ("headers", headers.into()),
        ("body", unbounded(&body).into()),
    ])
}

/// Cases in which the dialect differs on purpose: an operator that OData lacks is an error (Q54).
const DIFFERENT: [&str; 1] = ["odata2-filter-unknown-operator"];

/// Cases whose requests show the engine's doing: which reads are made, which rows count as changed, values that the model
/// parses or adds, parameters that are there without a value.
const ENGINE: [&str; 18] = [
    "crud-create-without-model-fields",
    "crud-no-model-sync-sends-nothing",
    "crud-set-twice-sends-once",
    "data-function-sees-params",
    "fetch-is-a-read",
    "map-json-body-read-post",
    "reply-204-on-read",
    "reply-create-201-object",
    "reply-create-204",
    "reply-create-empty-then-edited",
    "reply-create-forms",
    "reply-create-without-id-is-not-sent-again",
    "reply-null",
    "row-date-form",
    "row-date-only-string",
    "row-missing-declared-fields-form",
    "row-missing-declared-fields-json",
    "row-text-coerced-by-model",
];

#[test]
fn requests_are_those_that_were_recorded() {
    let cases = document("cases.json.gz");
    let recordings = document("recorded.json.gz");
    let recordings: BTreeMap<&str, &Value> = member(&recordings, "recordings")
        .and_then(Value::as_array)
        .unwrap()
        .iter()
        .map(|recording| (text(recording, "name"), recording))
        .collect();
    let base = Url::parse(&format!("{SAME}/app/")).unwrap();
    let (mut played, mut compared) = (0, 0);
    let mut left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in member(&cases, "cases").and_then(Value::as_array).unwrap() {
        let name = text(case, "name");
        let options = special(member(case, "options").unwrap()).unwrap();
        let zone = Some(text(case, "tz")).filter(|zone| !zone.is_empty()).unwrap_or("UTC");
        let zone: Arc<dyn Zone> = Arc::new(CaseZone(zone.to_owned()));
        let kind = Some(text(&options, "type")).filter(|kind| !kind.is_empty());
        let kendo = Kendo::from_options(member(&options, "transport").unwrap(), kind, Some(zone), &Named);
        let kendo = kendo.unwrap_or_else(|error| panic!("{name}: {error}"));
        if ENGINE.contains(&name) || kendo.wants_read_cache() {
            left_out.entry("the engine's own").or_default().push(name);
            continue;
        }
        let requests = match requests(case, &options) {
            Ok(requests) => requests,
            Err(reason) => {
                left_out.entry(reason).or_default().push(name);
                continue;
            }
        };
        let expected = member(recordings[name], "requests").and_then(Value::as_array).unwrap();
        let headers: Vec<&str> = member(case, "recordHeaders")
            .and_then(Value::as_array)
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        played += 1;
        let mut sent = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            match kendo.request(request, &Surroundings::new(Some(&base), STAMP, index as u64)) {
                Ok(Some(request)) => sent.push(request),
                Ok(None) => {}
                Err(error) if DIFFERENT.contains(&name) => assert_eq!(*error.kind(), ErrorKind::Unsupported, "{name}"),
                // Kendo throws here and sends nothing.
                Err(error) if name == "odata2-write-jsonp-throws" => assert_eq!(*error.kind(), ErrorKind::Config),
                Err(error) => panic!("{name}: {error}"),
            }
        }
        if DIFFERENT.contains(&name) {
            continue;
        }
        // A sync after a failed one sends again; that is the engine's.
        let expected =
            if sent.len() < expected.len() && name.contains("again") { &expected[..sent.len()] } else { expected };
        if sent.len() != expected.len() {
            wrong.push(format!("{name}: {} requests instead of {}", sent.len(), expected.len()));
        }
        for (sent, expected) in sent.iter().zip(expected) {
            let mine = recorded(sent, &headers);
            compared += 1;
            for part in ["server", "method", "path", "query", "headers", "body"] {
                let (mine, theirs) = (mine.get(part).unwrap(), member(expected, part).unwrap());
                if mine != theirs {
                    wrong.push(format!("{name} {part}:\n  want {}\n  got  {}", theirs.to_json(), mine.to_json()));
                }
            }
        }
    }
    for (reason, names) in &left_out {
        println!("{} left out ({reason}): {}", names.len(), names.join(" "));
    }
    println!("{played} cases played, {compared} requests compared");
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((played, compared), (230, 319));
}
