//! Submit: all pending changes in one request (R5.10, R8.12, R8.36).
//!
//! Owns the two ways that Kendo's world knows. OData's multipart bytes belong to `odata::batch`.

use super::{Address, Kendo};
use crate::{
    DataType, Error, ErrorKind, Reply, Request, Result, Surroundings, WireReply, WireRequest, answer,
    dialect::odata::batch,
};
use landfall_core::{Body, ChangeKind, Record, Value};

/// How a submit is sent.
#[derive(Clone, Debug)]
pub enum Submit {
    /// POSTs `{"created":[…],"updated":[…],"destroyed":[…]}` as JSON; the answer's members of these names are the answers
    /// for each kind.
    Json(Address),
    /// An OData v4 `$batch`: `multipart/mixed`, one changeset per kind (R8.36), to this URL.
    ODataBatch(Address),
}

/// The member of a submit's body that holds a kind.
pub(super) const fn member(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Create => "created",
        ChangeKind::Update => "updated",
        ChangeKind::Destroy => "destroyed",
    }
}

impl Submit {
    pub(super) fn request(
        &self,
        kendo: &Kendo,
        request: &Request,
        around: &Surroundings<'_>,
    ) -> Result<Option<WireRequest>> {
        let data = request.data();
        let (address, content_type, accept, body) = match self {
            Self::Json(address) => {
                let accept = "application/json, text/javascript, */*; q=0.01";
                (address, "application/json".to_owned(), accept, data.to_json())
            }
            Self::ODataBatch(address) => {
                let mut parts = Vec::new();
                for kind in batch::ORDER {
                    for row in request.rows.iter().filter(|row| row.kind == kind) {
                        parts.push(part(kendo, row.kind, &row.record)?);
                    }
                }
                if parts.is_empty() {
                    return Ok(None);
                }
                let (boundary, body) = batch::build(&parts, around)?;
                (address, format!("multipart/mixed; boundary={boundary}"), "*/*", body)
            }
        };
        let url = address.resolve(&data, &kendo.dates)?;
        let mut sent = WireRequest::new(request.operation, "POST", &url);
        sent.set_header("Accept", accept);
        sent.set_header("Content-Type", content_type);
        if !around.is_foreign(&url) {
            sent.set_header("X-Requested-With", "XMLHttpRequest");
        }
        sent.body = Some(body.into_bytes());
        sent.expects = DataType::Json;
        Ok(Some(sent))
    }

    pub(super) fn answer(&self, request: &Request, sent: &WireRequest, reply: &WireReply) -> Result<Reply> {
        let held: Vec<(ChangeKind, usize)> = batch::ORDER
            .into_iter()
            .map(|kind| (kind, request.rows.iter().filter(|row| row.kind == kind).count()))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        match self {
            Self::ODataBatch(_) => {
                let parts = batch::parse(sent, reply, &held)?;
                Ok(Reply { parts, ..Reply::empty() })
            }
            Self::Json(_) => {
                let body = answer::json(sent, reply)?.decode()?.unwrap_or_default();
                let answered = body.as_object().cloned().unwrap_or_default();
                let parts = [ChangeKind::Create, ChangeKind::Update, ChangeKind::Destroy]
                    .into_iter()
                    .filter(|kind| held.iter().any(|(with_rows, _)| with_rows == kind))
                    .map(|kind| {
                        let rows = answered.get(member(kind)).cloned();
                        (kind, Ok(Body::Value(rows.unwrap_or_else(|| Value::array([])))))
                    })
                    .collect();
                Ok(Reply { body: Body::Value(body), parts, ..Reply::empty() })
            }
        }
    }
}

fn part(kendo: &Kendo, kind: ChangeKind, record: &Record) -> Result<batch::Part> {
    let operation = kind.into();
    let unset =
        || Error::new(ErrorKind::Config, "a batch needs the URL of each operation").with("operation", kind.as_str());
    let settings = kendo.settings(operation).ok_or_else(unset)?;
    let row = Value::Object(record.clone());
    let url = settings.url.as_ref().ok_or_else(unset)?.resolve(&row, &kendo.dates)?;
    let default = match kind {
        ChangeKind::Create => "POST",
        ChangeKind::Update => "PUT",
        ChangeKind::Destroy => "DELETE",
    };
    Ok(batch::Part {
        kind,
        method: settings.method.clone().unwrap_or_else(|| default.to_owned()),
        url,
        headers: Vec::new(),
        body: (kind != ChangeKind::Destroy).then(|| record.to_json()),
    })
}
