//! A CouchDB-style server: `PouchDB` behind express, in memory.

use crate::{
    install::npm,
    server::{Server, free_port},
    trip::{Trip, text},
};
use landfall::{DataSource, Schema};
use landfall_core::Value;
use landfall_tests::dialects::CouchDb;
use std::{path::Path, process::Command};

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
