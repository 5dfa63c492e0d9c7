//! OData, versions 2 and 4, as the protocol means it: entity sets, keys in parentheses, partial updates, `$batch`.
//!
//! Owns the dialect [`OData`]. Kendo's own spelling of OData, with its oddities, is
//! [`Kendo::odata_v2`](super::kendo::Kendo::odata_v2) and [`Kendo::odata_v4`](super::kendo::Kendo::odata_v4); the query
//! options are shared.

pub mod batch;
pub mod query;

pub use query::Version;

use super::Dialect;
use crate::{
    DataType, Error, ErrorKind, LookUp, Operation, OutgoingRow, Reply, Request, Result, Surroundings, Utc, WireReply,
    WireRequest, Zone, answer, form,
};
use landfall_core::{Body, ChangeKind, Record, Text, Value};
use std::sync::Arc;

/// How changed records are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// PATCH with the changed members only.
    Patch,
    /// PUT with the whole record.
    Put,
    /// MERGE with the changed members only (OData 2).
    Merge,
}

/// An OData service's entity set as a [`Dialect`].
///
/// ```
/// use landfall_transport::dialect::odata::OData;
/// let dialect = OData::v4("/odata/Products").batch("/odata/$batch");
/// ```
#[derive(Clone, Debug)]
pub struct OData {
    version: Version,
    set: String,
    update: Update,
    batch: Option<String>,
    extras: Vec<(String, String)>,
    guid_keys: bool,
    zone: Arc<dyn Zone>,
}

impl OData {
    /// OData 4: updates by PATCH.
    pub fn v4(set: impl Into<String>) -> Self {
        Self {
            version: Version::V4,
            set: set.into(),
            update: Update::Patch,
            batch: None,
            extras: Vec::new(),
            guid_keys: false,
            zone: Arc::new(Utc),
        }
    }

    /// OData 2: updates by MERGE, which servers of that version know best.
    pub fn v2(set: impl Into<String>) -> Self {
        Self { version: Version::V2, update: Update::Merge, ..Self::v4(set) }
    }

    /// How changed records are updated.
    #[must_use]
    pub fn update_by(mut self, update: Update) -> Self {
        self.update = update;
        self
    }

    /// The URL of the service's `$batch`: with a data source that batches, all changes go in one request. OData 4 only.
    #[must_use]
    pub fn batch(mut self, url: impl Into<String>) -> Self {
        self.batch = Some(url.into());
        self
    }

    /// A further query option of every read, such as `$select` or `$expand`.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extras.push((name.into(), value.into()));
        self
    }

    /// Keys that are GUIDs and not text: written without quotes (4) or as `guid'…'` (2).
    #[must_use]
    pub fn guid_keys(mut self) -> Self {
        self.guid_keys = true;
        self
    }

    /// The zone of OData 2's dates, which carry none. Default UTC.
    #[must_use]
    pub fn zone(mut self, zone: impl Zone) -> Self {
        self.zone = Arc::new(zone);
        self
    }

    fn entity(&self, row: &OutgoingRow) -> Result<String> {
        let id = row.id.as_ref().filter(|id| !id.is_null() && id.as_str() != Some(""));
        let id = id.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "an update or removal needs the record's id")
                .with("operation", row.kind.as_str())
        })?;
        let guid = id.as_str().filter(|text| self.guid_keys && query::is_guid(text));
        let literal = match (guid, self.version) {
            (Some(text), Version::V4) => text.to_owned(),
            (Some(text), Version::V2) => format!("guid'{text}'"),
            (None, _) => query::literal(id, self.version, self.zone.as_ref()),
        };
        Ok(format!("{}({})", self.set, form::component(&literal)))
    }

    /// Method, URL, headers and body of one change.
    fn change(&self, row: &OutgoingRow, id_field: Option<&Text>) -> Result<batch::Part> {
        let clean = |record: &Record| -> Record {
            record
                .iter()
                .filter(|(name, _)| !name.starts_with("@odata") && *name != "__metadata")
                .map(|(name, value)| (name, value.clone()))
                .collect()
        };
        let (method, body) = match row.kind {
            ChangeKind::Create => ("POST", Some(clean(&row.record))),
            ChangeKind::Destroy => ("DELETE", None),
            ChangeKind::Update if self.update == Update::Put => ("PUT", Some(clean(&row.record))),
            ChangeKind::Update => {
                let method = if self.update == Update::Merge { "MERGE" } else { "PATCH" };
                let changed: Record = clean(&row.record)
                    .iter()
                    .filter(|(name, _)| {
                        row.changed.iter().any(|changed| changed.as_str() == *name)
                            && id_field.is_none_or(|id| id.as_str() != *name)
                    })
                    .map(|(name, value)| (name, value.clone()))
                    .collect();
                (method, Some(changed))
            }
        };
        let url = if row.kind == ChangeKind::Create { self.set.clone() } else { self.entity(row)? };
        let mut headers = Vec::new();
        let etag = row.base.as_ref().and_then(|base| match self.version {
            Version::V4 => base.get("@odata.etag").and_then(Value::as_str),
            Version::V2 => base.get("__metadata")?.as_object()?.get("etag").and_then(Value::as_str),
        });
        if let Some(etag) = etag.filter(|_| row.kind != ChangeKind::Create) {
            headers.push(("If-Match".to_owned(), etag.to_owned()));
        }
        Ok(batch::Part {
            kind: row.kind,
            method: method.to_owned(),
            url,
            headers,
            body: body.map(|body| body.to_json()),
        })
    }

    fn submit(&self, url: &str, request: &Request, around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let mut parts = Vec::new();
        for kind in batch::ORDER {
            for row in request.rows.iter().filter(|row| row.kind == kind) {
                let mut part = self.change(row, request.id_field.as_ref())?;
                if let Some(base) = around.base() {
                    part.url = from_batch(base, url, &part.url)?;
                }
                parts.push(part);
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let (boundary, body) = batch::build(&parts, around)?;
        Ok(Some(
            WireRequest::new(request.operation, "POST", url)
                .with_header("Accept", "multipart/mixed")
                .with_header("Content-Type", format!("multipart/mixed; boundary={boundary}"))
                .with_header("OData-Version", "4.0")
                // One changeset's failure is its own: without this a server stops at the first.
                .with_header("Prefer", "odata.continue-on-error")
                .with_body(body),
        ))
    }

    fn versioned(&self, mut sent: WireRequest) -> WireRequest {
        sent.set_header("Accept", "application/json");
        match self.version {
            Version::V4 => sent.set_header("OData-MaxVersion", "4.0"),
            Version::V2 => sent.set_header("MaxDataServiceVersion", "2.0"),
        }
        sent.expecting(DataType::Json)
    }
}

impl Dialect for OData {
    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit || (self.batch.is_some() && self.version == Version::V4)
    }

    fn request(&self, request: &Request, around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        if request.operation == Operation::Read {
            let mut params = Record::new();
            match self.version {
                Version::V2 => {
                    params.set("$format", "json");
                    params.set("$inlinecount", "allpages");
                }
                Version::V4 => {
                    params.set("$count", "true");
                }
            }
            for (name, value) in &self.extras {
                params.set(name, value.as_str());
            }
            query::read_params(&mut params, &request.params, self.version, self.zone.as_ref())?;
            for local in ["group", "aggregate", "groupPaging"] {
                if params.remove(local).is_some_and(|value| !value.is_empty() || value.as_bool() == Some(true)) {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "OData cannot group or aggregate for a data source",
                    )
                    .with("option", local));
                }
            }
            let query: Vec<String> = params
                .iter()
                .map(|(name, value)| {
                    format!("{}={}", form::component(name).replace("%24", "$"), form::component(&value.to_text()))
                })
                .collect();
            let separator = if self.set.contains('?') { '&' } else { '?' };
            let url = format!("{}{separator}{}", self.set, query.join("&"));
            return Ok(Some(self.versioned(WireRequest::new(request.operation, "GET", url))));
        }
        let mut sent = match (&self.batch, request.operation) {
            (Some(url), Operation::Submit) => match self.submit(url, request, around)? {
                Some(sent) => sent,
                None => return Ok(None),
            },
            (None, Operation::Submit) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "set the URL of the service's $batch to submit changes",
                ));
            }
            _ => {
                let [row] = request.rows.as_slice() else {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "OData writes one record per request; set the URL of its $batch, or do not batch",
                    ));
                };
                let part = self.change(row, request.id_field.as_ref())?;
                let mut sent = self.versioned(WireRequest::new(request.operation, part.method, part.url));
                for (name, value) in part.headers {
                    sent.set_header(name, value);
                }
                if let Some(body) = part.body {
                    sent.set_header("Content-Type", "application/json");
                    sent.set_header("Prefer", "return=representation");
                    sent.body = Some(body.into_bytes());
                }
                sent
            }
        };
        sent.key.clone_from(&request.key);
        Ok(Some(sent))
    }

    /// By its key where it has one; else by a filter on the natural key.
    fn look_up(&self, ask: &LookUp, around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let mut sent = if ask.id().is_some() {
            let format = if self.version == Version::V2 { "?$format=json" } else { "" };
            let url = format!("{}{format}", self.entity(&ask.row)?);
            self.versioned(WireRequest::new(Operation::Read, "GET", url))
        } else if let Some((field, value)) = ask.name() {
            let term = [("field", Value::from(field)), ("operator", Value::from("eq")), ("value", value.clone())];
            let filters = Value::array([Record::from(term).into()]);
            let filter = Record::from([("logic", Value::from("and")), ("filters", filters)]);
            let read = Request::read(Record::from([("filter", Value::from(filter))]));
            let Some(sent) = self.request(&read, around)? else { return Ok(None) };
            sent
        } else {
            return Ok(None);
        };
        sent.set_header("Cache-Control", "no-cache");
        Ok(Some(sent))
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        if request.operation == Operation::Submit {
            let held: Vec<(ChangeKind, usize)> = batch::ORDER
                .into_iter()
                .map(|kind| (kind, request.rows.iter().filter(|row| row.kind == kind).count()))
                .filter(|(_, rows)| *rows > 0)
                .collect();
            return Ok(Reply { parts: batch::parse(sent, &reply, &held)?, ..Reply::empty() });
        }
        if request.operation == Operation::Destroy || reply.body.is_empty() && request.operation != Operation::Read {
            return Ok(Reply::empty());
        }
        let body = answer::strict_json(sent, &reply)?;
        match body.decode().map_err(|source| answer::undecodable(sent, "the body is not JSON").caused_by(source))? {
            Some(value) => Ok(self.unwrap(value)),
            None => Ok(Reply::empty()),
        }
    }
}

impl OData {
    /// Rows and total out of the protocol's envelope.
    fn unwrap(&self, value: Value) -> Reply {
        let Value::Object(envelope) = value else { return Reply::with_body(Body::Value(value)) };
        let (rows, total) = match self.version {
            Version::V4 => (envelope.get("value").cloned(), envelope.get("@odata.count")),
            Version::V2 => match envelope.get("d") {
                Some(Value::Object(inner)) if inner.contains("results") => {
                    (inner.get("results").cloned(), inner.get("__count"))
                }
                Some(other) => (Some(other.clone()), None),
                None => (None, None),
            },
        };
        let total = total.and_then(|total| match total {
            Value::Number(number) => number.as_u64(),
            other => other.to_text().parse().ok(),
        });
        let body = rows.unwrap_or_else(|| {
            let entity: Record = envelope
                .iter()
                .filter(|(name, _)| *name != "@odata.context")
                .map(|(name, value)| (name, value.clone()))
                .collect();
            entity.into()
        });
        Reply { total, ..Reply::with_body(Body::Value(body)) }
    }
}

/// A URL as it stands within a batch: relative to the batch's own, which every server understands, if it can be.
fn from_batch(base: &url::Url, batch: &str, url: &str) -> Result<String> {
    let batch = crate::origin::resolve_own(Some(base), batch)?;
    let url = String::from(crate::origin::resolve_own(Some(base), url)?);
    let relative = batch.join(".").ok().and_then(|root| url.strip_prefix(root.as_str()).map(str::to_owned));
    // A colon within the first segment would read as a scheme.
    let relative =
        relative.filter(|rest| !rest.is_empty() && !rest.split(['/', '?']).next().unwrap_or_default().contains(':'));
    Ok(relative.unwrap_or(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn spell(dialect: &OData, request: &Request) -> WireRequest {
        let base = Url::parse("http://h/app/").unwrap();
        dialect.request(request, &Surroundings::new(Some(&base), 0, 7)).unwrap().unwrap()
    }

    fn row(kind: ChangeKind, json: &str, id: impl Into<Value>) -> OutgoingRow {
        let record = Record::from_json(json).unwrap();
        OutgoingRow { kind, changed: vec!["Name".into()], id: Some(id.into()), base: Some(record.clone()), record }
    }

    fn write(row: OutgoingRow) -> Request {
        Request {
            operation: row.kind.into(),
            rows: vec![row],
            id_field: Some("ID".into()),
            key: Some("k1".into()),
            ..Request::read(Record::new())
        }
    }

    #[test]
    fn reads() {
        let params = r#"{"take":10,"skip":20,"page":3,"pageSize":10,"sort":[{"field":"A.B","dir":"desc"}],"filter":{"logic":"and","filters":[{"field":"Name","operator":"contains","value":"O'x"}]}}"#;
        let request = Request::read(Record::from_json(params).unwrap());
        let sent = spell(&OData::v4("/odata/Products").option("$select", "ID,Name"), &request);
        assert_eq!(
            sent.url,
            "/odata/Products?$count=true&$select=ID%2CName&$top=10&$skip=20&$orderby=A%2FB%20desc&$filter=contains(Name%2C'O''x')"
        );
        let grouped = Request::read(Record::from_json(r#"{"group":[{"field":"a"}]}"#).unwrap());
        let error = OData::v4("/p").request(&grouped, &Surroundings::new(None, 0, 0)).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn entities() {
        let dialect = OData::v4("/odata/Products");
        let update = r#"{"ID":7,"Name":"x","Other":1,"@odata.etag":"W/\"1\""}"#;
        let sent = spell(&dialect, &write(row(ChangeKind::Update, update, 7)));
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("PATCH", "/odata/Products(7)"));
        assert_eq!(sent.body.as_deref(), Some(&br#"{"Name":"x"}"#[..]));
        assert_eq!(sent.header("if-match"), Some("W/\"1\""));
        assert_eq!(sent.key.as_deref(), Some("k1"));
        let whole = spell(&dialect.clone().update_by(Update::Put), &write(row(ChangeKind::Update, update, 7)));
        assert_eq!(whole.body.as_deref(), Some(&br#"{"ID":7,"Name":"x","Other":1}"#[..]));
        let text = spell(&dialect, &write(row(ChangeKind::Destroy, "{}", "a'b/../c")));
        assert_eq!((text.method.as_str(), text.url.as_str()), ("DELETE", "/odata/Products('a''b%2F..%2Fc')"));
        let guid = "2f4e9b3c-1111-2222-3333-444455556666";
        let sent = spell(&dialect.clone().guid_keys(), &write(row(ChangeKind::Destroy, "{}", guid)));
        assert_eq!(sent.url, format!("/odata/Products({guid})"));
        let nameless =
            dialect.request(&write(row(ChangeKind::Destroy, "{}", Value::Null)), &Surroundings::new(None, 0, 0));
        assert_eq!(*nameless.unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn answers() {
        let check = |dialect: &OData, json: &str, rows: &str, total: Option<u64>| {
            let request = Request::read(Record::new());
            let sent = spell(dialect, &request);
            let reply = dialect.answer(&request, &sent, WireReply::new(200, json)).unwrap();
            assert_eq!(reply.body.decode().unwrap().unwrap().to_json(), rows);
            assert_eq!(reply.total, total);
        };
        let (v2, v4) = (OData::v2("/p"), OData::v4("/p"));
        check(&v4, r#"{"@odata.context":"x","@odata.count":77,"value":[{"ID":1}]}"#, r#"[{"ID":1}]"#, Some(77));
        check(&v4, r#"{"@odata.context":"x","ID":1}"#, r#"{"ID":1}"#, None);
        check(&v2, r#"{"d":{"results":[{"ID":1}],"__count":"77"}}"#, r#"[{"ID":1}]"#, Some(77));
        check(&v2, r#"{"d":{"ID":1}}"#, r#"{"ID":1}"#, None);
    }

    #[test]
    fn batches() {
        let dialect = OData::v4("/odata/P").batch("/odata/$batch");
        let mut request = write(row(ChangeKind::Create, r#"{"Name":"n"}"#, Value::Null));
        request.rows.push(row(ChangeKind::Update, r#"{"ID":1,"Name":"m"}"#, 1));
        request.operation = Operation::Submit;
        let sent = spell(&dialect, &request);
        let body = String::from_utf8(sent.body.unwrap()).unwrap();
        let update = body.find("PATCH P(1) HTTP/1.1\r\n").unwrap();
        let create = body.find("POST P HTTP/1.1\r\n").unwrap();
        assert!(update < create);
        assert_eq!(sent.headers.iter().find(|(name, _)| name == "Prefer").unwrap().1, "odata.continue-on-error");
        request.rows.clear();
        assert!(dialect.request(&request, &Surroundings::new(None, 0, 0)).unwrap().is_none());
    }

    #[test]
    fn urls_within_a_batch_are_relative_to_it_if_they_can_be() {
        let base = Url::parse("http://h/app/").unwrap();
        for (batch, url, expected) in [
            ("odata/$batch", "odata/P('x')", "P('x')"),
            ("odata/$batch?sap-client=1", "odata/P(1)", "P(1)"),
            ("/other/$batch", "odata/P(1)", "http://h/app/odata/P(1)"),
            ("odata/$batch", "https://elsewhere/odata/P(1)", "https://elsewhere/odata/P(1)"),
            ("odata/$batch", "odata/a:b", "http://h/app/odata/a:b"),
            ("odata/$batch", "odata/P/a:b", "P/a:b"),
            ("odata/$batch", "odata/", "http://h/app/odata/"),
        ] {
            assert_eq!(from_batch(&base, batch, url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn look_ups() {
        let base = Url::parse("http://h/app/").unwrap();
        let around = Surroundings::new(Some(&base), 0, 7);
        let ask = |kind, id: Value| LookUp {
            row: OutgoingRow {
                kind,
                record: Record::from_json(r#"{"ID":7,"Name":"x"}"#).unwrap(),
                id: Some(id),
                changed: Vec::new(),
                base: None,
            },
            id_field: Some("ID".into()),
            natural_key: Some("Name".into()),
            key: None,
        };
        for (dialect, kind, expected, empty) in [
            (OData::v4("/P"), ChangeKind::Update, "/P(7)", r#"{"ID":7}"#),
            (OData::v2("/P"), ChangeKind::Update, "/P(7)?$format=json", r#"{"d":{"ID":7}}"#),
            (OData::v4("/P"), ChangeKind::Create, "/P?$count=true&$filter=Name%20eq%20'x'", r#"{"value":[]}"#),
        ] {
            let ask = ask(kind, 7.into());
            let sent = dialect.look_up(&ask, &around).unwrap().unwrap();
            assert_eq!(sent.url.replace('+', "%20"), expected);
            let found = dialect.found(&ask, &sent, WireReply::new(200, empty)).unwrap();
            match kind {
                ChangeKind::Create => assert_eq!(found, crate::Found::Missing),
                _ => assert!(matches!(found, crate::Found::Record(record) if record.get("ID").is_some())),
            }
        }
    }
}
