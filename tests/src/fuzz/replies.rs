//! What services answer: JSON through schemas, JSONP, XML, and whole answers through the dialects.

use super::Bytes;
use landfall_core::{Body, ChangeKind, Operation, OutgoingRow, Record, Request, Schema, Text, Value};
use landfall_transport::{
    Dialect, Surroundings, WireReply, WireRequest,
    dialect::{kendo::Kendo, odata, odata::OData, rest::Rest},
    jsonp, template, xml,
};

/// A schema from options, and an answer: records without markers, or an error.
pub(super) fn reply_json(bytes: &[u8]) {
    let mut input = Bytes(bytes);
    let head = input.byte();
    let options = input.text();
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let schema = match Value::from_json(&options).ok().map(|value| Schema::from_value(&value)) {
        Some(Ok(schema)) => schema,
        Some(Err(_)) => return,
        None => {
            let mut schema = Schema::new();
            if head & 1 == 1 {
                schema = schema.data(options.as_str());
            }
            if head & 2 == 2 {
                schema = schema.total(options.as_str());
            }
            if head & 4 == 4 {
                schema = schema.groups(options.as_str());
            }
            schema
        }
    };
    let body = Body::json(&text);
    let decoded = body.decode();
    let known = serde_json::from_str::<serde_json::Value>(&text);
    assert_eq!(decoded.is_ok(), known.is_ok(), "{text}");
    let Ok(value) = decoded else { return };
    if let (Some(value), Ok(known)) = (&value, &known) {
        assert!(same(value, known), "{} for {text}", value.to_json());
    }
    if let Some(value) = &value {
        let again = value.to_json();
        assert_eq!(Value::from_json(&again).as_ref().map(Value::to_json).ok(), Some(again), "{text}");
    }
    if let Ok(answer) = schema.read_answer(value.clone(), head & 8 == 8) {
        for row in &answer.rows {
            assert!(!row.contains("__state__") && !row.contains("__landfall"), "{}", row.to_json());
            drop(schema.model().map(|model| (model.write(row.clone()), model.validate(row))));
        }
    }
    if let Ok(answer) = schema.write_answer(value) {
        for row in answer.rows.into_iter().flatten() {
            assert!(!row.contains("__state__") && !row.contains("__landfall"), "{}", row.to_json());
        }
    }
}

/// Whether we read what another reader of JSON read.
fn same(value: &Value, known: &serde_json::Value) -> bool {
    use serde_json::Value as Known;
    match (value, known) {
        (Value::Null, Known::Null) => true,
        (Value::Bool(value), Known::Bool(known)) => value == known,
        (Value::String(value), Known::String(known)) => value.as_str() == known,
        (Value::Number(value), Known::Number(known)) => match (value.as_i64(), known.as_i64()) {
            (Some(value), Some(known)) => value == known,
            _ => known.as_f64() == Some(value.as_f64()),
        },
        (Value::Array(values), Known::Array(known)) => {
            values.len() == known.len() && values.iter().zip(known).all(|(value, known)| same(value, known))
        }
        (Value::Object(record), Known::Object(known)) => {
            record.len() == known.len()
                && record.iter().zip(known).all(|((name, value), (other, known))| name == other && same(value, known))
        }
        _ => false,
    }
}

/// Text in the call of a callback: nothing but `name(JSON)` is a value.
pub(super) fn reply_jsonp(bytes: &[u8]) {
    let mut input = Bytes(bytes);
    let name = if input.flag() { "jQuery1_2".to_owned() } else { input.text() };
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    if let Ok(value) = jsonp::unwrap(&name, &text) {
        let white: &[char] = &[' ', '\t', '\r', '\n', ';'];
        let inner = text.trim_matches(white).strip_prefix(name.as_str()).unwrap();
        let inner = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap();
        assert_eq!(Value::from_json(inner).unwrap(), value);
        assert!(jsonp::is_callback_name(&name));
    }
    // What is put into the call comes out of it.
    if let Ok(value) = Value::from_json(&text) {
        let call = format!("f({});", value.to_json());
        assert_eq!(jsonp::unwrap("f", &call).unwrap().to_json(), value.to_json());
    }
}

/// An XML document: an object that can be written as JSON and read again, or an error.
pub(super) fn reply_xml(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(value) = xml::decode(&text) {
        let json = value.to_json();
        drop(Value::from_json(&json));
        drop(template::expand(
            "/{a}/{b.c}/{length}",
            &value,
            &landfall_transport::Dates::Iso,
            template::Missing::Empty,
        ));
    }
}

fn request(operation: Operation, kinds: &[ChangeKind], batch: bool) -> Request {
    let row = |(at, kind): (usize, &ChangeKind)| {
        let record = Record::from([("id", Value::from(at + 1)), ("key", "k".into())]);
        let base = Some(record.clone());
        OutgoingRow { kind: *kind, record, id: Some(Value::from(at + 1)), changed: vec![Text::from("key")], base }
    };
    let mut request = Request::read(Record::new());
    request.operation = operation;
    request.rows = kinds.iter().enumerate().map(row).collect();
    request.batch = batch;
    request.key = (operation != Operation::Read).then(|| Text::from("key-1"));
    request.id_field = Some(Text::from("id"));
    request
}

/// Whole answers, with status, headers and body, through every dialect; multipart batches of OData among them.
pub(super) fn reply_dialects(bytes: &[u8]) {
    let mut input = Bytes(bytes);
    let head = input.byte();
    let status = [200, 201, 204, 206, 299][input.below(5)];
    let content_type = match input.below(4) {
        0 => "application/json".to_owned(),
        1 => "multipart/mixed; boundary=b".to_owned(),
        2 => "multipart/mixed;boundary=\"b\"".to_owned(),
        _ => input.text(),
    };
    let body = input.rest();
    let reply = || WireReply::new(status, body).with_header("content-type", content_type.as_str());
    let base = "http://localhost/api/".parse().ok();
    let around = Surroundings::new(base.as_ref(), 1, 2);
    let (operation, kinds): (_, &[ChangeKind]) = match head & 7 {
        0 => (Operation::Read, &[]),
        1 => (Operation::Create, &[ChangeKind::Create]),
        2 => (Operation::Update, &[ChangeKind::Update, ChangeKind::Update]),
        3 => (Operation::Destroy, &[ChangeKind::Destroy]),
        _ => (Operation::Submit, &[ChangeKind::Update, ChangeKind::Destroy, ChangeKind::Create, ChangeKind::Create]),
    };
    let request = request(operation, kinds, kinds.len() > 1);
    let dialects: [&dyn Dialect; 6] = [
        &Rest::new("rows"),
        &Rest::postgrest("rows"),
        &Rest::json_server("rows"),
        &OData::v4("rows").batch("$batch"),
        &OData::v2("rows"),
        &Kendo::new(),
    ];
    for dialect in dialects {
        let Ok(Some(sent)) = dialect.request(&request, &around) else { continue };
        match dialect.answer(&request, &sent, reply()) {
            Ok(answer) => drop(answer.body.decode()),
            Err(error) => assert!(error.to_string().len() < 5_000, "an error is short enough to be read"),
        }
        let failed = dialect.failure(&request, &sent, &WireReply::new(500, body));
        assert!(failed.to_string().len() < 5_000);
    }
    let sent = WireRequest::new(Operation::Submit, "POST", "$batch");
    let sent_rows = [(ChangeKind::Update, 1), (ChangeKind::Destroy, 1), (ChangeKind::Create, 2)];
    if let Ok(results) = odata::batch::parse(&sent, &reply(), &sent_rows) {
        assert_eq!(results.len(), sent_rows.len(), "every kind has its result");
    }
}
