//! The service of a data source whose rows are given inline (Kendo's `LocalTransport`, R5.53).
//!
//! Reads give the rows; writes are answered with what was sent. The given rows follow accepted updates, created rows
//! never get an id, removed rows come back with the next read (C49).

use async_trait::async_trait;
use landfall_core::{Operation, Record, Reply, Request, Result, Value};
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
