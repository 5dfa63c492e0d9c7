//! The server: rows, a memory of idempotency keys, and what it never forgives.

use landfall_core::{ChangeKind, Error, ErrorKind, Found, LookUp, Operation, Record, Reply, Request, Result, Value};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) rows: BTreeMap<i64, Record>,
    next: i64,
    memory: BTreeMap<String, (String, Result<Value>)>,
    /// Rows with such a key are refused for ever.
    pub(crate) poison: BTreeSet<String>,
    /// Keys of requests that were looked at and refused.
    pub(crate) refused: BTreeSet<String>,
    /// Changes applied, per key of the row.
    pub(crate) creates: BTreeMap<String, u32>,
    pub(crate) problem: Option<String>,
    pub(crate) applied: u64,
    /// It remembers no keys.
    pub(crate) keyless: bool,
    /// Several programs write: one may change what another one removed.
    pub(crate) shared: bool,
}

fn key(record: &Record) -> String {
    record.get("key").and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Server {
    fn blame(&mut self, what: String) {
        self.problem.get_or_insert(what);
    }

    /// A row that was always there.
    pub(crate) fn plant(&mut self, key: &str) {
        self.next += 1;
        let row = Record::from([("id", Value::from(self.next)), ("key", key.into()), ("a", 0.into()), ("b", 0.into())]);
        self.rows.insert(self.next, row);
    }

    /// Whether there is a record with this key.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.rows.values().any(|row| key(row) == name)
    }

    pub(crate) fn read(&self) -> Reply {
        Reply::with_body(Value::array(self.rows.values().cloned().map(Value::from)))
    }

    /// What there is of a changed record.
    pub(crate) fn find(&self, ask: &LookUp) -> Found {
        let row = match ask.id() {
            Some(id) => id.as_i64().and_then(|id| self.rows.get(&id)),
            None => self.rows.values().find(|row| key(row) == key(&ask.row.record)),
        };
        row.cloned().map_or(Found::Missing, Found::Record)
    }

    /// Takes a request in, as often as it arrives.
    pub(crate) fn take(&mut self, request: &Request) -> Result<Reply> {
        if request.operation == Operation::Read {
            return Ok(self.read());
        }
        let id = request.key.as_ref().map(|key| key.as_str().to_owned());
        let Some(id) = id else {
            self.blame("a write without a key".to_owned());
            return Err(Error::from(ErrorKind::Status(400)));
        };
        let body = format!(
            "{} {}",
            request.operation,
            Value::array(request.rows.iter().map(|row| Value::from(row.record.clone()))).to_json()
        );
        if let (Some((known, result)), false) = (self.memory.get(&id), self.keyless) {
            if *known != body {
                let text = format!("I10: key {id} came with\n  {known}\nand with\n  {body}");
                self.blame(text);
                return Err(Error::from(ErrorKind::Status(422)));
            }
            return result.clone().map(Reply::with_body);
        }
        let result = self.apply(request);
        if result.as_ref().is_err_and(|error| error.status() == Some(400)) {
            self.refused.insert(id.clone());
        }
        if result.is_ok() {
            self.memory.insert(id, (body, result.clone()));
        }
        result.map(Reply::with_body)
    }

    fn apply(&mut self, request: &Request) -> Result<Value> {
        if request.rows.iter().any(|row| self.poison.contains(&key(&row.record))) {
            return Err(Error::from(ErrorKind::Status(400)));
        }
        let mut out = Vec::new();
        for row in &request.rows {
            if row.record.contains("__state__") || row.record.contains("__landfall") {
                self.blame(format!("a marker was sent: {}", row.record.to_json()));
            }
            let name = key(&row.record);
            let id = row.record.get("id").and_then(Value::as_i64).unwrap_or(0);
            match row.kind {
                ChangeKind::Create => {
                    if self.rows.values().any(|other| key(other) == name) {
                        self.blame(format!("I9: {name} was created twice"));
                    }
                    *self.creates.entry(name).or_default() += 1;
                    self.next += 1;
                    let mut record = row.record.clone();
                    record.set("id", self.next);
                    self.rows.insert(self.next, record.clone());
                    out.push(Value::from(record));
                }
                ChangeKind::Update => {
                    let Some(slot) = self.rows.get_mut(&id) else {
                        if self.shared && (1..=self.next).contains(&id) {
                            return Err(Error::from(ErrorKind::Status(404)));
                        }
                        self.blame(format!("I11: update of {name} with id {id}, which is not there"));
                        return Err(Error::from(ErrorKind::Status(404)));
                    };
                    for (member, value) in row.record.iter().filter(|(member, _)| *member != "srv") {
                        slot.set(member, value.clone());
                    }
                    out.push(Value::from(slot.clone()));
                }
                ChangeKind::Destroy => {
                    if id == 0 {
                        self.blame(format!("I11: removal of {name} before it was created"));
                    }
                    // A service that is told to remove several does not mind that one of them is gone.
                    if self.rows.remove(&id).is_none() && !(self.shared && request.batch) {
                        return Err(Error::from(ErrorKind::Status(404)));
                    }
                    out.push(Record::new().into());
                }
            }
            self.applied += 1;
        }
        Ok(if request.batch { Value::from(out) } else { out.pop().unwrap_or_default() })
    }
}
