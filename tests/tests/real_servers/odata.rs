//! OData 4 as SAP's CAP serves it over SQLite: GUID keys, entity tags, `$batch`.

use crate::{
    install::npm,
    server::{Server, free_port},
    trip::Trip,
};
use landfall::{DataSource, Schema};
use landfall_core::Value;
use landfall_transport::dialect::odata::OData;
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The database is SQLite in WebAssembly, so that nothing has to be compiled.
const PINNED: [&str; 4] = ["@sap/cds@9.9.3", "@cap-js/sqlite@2.4.2", "sql.js@1.13.0", "express@4.21.2"];

const SCHEMA: &str = "namespace shop;\n\
    entity Products { key ID : UUID; name : String; price : Double;\n\
    @odata.etag @cds.on.insert: $now @cds.on.update: $now changed : Timestamp; }\n";
const SERVICE: &str = "using { shop } from '../db/schema';\n\
    service Catalog @(path: '/odata') { entity Products as projection on shop.Products; }\n";
const PACKAGE: &str = r#"{"name":"shop","dependencies":{"@sap/cds":"*","@cap-js/sqlite":"*"},"cds":{"requires":{"auth":"dummy","db":{"kind":"sqlite","driver":"sql.js","credentials":{"url":":memory:"}}}}}"#;

const TRIP: Trip = Trip { id: guid, id_field: "ID", totals: [4, 4, 4] };

fn guid(number: i64) -> Value {
    format!("00000000-0000-4000-8000-{number:012}").into()
}

/// Puts the service's model beside the installed packages, where it finds them.
fn shop(installed: &Path, name: &str) -> PathBuf {
    let folder = installed.join(name);
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(folder.join("db/data")).unwrap();
    std::fs::create_dir_all(folder.join("srv")).unwrap();
    let mut rows = "ID;name;price;changed\n".to_owned();
    for row in TRIP.rows() {
        let text = |name: &str| row.get(name).unwrap().to_text();
        writeln!(rows, "{};{};{};2024-02-29T13:05:09.007Z", text("ID"), text("name"), text("price")).unwrap();
    }
    let files = [
        ("package.json", PACKAGE),
        ("db/schema.cds", SCHEMA),
        ("srv/catalog.cds", SERVICE),
        ("db/data/shop-Products.csv", &rows),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder
}

fn start(name: &str) -> Option<Server> {
    let installed = npm("odata", &PINNED)?;
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(installed.folder.join("node_modules/@sap/cds/bin/serve.js"));
    command.args(["all", "--in-memory", "--port", &port.to_string()]).current_dir(shop(&installed.folder, name));
    Some(Server::start(&command, port))
}

fn open(server: &Server, batch: bool, storage: &Path) -> DataSource {
    let mut dialect = OData::v4("odata/Products").guid_keys();
    if batch {
        dialect = dialect.batch("odata/$batch");
    }
    let http = server.http().build(dialect).unwrap();
    TRIP.source(http, Schema::new(), storage).batch(batch).build().unwrap()
}

fn held(server: &Server) -> Value {
    server.curl("/odata/Products").as_object().unwrap().get("value").cloned().unwrap()
}

fn elsewhere(server: &Server) {
    let path = format!("/odata/Products({})", guid(4).to_text());
    server.curl_json("PATCH", &path, r#"{"name":"Tofu of elsewhere"}"#, &["If-Match: *"]);
}

#[test]
fn odata_4() {
    let Some(server) = start("single") else { return };
    let created = TRIP.there_and_back(|storage| open(&server, false, storage));
    TRIP.check(&held(&server), &created);
    TRIP.quarrel(|storage| open(&server, false, storage), || elsewhere(&server), 412);
}

#[test]
fn odata_4_batch() {
    let Some(server) = start("batched") else { return };
    let created = TRIP.there_and_back(|storage| open(&server, true, storage));
    TRIP.check(&held(&server), &created);
    TRIP.quarrel(|storage| open(&server, true, storage), || elsewhere(&server), 412);
}
