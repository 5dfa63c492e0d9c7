//! The service of a data source whose rows are given inline (Kendo's `LocalTransport`, R5.53).
//!
//! Reads give the rows; writes are answered with what was sent. The given rows follow accepted and pushed updates, created
//! rows never get an id, removed rows come back with the next read (C49).

use async_trait::async_trait;
use landfall_core::{Operation, Path, Record, Reply, Request, Result, Value};
use landfall_transport::Transport;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
pub(crate) struct LocalTransport {
    rows: Mutex<Vec<Record>>,
}

impl LocalTransport {
    pub(crate) fn new(rows: Vec<Record>) -> Self {
        Self { rows: Mutex::new(rows) }
    }

    /// Takes over what was pushed for rows that are here: member by member, also inside of objects (R0.14, R4.38).
    pub(crate) fn follow(&self, pushed: &[Record], id_member: &str) {
        let member = Path::parse(id_member);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for pushed in pushed {
            let Some(id) = member.get(pushed).map(Value::to_text) else { continue };
            let same = |row: &&mut Record| member.get(row).is_some_and(|other| other.to_text() == id);
            if let Some(row) = rows.iter_mut().find(same) {
                merge(row, pushed);
            }
        }
    }
}

#[async_trait]
impl Transport for LocalTransport {
    async fn send(&self, request: Request) -> Result<Reply> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if request.operation == Operation::Read {
            return Ok(Reply::with_body(Value::array(rows.iter().cloned().map(Value::from))));
        }
        if let (Operation::Update, Some(field)) = (request.operation, &request.id_field) {
            for sent in &request.rows {
                let id = sent.record.get(field);
                if let Some(row) = rows.iter_mut().find(|row| row.get(field) == id && id.is_some()) {
                    for (name, value) in sent.record.iter() {
                        row.set(name, value.clone());
                    }
                }
            }
        }
        Ok(Reply::with_body(Value::array(request.rows.into_iter().map(|row| Value::from(row.record)))))
    }

    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit
    }
}

fn merge(row: &mut Record, pushed: &Record) {
    for (name, value) in pushed.iter() {
        if let (Some(Value::Object(old)), Value::Object(new)) = (row.get(name), value) {
            let mut merged = old.clone();
            merge(&mut merged, new);
            row.set(name, merged);
        } else {
            row.set(name, value.clone());
        }
    }
}
