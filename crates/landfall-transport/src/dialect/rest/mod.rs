//! Plain REST: JSON bodies, `POST /`, `PUT` or `PATCH` and `DELETE` on `/{id}`, and a configurable query.
//!
//! Owns the dialect [`Rest`] with presets for services in the style of json-server and `PostgREST`. Never writes without
//! knowing which record is meant.
//!
//! ```
//! use landfall_transport::dialect::rest::Rest;
//! let plain = Rest::new("/products");
//! let json_server = Rest::json_server("/posts");
//! let postgrest = Rest::postgrest("/people");
//! ```

mod query;

pub use query::{Filtering, Paging, Sorting};

use super::Dialect;
use crate::{
    DataType, Error, ErrorKind, LookUp, Operation, OutgoingRow, Reply, Request, Result, Surroundings, WireReply,
    WireRequest, answer, form,
};
use landfall_core::{Body, Record, Text, Value};

/// How changed records are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// PUT with the whole record.
    Put,
    /// PATCH with the changed members only.
    Patch,
}

/// Where the record of a write is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// In the path: `/products/7`.
    Path,
    /// In a filter, as `PostgREST` wants it: `/people?id=eq.7`.
    Filter,
}

/// Where the total number of records is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Total {
    /// Where the schema says.
    Schema,
    /// In a header of this name, as a number; `X-Total-Count`.
    Header(String),
    /// After the slash of `Content-Range: items 0-14/77`.
    ContentRange,
    /// At this dotted path of the answer.
    Path(String),
}

/// A REST collection as a [`Dialect`].
#[derive(Clone, Debug)]
pub struct Rest {
    collection: String,
    update: Update,
    target: Target,
    paging: Paging,
    sorting: Sorting,
    filtering: Filtering,
    total: Total,
    rows: Option<String>,
    list_create: bool,
    write_headers: Vec<(String, String)>,
    read_headers: Vec<(String, String)>,
    id: Option<Text>,
    version: Option<Text>,
}

impl Rest {
    /// A collection at this URL (relative to the channel's base, or absolute). Updates by PUT, pages by `page` and
    /// `pageSize`, sorts by `sort=a,-b`, cannot filter, finds the total where the schema says.
    pub fn new(collection: impl Into<String>) -> Self {
        Self {
            collection: collection.into().trim_end_matches('/').to_owned(),
            update: Update::Put,
            target: Target::Path,
            paging: Paging::Page("page".into(), "pageSize".into()),
            sorting: Sorting::Minus("sort".into()),
            filtering: Filtering::None,
            total: Total::Schema,
            rows: None,
            list_create: false,
            write_headers: Vec::new(),
            read_headers: Vec::new(),
            id: None,
            version: None,
        }
    }

    /// In the style of json-server's first version (0.17): `_page`, `_limit`, `_sort`, `_order`, `name_gte=…`, the total
    /// in `X-Total-Count`, updates by PATCH.
    pub fn json_server(collection: impl Into<String>) -> Self {
        Self::new(collection)
            .update_by(Update::Patch)
            .paging(Paging::Page("_page".into(), "_limit".into()))
            .sorting(Sorting::FieldsAndOrders("_sort".into(), "_order".into()))
            .filtering(Filtering::Suffix)
            .total(Total::Header("X-Total-Count".into()))
    }

    /// In the style of json-server's version 1: `_page`, `_per_page`, `_sort=-a`, `name:gte=…`, pages as
    /// `{"data":[…],"items":77}`, updates by PATCH.
    pub fn json_server_v1(collection: impl Into<String>) -> Self {
        Self::new(collection)
            .update_by(Update::Patch)
            .paging(Paging::Page("_page".into(), "_per_page".into()))
            .sorting(Sorting::Minus("_sort".into()))
            .filtering(Filtering::Colon)
            .total(Total::Path("items".into()))
            .rows_at("data")
    }

    /// In the style of `PostgREST`: `offset`, `limit`, `order=a.desc`, `name=gte.…`, the total in `Content-Range`, the target
    /// of a write in a filter, lists on create, rows back on request.
    pub fn postgrest(collection: impl Into<String>) -> Self {
        let mut rest = Self::new(collection)
            .update_by(Update::Patch)
            .target(Target::Filter)
            .paging(Paging::Skip("offset".into(), "limit".into()))
            .sorting(Sorting::Dotted("order".into()))
            .filtering(Filtering::PostgRest)
            .total(Total::ContentRange)
            .list_create(true);
        rest.write_headers.push(("Prefer".into(), "return=representation".into()));
        rest.read_headers.push(("Prefer".into(), "count=exact".into()));
        rest
    }

    /// How changed records are updated. Default PUT.
    #[must_use]
    pub fn update_by(mut self, update: Update) -> Self {
        self.update = update;
        self
    }

    /// Where the record of a write is named. Default: in the path.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// How pages are asked for.
    #[must_use]
    pub fn paging(mut self, paging: Paging) -> Self {
        self.paging = paging;
        self
    }

    /// How an order is asked for.
    #[must_use]
    pub fn sorting(mut self, sorting: Sorting) -> Self {
        self.sorting = sorting;
        self
    }

    /// How a filter is asked for.
    #[must_use]
    pub fn filtering(mut self, filtering: Filtering) -> Self {
        self.filtering = filtering;
        self
    }

    /// Where the total is found.
    #[must_use]
    pub fn total(mut self, total: Total) -> Self {
        self.total = total;
        self
    }

    /// The dotted path of the rows, if the answer to a read is an object that has it.
    #[must_use]
    pub fn rows_at(mut self, path: impl Into<String>) -> Self {
        self.rows = Some(path.into());
        self
    }

    /// Whether a POST may carry a list of records, so that creates can be batched. Default `false`.
    #[must_use]
    pub fn list_create(mut self, list_create: bool) -> Self {
        self.list_create = list_create;
        self
    }

    /// A header of every write.
    #[must_use]
    pub fn write_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.write_headers.push((name.into(), value.into()));
        self
    }

    /// A header of every read.
    #[must_use]
    pub fn read_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.read_headers.push((name.into(), value.into()));
        self
    }

    /// The name of the id in a [filter](Target::Filter). Default: the model's.
    #[must_use]
    pub fn id(mut self, name: impl Into<Text>) -> Self {
        self.id = Some(name.into());
        self
    }

    /// The member that holds a record's version or entity tag: updates and removals say by `If-Match` which version they are
    /// about, and a service that has another one by now answers 412, a conflict. What is no entity tag yet (`"…"`, `W/"…"`)
    /// is put into quotation marks. Default: none, the last writer wins.
    #[must_use]
    pub fn version_field(mut self, name: impl Into<Text>) -> Self {
        self.version = Some(name.into());
        self
    }

    /// The precondition of a write: the version that the record was edited on. It is the record's own, and so the same for
    /// every try of it.
    fn if_match(&self, row: &OutgoingRow) -> Option<String> {
        let version = row.record.get(self.version.as_ref()?)?;
        let text = String::from(version.to_text());
        if version.is_null() || text.is_empty() {
            return None;
        }
        Some(if text.ends_with('"') { text } else { format!("\"{text}\"") })
    }

    /// The URL of one record. A write without a target would hit the whole collection, so it is refused.
    fn record_url(&self, row: &OutgoingRow, id_field: Option<&Text>) -> Result<String> {
        let refuse =
            |message: &'static str| Error::new(ErrorKind::Invalid, message).with("operation", row.kind.as_str());
        let id = match &row.id {
            Some(id @ (Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Date(_))) => {
                String::from(id.to_text())
            }
            _ => return Err(refuse("an update or removal needs the record's id")),
        };
        if id.is_empty() || id == "." || id == ".." {
            return Err(refuse("this id cannot stand in a URL"));
        }
        Ok(match self.target {
            Target::Path => {
                // The path ends where a query of the configured URL begins.
                let (path, query) =
                    self.collection.split_at(self.collection.find('?').unwrap_or(self.collection.len()));
                format!("{}/{}{query}", path.trim_end_matches('/'), form::component(&id))
            }
            Target::Filter => {
                let name = self.id.as_ref().or(id_field).ok_or_else(|| refuse("the name of the id is not known"))?;
                query::appended(&self.collection, &[(name.as_str().to_owned(), format!("eq.{id}"))])
            }
        })
    }

    fn write(&self, request: &Request) -> Result<WireRequest> {
        let unsupported = |message: &'static str| {
            Error::new(ErrorKind::Unsupported, message).with("operation", request.operation.as_str())
        };
        let id_field = request.id_field.as_ref();
        let json = |method: &str, url: String, body: String| {
            WireRequest::new(request.operation, method, url)
                .with_header("Content-Type", "application/json")
                .with_body(body)
        };
        if request.batch && request.operation == Operation::Create && self.list_create {
            let rows = Value::array(request.rows.iter().map(|row| row.record.clone().into()));
            return Ok(json("POST", self.collection.clone(), rows.to_json()));
        }
        let [row] = request.rows.as_slice() else {
            return Err(unsupported("this service writes one record per request; do not batch"));
        };
        Ok(match request.operation {
            Operation::Create => json("POST", self.collection.clone(), row.record.to_json()),
            Operation::Update => {
                let url = self.record_url(row, id_field)?;
                match self.update {
                    Update::Put => json("PUT", url, row.record.to_json()),
                    Update::Patch => {
                        let changed: Record = row
                            .record
                            .iter()
                            .filter(|(name, _)| row.changed.iter().any(|changed| changed.as_str() == *name))
                            .map(|(name, value)| (name, value.clone()))
                            .collect();
                        json("PATCH", url, changed.to_json())
                    }
                }
            }
            Operation::Destroy => WireRequest::new(request.operation, "DELETE", self.record_url(row, id_field)?),
            Operation::Read | Operation::Submit => {
                return Err(unsupported("a plain REST service has no such operation"));
            }
        })
    }

    fn read_total(&self, reply: &WireReply) -> Option<u64> {
        match &self.total {
            Total::Header(name) => reply.header(name)?.trim().parse().ok(),
            Total::ContentRange => reply.header("content-range")?.rsplit_once('/')?.1.trim().parse().ok(),
            Total::Schema | Total::Path(_) => None,
        }
    }
}

impl Dialect for Rest {
    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit
    }

    fn request(&self, request: &Request, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let (mut sent, headers) = if request.operation == Operation::Read {
            let pairs = query::pairs(&self.paging, &self.sorting, &self.filtering, &request.params)?;
            let url = query::appended(&self.collection, &pairs);
            (WireRequest::new(request.operation, "GET", url), &self.read_headers)
        } else {
            (self.write(request)?, &self.write_headers)
        };
        sent.set_header("Accept", "application/json");
        for (name, value) in headers {
            sent.set_header(name, value);
        }
        if let (Operation::Update | Operation::Destroy, [row]) = (request.operation, request.rows.as_slice())
            && let Some(version) = self.if_match(row)
        {
            sent.set_header("If-Match", &version);
        }
        sent.key.clone_from(&request.key);
        Ok(Some(sent.expecting(DataType::Json)))
    }

    fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        let write = request.operation != Operation::Read;
        if write && reply.body.is_empty() {
            return Ok(Reply::empty());
        }
        let mut total = self.read_total(&reply);
        let body = answer::strict_json(sent, &reply)?;
        if request.operation == Operation::Destroy {
            // Whatever JSON it is, the record is gone.
            return Ok(Reply::empty());
        }
        let path = match &self.total {
            Total::Path(path) => Some(path),
            _ => None,
        };
        let envelope = !write && (path.is_some() || self.rows.is_some());
        if !envelope {
            return Ok(Reply { total, ..Reply::with_body(body) });
        }
        let value = body
            .decode()
            .map_err(|source| answer::undecodable(sent, "the body is not JSON").caused_by(source))?
            .unwrap_or_default();
        let found = path.and_then(|path| crate::template::at(&value, path));
        total = total.or_else(|| found.and_then(Value::as_number).and_then(landfall_core::Number::as_u64));
        let rows = self.rows.as_ref().and_then(|path| crate::template::at(&value, path)).cloned();
        Ok(Reply { total, ..Reply::with_body(Body::Value(rows.unwrap_or(value))) })
    }

    /// By its id where it has one; else by the natural key, where the service filters.
    fn look_up(&self, ask: &LookUp, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let url = if ask.id().is_some() {
            self.record_url(&ask.row, ask.id_field.as_ref())?
        } else if let (Some((field, value)), true) = (ask.name(), self.filtering != Filtering::None) {
            let filter = Record::from([
                ("field", Value::from(field)),
                ("operator", Value::from("eq")),
                ("value", value.clone()),
            ]);
            let filter = Record::from([("logic", Value::from("and")), ("filters", Value::array([filter.into()]))]);
            let params = Record::from([("filter", Value::from(filter))]);
            query::appended(&self.collection, &query::pairs(&self.paging, &self.sorting, &self.filtering, &params)?)
        } else {
            return Ok(None);
        };
        let mut sent = WireRequest::new(Operation::Read, "GET", url);
        sent.set_header("Accept", "application/json");
        sent.set_header("Cache-Control", "no-cache");
        for (name, value) in &self.read_headers {
            sent.set_header(name, value);
        }
        Ok(Some(sent.expecting(DataType::Json)))
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        if self.collection.is_empty() {
            return Err(Error::new(ErrorKind::Config, "the collection's URL is empty"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_core::ChangeKind;

    fn request(kind: ChangeKind, json: &str, id: impl Into<Value>) -> Request {
        let row = OutgoingRow {
            kind,
            record: Record::from_json(json).unwrap(),
            id: Some(id.into()),
            changed: vec!["name".into()],
            base: None,
        };
        Request {
            operation: kind.into(),
            rows: vec![row],
            id_field: Some("id".into()),
            key: Some("k".into()),
            ..Request::read(Record::new())
        }
    }

    fn spell(dialect: &Rest, request: &Request) -> Result<(String, String)> {
        let sent = dialect.request(request, &Surroundings::new(None, 0, 0))?.unwrap();
        let body = sent.body.map(|body| String::from_utf8(body).unwrap()).unwrap_or_default();
        Ok((format!("{} {}", sent.method, sent.url), body))
    }

    #[test]
    fn writes() {
        let row = r#"{"id":7,"name":"x","other":1}"#;
        let rest = Rest::new("/posts/");
        let check = |dialect: &Rest, kind, line: &str, body: &str| {
            assert_eq!(spell(dialect, &request(kind, row, 7)).unwrap(), (line.to_owned(), body.to_owned()));
        };
        check(&rest, ChangeKind::Create, "POST /posts", row);
        check(&rest, ChangeKind::Update, "PUT /posts/7", row);
        check(&rest, ChangeKind::Destroy, "DELETE /posts/7", "");
        check(&Rest::json_server("/posts"), ChangeKind::Update, "PATCH /posts/7", r#"{"name":"x"}"#);
        let people = Rest::postgrest("/people");
        check(&people, ChangeKind::Update, "PATCH /people?id=eq.7", r#"{"name":"x"}"#);
        check(&people, ChangeKind::Destroy, "DELETE /people?id=eq.7", "");
    }

    #[test]
    fn a_write_without_a_target_is_never_sent() {
        for dialect in [Rest::new("/p"), Rest::postgrest("/p")] {
            for id in [Value::Null, "".into(), "..".into(), ".".into(), Value::array([]), Record::new().into()] {
                for kind in [ChangeKind::Update, ChangeKind::Destroy] {
                    let error = spell(&dialect, &request(kind, "{}", id.clone())).unwrap_err();
                    assert_eq!(*error.kind(), ErrorKind::Invalid, "{id:?}");
                }
            }
        }
        let id = "a/../b?x=1&id=eq.2#c\r\n";
        let (line, _) = spell(&Rest::new("/p"), &request(ChangeKind::Destroy, "{}", id)).unwrap();
        assert_eq!(line, "DELETE /p/a%2F..%2Fb%3Fx%3D1%26id%3Deq.2%23c%0D%0A");
        let (line, _) = spell(&Rest::postgrest("/p"), &request(ChangeKind::Destroy, "{}", id)).unwrap();
        assert_eq!(line, "DELETE /p?id=eq.a%2F..%2Fb%3Fx%3D1%26id%3Deq.2%23c%0D%0A");
    }

    #[test]
    fn batches_only_where_the_service_takes_them() {
        let mut two = request(ChangeKind::Create, r#"{"name":"a"}"#, Value::Null);
        two.rows.push(two.rows[0].clone());
        two.batch = true;
        let (line, body) = spell(&Rest::postgrest("/p"), &two).unwrap();
        assert_eq!((line.as_str(), body.as_str()), ("POST /p", r#"[{"name":"a"},{"name":"a"}]"#));
        assert_eq!(*spell(&Rest::new("/p"), &two).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn totals() {
        let read = Request::read(Record::new());
        let total = |dialect: &Rest, reply: WireReply| {
            let sent = dialect.request(&read, &Surroundings::new(None, 0, 0)).unwrap().unwrap();
            let reply = dialect.answer(&read, &sent, reply).unwrap();
            (reply.total, reply.body.decode().unwrap().unwrap().to_json())
        };
        let rows = "[1]".to_owned();
        let reply = || WireReply::new(206, "[1]");
        assert_eq!(
            total(&Rest::json_server("/p"), reply().with_header("X-Total-Count", "77")),
            (Some(77), rows.clone())
        );
        assert_eq!(
            total(&Rest::postgrest("/p"), reply().with_header("Content-Range", "0-14/77")),
            (Some(77), rows.clone())
        );
        assert_eq!(total(&Rest::postgrest("/p"), reply().with_header("Content-Range", "0-14/*")), (None, rows.clone()));
        let page = WireReply::new(200, r#"{"data":[1],"items":77}"#);
        assert_eq!(total(&Rest::json_server_v1("/p"), page), (Some(77), rows.clone()));
        assert_eq!(total(&Rest::json_server_v1("/p"), reply()), (None, rows));
    }

    #[test]
    fn versions() {
        let around = Surroundings::new(None, 0, 0);
        let rest = Rest::new("/p").version_field("etag");
        for (kind, etag, expected) in [
            (ChangeKind::Update, "7", Some("\"7\"")),
            (ChangeKind::Destroy, r#""W/\"7\"""#, Some("W/\"7\"")),
            (ChangeKind::Update, r#""\"7\"""#, Some("\"7\"")),
            (ChangeKind::Update, "null", None),
            (ChangeKind::Create, "7", None),
        ] {
            let request = request(kind, &format!(r#"{{"id":7,"etag":{etag}}}"#), 7);
            let header = |dialect: &Rest| {
                let sent = dialect.request(&request, &around).unwrap().unwrap();
                sent.headers.into_iter().find(|(name, _)| name == "If-Match").map(|(_, value)| value)
            };
            assert_eq!(header(&rest).as_deref(), expected);
            assert_eq!(header(&Rest::new("/p")), None);
        }
    }

    #[test]
    fn look_ups() {
        let ask = |kind, id: Value, natural_key: Option<&str>| LookUp {
            row: request(kind, r#"{"id":7,"name":"x y"}"#, id).rows.remove(0),
            id_field: Some("id".into()),
            natural_key: natural_key.map(Text::from),
            key: None,
        };
        let around = Surroundings::new(None, 0, 0);
        let spelled = |dialect: &Rest, ask: &LookUp| {
            dialect.look_up(ask, &around).unwrap().map(|sent| format!("{} {}", sent.method, sent.url))
        };
        let (update, create) = (ChangeKind::Update, ChangeKind::Create);
        for (dialect, kind, name, expected) in [
            (Rest::new("/p"), update, None, Some("GET /p/7")),
            (Rest::postgrest("/p"), ChangeKind::Destroy, None, Some("GET /p?id=eq.7")),
            (Rest::new("/p"), create, Some("name"), None),
            (Rest::json_server("/p"), create, None, None),
            (Rest::json_server("/p"), create, Some("gone"), None),
            (Rest::json_server("/p"), create, Some("name"), Some("GET /p?name=x%20y")),
            (Rest::postgrest("/p"), create, Some("name"), Some("GET /p?name=eq.x%20y")),
        ] {
            let spelled = spelled(&dialect, &ask(kind, 7.into(), name)).map(|text| text.replace('+', "%20"));
            assert_eq!(spelled.as_deref(), expected);
        }
        let found = |dialect: &Rest, kind, status, body: &str| {
            let ask = ask(kind, 7.into(), Some("name"));
            let sent = dialect.look_up(&ask, &around).unwrap().unwrap();
            dialect.found(&ask, &sent, WireReply::new(status, body))
        };
        let record = || crate::Found::Record(Record::from_json(r#"{"id":7}"#).unwrap());
        let (rest, listing) = (Rest::new("/p"), Rest::json_server_v1("/p"));
        assert_eq!(found(&rest, update, 200, r#"{"id":7}"#).unwrap(), record());
        assert_eq!(found(&rest, update, 404, "").unwrap(), crate::Found::Missing);
        assert_eq!(found(&listing, create, 200, r#"{"data":[{"id":7}],"items":1}"#).unwrap(), record());
        assert_eq!(found(&listing, create, 200, r#"{"data":[],"items":0}"#).unwrap(), crate::Found::Missing);
        assert_eq!(found(&listing, create, 200, r#"{"data":[{},{}],"items":2}"#).unwrap(), crate::Found::Unknown);
        // That there is no such collection says nothing of the record.
        assert_eq!(*found(&listing, create, 404, "").unwrap_err().kind(), ErrorKind::Status(404));
        assert_eq!(*found(&rest, update, 503, "").unwrap_err().kind(), ErrorKind::Status(503));
        assert_eq!(*found(&rest, update, 200, "<html>").unwrap_err().kind(), ErrorKind::Undecodable);
    }
}
