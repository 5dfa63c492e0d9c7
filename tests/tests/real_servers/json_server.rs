//! json-server in both of its generations: plain REST over a file of JSON.

use crate::{
    install::npm,
    server::{Server, free_port},
    trip::{Trip, integer, text},
};
use landfall::Schema;
use landfall_core::{Record, Value};
use landfall_transport::dialect::rest::Rest;
use std::process::Command;

fn round_trip(name: &str, pinned: &str, program: &str, trip: Trip, dialect: fn(&str) -> Rest) {
    let Some(installed) = npm(name, &[pinned]) else { return };
    let data = tempfile::tempdir().unwrap();
    let rows = Value::array(trip.rows().into_iter().map(Value::from));
    let file = Value::from(Record::from([("products", rows)])).to_json();
    std::fs::write(data.path().join("db.json"), file).unwrap();
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(installed.folder.join("node_modules/json-server/lib").join(program));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "db.json"]).current_dir(data.path());
    let server = Server::start(&command, port);
    let created = trip.there_and_back(|storage| {
        let http = server.http().build(dialect("products")).unwrap();
        trip.source(http, Schema::new(), storage).build().unwrap()
    });
    trip.check(&server.curl("/products"), &created);
}

#[test]
fn json_server() {
    let trip = Trip { id: integer, id_field: "id", totals: [4, 4, 4] };
    round_trip("json-server", "json-server@0.17.4", "cli/bin.js", trip, |set| Rest::json_server(set));
}

#[test]
fn json_server_v1() {
    let trip = Trip { id: text, id_field: "id", totals: [4, 4, 4] };
    round_trip("json-server-v1", "json-server@1.0.0-beta.15", "bin.js", trip, |set| Rest::json_server_v1(set));
}
