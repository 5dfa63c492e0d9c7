//! How the contract's service is spoken to: JSON by POST to `create`, `update`, `destroy`, and GET of `read`.

use landfall::{
    Error, ErrorKind, Record, Result, Value,
    transport::{Dialect, Operation, Reply, Request, Surroundings, WireReply, WireRequest, answer},
};
use std::collections::HashSet;

/// The service of the program's contract.
#[derive(Clone, Copy, Debug)]
pub struct Service;

/// A record as the service wants it.
fn outgoing(operation: Operation, record: &Record) -> Record {
    let mut record = record.clone();
    if operation == Operation::Create {
        record.remove("id");
    }
    record
}

fn wrong(sent: &WireRequest, what: &'static str) -> Error {
    answer::undecodable(sent, what)
}

fn foreign(sent: &WireRequest, what: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, what).applied(answer::doubt(sent))
}

/// An answered row must be the row that was sent: its key never changes.
fn check(sent: &WireRequest, ours: &Record, answered: &Value) -> Result<()> {
    let Some(row) = answered.as_object() else { return Err(wrong(sent, "a row was expected")) };
    let id = row.get("id").and_then(Value::as_i64);
    if id.is_none_or(|id| id == 0) {
        return Err(wrong(sent, "the answered row has no id"));
    }
    if row.get("key").is_some_and(|key| ours.get("key") != Some(key)) {
        return Err(foreign(sent, "the answer is about another row"));
    }
    if row.get("key").is_none() {
        return Err(wrong(sent, "the answered row has no key"));
    }
    // Only a create gives a row its id.
    if ours.get("id").and_then(Value::as_i64).is_some_and(|ours| ours != 0 && Some(ours) != id) {
        return Err(foreign(sent, "the answer is about another row"));
    }
    Ok(())
}

/// A removal is answered with the row or an empty object.
fn check_removed(sent: &WireRequest, ours: &Record, answered: &Value) -> Result<()> {
    let Some(row) = answered.as_object() else { return Err(wrong(sent, "a row or nothing was expected")) };
    let differs = |name: &str| row.get(name).is_some_and(|value| ours.get(name) != Some(value));
    if differs("key") || differs("id") {
        return Err(foreign(sent, "the answer is about another row"));
    }
    Ok(())
}

/// Ids and keys are there once each.
fn are_unique(rows: &[Value]) -> bool {
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    rows.iter().filter_map(Value::as_object).all(|row| {
        let key = row.get("key").and_then(Value::as_str);
        row.get("id").and_then(Value::as_i64).is_none_or(|id| ids.insert(id)) && key.is_none_or(|key| keys.insert(key))
    })
}

impl Dialect for Service {
    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit
    }

    fn request(&self, request: &Request, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let name = request.operation.as_str();
        if request.operation == Operation::Read {
            let sent = WireRequest::new(request.operation, "GET", name).with_header("Accept", "application/json");
            return Ok(Some(sent));
        }
        let mut rows = request.rows.iter().map(|row| outgoing(request.operation, &row.record));
        let body = if request.batch {
            Value::array(rows.map(Value::from)).to_json()
        } else {
            rows.next().unwrap_or_default().to_json()
        };
        let mut sent = WireRequest::new(request.operation, "POST", name)
            .with_header("Accept", "application/json")
            .with_header("Content-Type", "application/json")
            .with_body(body);
        sent.key.clone_from(&request.key);
        Ok(Some(sent))
    }

    fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        if request.operation == Operation::Destroy {
            if !reply.body.is_empty() {
                let body = answer::strict_json(sent, &reply)?;
                let value = body.decode().map_err(|source| wrong(sent, "the body is not JSON").caused_by(source))?;
                let rows = request.rows.iter().map(|row| &row.record);
                match value {
                    None => {}
                    Some(Value::Array(answered)) if request.batch && answered.len() == request.rows.len() => {
                        for (ours, answered) in rows.zip(answered.iter()) {
                            check_removed(sent, ours, answered)?;
                        }
                    }
                    // A list of rows may be answered with an empty object as well.
                    Some(answered) => {
                        for ours in rows {
                            check_removed(sent, ours, &answered)?;
                        }
                    }
                }
            }
            return Ok(Reply::empty());
        }
        let body = answer::strict_json(sent, &reply)?;
        let value = body.decode().map_err(|source| wrong(sent, "the body is not JSON").caused_by(source))?;
        let value = value.unwrap_or_default();
        if request.operation == Operation::Read {
            let rows = value.as_array().ok_or_else(|| wrong(sent, "a list of rows was expected"))?;
            let is_row = |row: &Value| {
                let Some(row) = row.as_object() else { return false };
                row.get("key").and_then(Value::as_str).is_some()
                    && row.get("id").and_then(Value::as_i64).is_some_and(|id| id != 0)
            };
            if !rows.iter().all(is_row) {
                return Err(wrong(sent, "a row without id and key, or no row at all"));
            }
            if !are_unique(rows) {
                return Err(wrong(sent, "two rows of one id or key"));
            }
            return Ok(Reply::with_body(value));
        }
        let ours: Vec<&Record> = request.rows.iter().map(|row| &row.record).collect();
        let answered: Vec<Value> = if request.batch {
            value.as_array().ok_or_else(|| wrong(sent, "a list of rows was expected"))?.to_vec()
        } else {
            vec![value]
        };
        if answered.len() != ours.len() {
            return Err(wrong(sent, "as many rows as were sent were expected"));
        }
        for (ours, answered) in ours.iter().zip(&answered) {
            check(sent, ours, answered)?;
        }
        Ok(Reply::with_body(Value::from(answered)))
    }
}
