//! CouchDB-style databases: documents with revisions, where every write names the version it is based on.
//!
//! Reads are Mango queries. They know no total, so the dialect asks for one document more than a page holds and counts
//! what it has seen.

use landfall_core::{Body, Record, Value};
use landfall_transport::{
    Dialect, Error, ErrorKind, Operation, Reply, Request, Result, Surroundings, WireReply, WireRequest, answer, form,
};

/// The Mango filter operators; everything else is refused rather than guessed.
const OPERATORS: [(&str, &str); 6] =
    [("eq", "$eq"), ("neq", "$ne"), ("gt", "$gt"), ("gte", "$gte"), ("lt", "$lt"), ("lte", "$lte")];

/// The documents of one database.
#[derive(Clone, Debug)]
pub struct CouchDb {
    /// The database's URL.
    pub database: &'static str,
}

impl CouchDb {
    fn selector(filter: &Record) -> Result<Value> {
        let unsupported = |what: &str| Error::new(ErrorKind::Unsupported, "no such filter here").with("operator", what);
        if let Some(filters) = filter.get("filters").and_then(Value::as_array) {
            let parts = filters.iter().filter_map(Value::as_object).map(Self::selector);
            let logic = if filter.get("logic").and_then(Value::as_str) == Some("or") { "$or" } else { "$and" };
            return Ok(Record::from([(logic, Value::from(parts.collect::<Result<Vec<_>>>()?))]).into());
        }
        let name = |member: &str| filter.get(member).map(Value::to_text).unwrap_or_default();
        let asked = name("operator");
        let known = OPERATORS.iter().find(|(known, _)| *known == asked.as_str());
        let (_, operator) = known.ok_or_else(|| unsupported(&asked))?;
        let value = filter.get("value").cloned().unwrap_or_default();
        Ok(Record::from([(name("field").as_str(), Value::from(Record::from([(*operator, value)])))]).into())
    }

    fn find(params: &Record) -> Result<Value> {
        let mut query = Record::new();
        let filter = params.get("filter").and_then(Value::as_object);
        query.set("selector", filter.map_or_else(|| Ok(Record::new().into()), Self::selector)?);
        let sort = params.get("sort").and_then(Value::as_array).unwrap_or_default();
        let sort = sort.iter().filter_map(Value::as_object).map(|term| {
            let field = term.get("field").map(Value::to_text).unwrap_or_default();
            Record::from([(field.as_str(), term.get("dir").cloned().unwrap_or_default())]).into()
        });
        query.set("sort", Value::array(sort));
        if let Some(take) = params.get("take").and_then(Value::as_i64) {
            query.set("limit", take + 1);
            query.set("skip", params.get("skip").cloned().unwrap_or_default());
        }
        Ok(query.into())
    }
}

impl Dialect for CouchDb {
    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit
    }

    fn request(&self, request: &Request, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let operation = request.operation;
        let json = |method: &str, url: String, body: &Value| {
            let mut sent = WireRequest::new(operation, method, url).with_header("Content-Type", "application/json");
            sent.key.clone_from(&request.key);
            sent.with_body(body.to_json())
        };
        if operation == Operation::Read {
            return Ok(Some(json("POST", format!("{}/_find", self.database), &Self::find(&request.params)?)));
        }
        let [row] = request.rows.as_slice() else {
            return Err(Error::new(ErrorKind::Unsupported, "one document a request"));
        };
        // A new document is named by the tofue's key: sent twice, it is there once.
        let id = match operation {
            Operation::Create => request.key.clone(),
            _ => row.id.as_ref().map(Value::to_text),
        };
        let id = id.filter(|id| !id.is_empty() && !id.starts_with('_'));
        let id = id.ok_or_else(|| Error::new(ErrorKind::Invalid, "a document needs an id"))?;
        let url = format!("{}/{}", self.database, form::component(&id));
        if operation == Operation::Destroy {
            let revision = row.record.get("_rev").map(Value::to_text).unwrap_or_default();
            let url = format!("{url}?rev={}", form::component(&revision));
            return Ok(Some(WireRequest::new(operation, "DELETE", url)));
        }
        Ok(Some(json("PUT", url, &row.record.clone().into())))
    }

    fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        let value = answer::json(sent, &reply)?.decode()?.unwrap_or_default();
        let member = |name: &str| value.as_object().and_then(|answer| answer.get(name)).cloned();
        if request.operation != Operation::Read {
            let (Some(id), Some(revision)) = (member("id"), member("rev")) else {
                return Err(answer::undecodable(sent, "the answer names no revision"));
            };
            let row = Record::from([("_id", id), ("_rev", revision)]);
            return Ok(Reply::with_body(Body::Value(row.into())));
        }
        let documents = member("docs").ok_or_else(|| answer::undecodable(sent, "the answer holds no documents"))?;
        let mut documents = documents.as_array().unwrap_or_default().to_vec();
        let number =
            |name: &str| request.params.get(name).and_then(Value::as_i64).and_then(|n| usize::try_from(n).ok());
        let seen = number("skip").unwrap_or(0) + documents.len();
        documents.truncate(number("take").unwrap_or(usize::MAX));
        let reply = Reply::with_body(Body::Value(documents.into()));
        Ok(Reply { total: u64::try_from(seen).ok(), ..reply })
    }
}
