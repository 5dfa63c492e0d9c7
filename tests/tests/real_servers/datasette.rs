//! Datasette: a SQLite database as a JSON API, with one address per operation.

use crate::{
    install::{Program, pip},
    server::{Server, free_port},
    trip::{ROWS, Trip, integer},
};
use landfall::Schema;
use landfall_tests::dialects::Datasette;
use std::process::Command;

const PINNED: &str = "datasette==1.0a41";

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
