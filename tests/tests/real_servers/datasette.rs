//! Datasette: a SQLite database as a JSON API, with one address per operation. Spoken to by a dialect written here.

use crate::{
    install::{Program, pip},
    server::{Server, free_port},
    trip::{ROWS, Trip, integer},
};
use landfall::Schema;
use landfall_core::{Record, Value};
use landfall_transport::{
    Dialect, Error, ErrorKind, Operation, Reply, Request, Result, Surroundings, WireReply, WireRequest, answer, form,
};
use std::process::Command;

const PINNED: &str = "datasette==1.0a41";

/// Datasette's JSON API: a dialect written outside of landfall.
///
/// Tables are paged by key there and views by offset, so the data source reads a view and writes the table.
#[derive(Debug)]
struct Datasette {
    table: &'static str,
    view: &'static str,
}

impl Datasette {
    fn query(params: &Record) -> Result<String> {
        let mut query = vec!["_shape=objects".to_owned(), "_extra=count".to_owned()];
        let number = |name: &str| params.get(name).and_then(Value::as_i64);
        if let Some(size) = number("take") {
            query.push(format!("_size={size}&_next={}", number("skip").unwrap_or(0)));
        }
        for term in params.get("sort").and_then(Value::as_array).unwrap_or_default() {
            let term = term.as_object().cloned().unwrap_or_default();
            let descending = term.get("dir").and_then(Value::as_str) == Some("desc");
            let field = term.get("field").map(Value::to_text).unwrap_or_default();
            query.push(format!("{}={}", if descending { "_sort_desc" } else { "_sort" }, form::component(&field)));
        }
        let filters = params.get("filter").and_then(Value::as_object).and_then(|group| group.get("filters"));
        for term in filters.and_then(Value::as_array).unwrap_or_default() {
            let term = term.as_object().cloned().unwrap_or_default();
            let text = |name: &str| term.get(name).map(Value::to_text).unwrap_or_default();
            let operator = match text("operator").as_str() {
                "eq" => "exact".to_owned(),
                "neq" => "not".to_owned(),
                known @ ("gt" | "gte" | "lt" | "lte" | "contains" | "startswith" | "endswith") => known.to_owned(),
                other => return Err(Error::new(ErrorKind::Unsupported, "no such filter here").with("operator", other)),
            };
            query.push(format!("{}__{operator}={}", form::component(&text("field")), form::component(&text("value"))));
        }
        Ok(query.join("&"))
    }
}

impl Dialect for Datasette {
    fn offers(&self, operation: Operation) -> bool {
        operation != Operation::Submit
    }

    fn request(&self, request: &Request, _around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let operation = request.operation;
        if operation == Operation::Read {
            let url = format!("{}.json?{}", self.view, Self::query(&request.params)?);
            return Ok(Some(WireRequest::new(operation, "GET", url)));
        }
        let [row] = request.rows.as_slice() else {
            return Err(Error::new(ErrorKind::Unsupported, "one record a request"));
        };
        let id = row.id.as_ref().map(Value::to_text).unwrap_or_default();
        let (url, name, members) = match operation {
            Operation::Create => {
                // The id is the server's to give.
                let given = row.record.iter().filter(|(name, _)| request.id_field.as_deref() != Some(*name));
                let members = given.map(|(name, value)| (name, value.clone())).collect();
                (format!("{}/-/insert", self.table), "row", members)
            }
            Operation::Update => {
                let changed = row.changed.iter().filter_map(|name| Some((name, row.record.get(name)?.clone())));
                (format!("{}/{}/-/update", self.table, form::component(&id)), "update", changed.collect())
            }
            _ => (format!("{}/{}/-/delete", self.table, form::component(&id)), "row", Record::new()),
        };
        let mut body = Record::new();
        if operation != Operation::Destroy {
            body.set(name, members);
            body.set("return", true);
        }
        let sent = WireRequest::new(operation, "POST", url).with_header("Content-Type", "application/json");
        Ok(Some(sent.with_body(Value::from(body).to_json())))
    }

    fn answer(&self, _request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        Ok(Reply::with_body(answer::json(sent, &reply)?))
    }
}

#[test]
fn datasette() {
    let Some(Program { folder }) = pip("datasette", &[PINNED]) else { return };
    let program = folder.join("bin/datasette");
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("shop.db");
    let script = "import sqlite3, sys, json\ndb = sqlite3.connect(sys.argv[1])\n\
        db.execute('create table products (id integer primary key, name text, price real)')\n\
        db.executemany('insert into products values (:id, :name, :price)', json.loads(sys.argv[2]))\n\
        db.execute('create view product_rows as select * from products')\ndb.commit()\n";
    let made = Command::new(folder.join("bin/python")).args(["-c", script]).arg(&file).arg(ROWS).status().unwrap();
    assert!(made.success());
    let port = free_port();
    let server = Server::start(
        Command::new(&program).arg("serve").arg(&file).args([
            "--root",
            "--secret",
            "of-the-test",
            "--port",
            &port.to_string(),
        ]),
        port,
    );
    let token = Command::new(&program).args(["create-token", "root", "--secret", "of-the-test"]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let trip = Trip { id: integer, id_field: "id", totals: [4, 4, 4] };
    let created = trip.there_and_back(|storage| {
        let dialect = Datasette { table: "shop/products", view: "shop/product_rows" };
        let http = server.http().bearer(token.trim()).build(dialect).unwrap();
        trip.source(http, Schema::new().data("rows").total("count"), storage).build().unwrap()
    });
    trip.check(&server.curl("/shop/products.json?_shape=array"), &created);
}
