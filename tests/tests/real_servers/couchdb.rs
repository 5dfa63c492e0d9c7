//! A CouchDB-style database: documents with revisions, where every write names the version it is based on.
//!
//! Shows what a dialect written outside of landfall needs: one type, four functions, nothing private. Reads are Mango
//! queries; they know no total, so the dialect asks for one document more than a page holds and counts what it has seen.

use crate::{
    install::npm,
    server::{Server, free_port},
    trip::{Trip, text},
};
use landfall::{DataSource, Schema};
use landfall_core::{Body, Record, Value};
use landfall_transport::{
    Dialect, Error, ErrorKind, Operation, Reply, Request, Result, Surroundings, WireReply, WireRequest, answer, form,
};
use std::{path::Path, process::Command};

/// The Mango filter operators; everything else is refused rather than guessed.
const OPERATORS: [(&str, &str); 6] =
    [("eq", "$eq"), ("neq", "$ne"), ("gt", "$gt"), ("gte", "$gte"), ("lt", "$lt"), ("lte", "$lte")];

/// The documents of one database.
#[derive(Debug)]
struct CouchDb {
    database: &'static str,
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
            WireRequest::new(operation, method, url)
                .with_header("Content-Type", "application/json")
                .with_body(body.to_json())
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

const PINNED: [&str; 6] = [
    "express-pouchdb@4.2.0",
    "express@4.21.2",
    "pouchdb-core@7.3.1",
    "pouchdb-adapter-memory@7.3.1",
    "pouchdb-mapreduce@7.3.1",
    "pouchdb-find@7.3.1",
];

const PROGRAM: &str = "\
const load = name => require(require.resolve(name, { paths: [process.argv[2]] }));
const PouchDB = ['pouchdb-adapter-memory', 'pouchdb-mapreduce', 'pouchdb-find']
  .reduce((base, plugin) => base.plugin(load(plugin)), load('pouchdb-core'));
const options = { mode: 'minimumForPouchDB', overrideMode: { include: ['routes/find'] } };
load('express')().use('/', load('express-pouchdb')(PouchDB, options)).listen(process.argv[3], '127.0.0.1');
";

#[test]
fn couchdb() {
    let Some(installed) = npm("couchdb", &PINNED) else { return };
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("server.js"), PROGRAM).unwrap();
    let port = free_port();
    let mut command = Command::new("node");
    command.arg("server.js").arg(&installed.folder).arg(port.to_string()).current_dir(data.path());
    let server = Server::start(&command, port);
    // The total grows as pages are seen: three of four at first.
    let trip = Trip { id: text, id_field: "_id", totals: [3, 4, 3] };
    server.curl_with(&["-X", "PUT"], "/shop");
    for row in trip.rows() {
        let path = format!("/shop/{}", row.get("_id").unwrap().to_text());
        server.curl_json("PUT", &path, &Value::from(row).to_json(), &[]);
    }
    server.curl_json("POST", "/shop/_index", r#"{"index":{"fields":["price"]}}"#, &[]);
    let open = |storage: &Path| -> DataSource {
        let http = server.http().build(CouchDb { database: "shop" }).unwrap();
        trip.source(http, Schema::new(), storage).build().unwrap()
    };
    let created = trip.there_and_back(open);
    let find = |selector: &str| {
        let found = server.curl_json("POST", "/shop/_find", &format!(r#"{{"selector":{selector}}}"#), &[]);
        found.as_object().unwrap().get("docs").cloned().unwrap()
    };
    trip.check(&find(r#"{"price":{"$gte":0}}"#), &created);
    let elsewhere = || {
        let document = server.curl("/shop/4");
        let mut document = document.as_object().unwrap().clone();
        document.set("name", "Tofu of elsewhere");
        server.curl_json("PUT", "/shop/4", &Value::from(document).to_json(), &[]);
    };
    trip.quarrel(open, elsewhere, 409);
    let tofu = find(r#"{"_id":"4"}"#);
    let tofu = tofu.as_array().unwrap()[0].as_object().unwrap().clone();
    assert_eq!(tofu.get("price").unwrap().to_text().as_str(), "25");
    assert!(tofu.get("_rev").unwrap().to_text().starts_with("3-"), "{tofu:?}");
}
