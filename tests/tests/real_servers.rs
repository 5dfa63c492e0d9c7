//! Round trips with servers that nobody here wrote: read with paging, order and filter by the server, edit offline,
//! restart, come back, sync, and ask the server with curl what it holds.
//!
//! The servers are installed by their registry's own client into the target folder. Where a client is missing, or
//! cannot reach its registry, a test says so and passes; with `LANDFALL_REAL_SERVERS=required`, as in `.ci/run`, it fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may stop at the first surprise"
)]

use landfall::{DataSource, Direction, Filter, Model, Schema, Sort};
use landfall_core::{Record, Value};
use landfall_storage_sqlite::SqliteStorage;
use landfall_transport::{
    Dialect, Error, ErrorKind, Operation, Reply, Request, Result, Surroundings, WireReply, WireRequest, answer,
    dialect::rest::Rest, form,
};
use landfall_transport_http::{HttpTransport, reqwest};
use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const JSON_SERVER: &str = "json-server@0.17.4";
const DATASETTE: &str = "datasette==1.0a41";

/// The rows that each server starts with.
const ROWS: &str = r#"[{"id":1,"name":"Chai","price":18},{"id":2,"name":"Chang","price":19.5},{"id":3,"name":"Aniseed","price":10},{"id":4,"name":"Tofu","price":23.25},{"id":5,"name":"Pavlova","price":17.45}]"#;

/// Where servers are installed, kept from run to run.
fn installed(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs an installer. What stands in the way, if anything.
fn install(command: &mut Command) -> std::result::Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("{command:?}: {}", said.lines().last().unwrap_or_default()))
}

/// Whether to go on. Without a server the test is skipped, loudly, or fails where it must not be skipped.
fn ready(server: &str, state: std::result::Result<(), String>) -> bool {
    let Err(why) = state else { return true };
    let required = std::env::var("LANDFALL_REAL_SERVERS").is_ok_and(|value| value == "required");
    assert!(!required, "{server} is required here and cannot be installed: {why}");
    eprintln!("SKIPPED: the round trip with {server}; it cannot be installed: {why}");
    false
}

/// A server that runs until the test ends.
struct Server {
    child: Child,
    origin: String,
}

impl Server {
    fn start(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, origin: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended at once: {command:?}");
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not answer: {command:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// What curl gets at a path.
    fn curl(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.origin);
        let got = Command::new("curl").args(["-sS", "--fail", "--noproxy", "*", &url]).output().expect("curl");
        assert!(got.status.success(), "curl {path}: {}", String::from_utf8_lossy(&got.stderr));
        Value::from_json(&String::from_utf8_lossy(&got.stdout)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A data source on this storage: the two dearest products from 15 up, page by page, as the server says.
fn open(dialect: impl Dialect, server: &Server, token: Option<&str>, schema: Schema, storage: &Path) -> DataSource {
    let mut http =
        HttpTransport::builder().client(reqwest::Client::builder().no_proxy()).base_url(format!("{}/", server.origin));
    if let Some(token) = token {
        http = http.bearer(token);
    }
    DataSource::builder()
        .transport(http.build(dialect).unwrap())
        .schema(schema.with_model(Model::new().id("id")))
        .storage(SqliteStorage::open(storage).unwrap(), "products")
        .server_paging(true)
        .server_sorting(true)
        .server_filtering(true)
        .page_size(2)
        .sort([Sort::new("price", Direction::Desc)])
        .filter(Filter::gte("price", 15))
        .build()
        .unwrap()
}

fn names(source: &DataSource) -> Vec<String> {
    source.data().iter().map(|item| String::from(item.get("name").unwrap().to_text())).collect()
}

/// The whole round trip; the same for every server. Gives the id of the record that was created.
fn round_trip(open: impl Fn(&Path) -> DataSource) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("offline.db");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(async {
        let products = open(&storage);
        products.read().await.unwrap();
        assert_eq!((names(&products), products.total()), (vec!["Tofu".into(), "Chang".into()], 4));
        products.page(2).await.unwrap();
        assert_eq!(names(&products), ["Chai", "Pavlova"]);

        products.online(false).await.unwrap();
        let (chai, pavlova) = (products.at(0).unwrap(), products.at(1).unwrap());
        products.set(&chai, "price", 18.5).unwrap();
        products.remove(&pavlova).unwrap();
        products.add(Record::from([("name", Value::from("Mishi")), ("price", 97.into())])).unwrap();
        let report = products.sync().await.unwrap();
        assert_eq!(report.stored, 3);
    });
    // The program ends here; another one begins.
    runtime().block_on(async {
        let products = open(&storage);
        assert!(!products.has_changes());
        products.restore().await.unwrap();
        assert_eq!(products.pending().len(), 3);
        let report = products.sync().await.unwrap();
        assert!(report.is_success(), "{report:?}");
        assert!(!products.has_changes() && products.pending().is_empty());

        products.read().await.unwrap();
        assert_eq!((names(&products), products.total()), (vec!["Mishi".into(), "Tofu".into()], 4));
        products.at(0).unwrap().get("id").and_then(Value::as_i64).expect("the server gave an id")
    })
}

/// The rows that the server must hold in the end, by id.
fn expected(created: i64) -> Value {
    let rows = format!(
        r#"[{{"id":1,"name":"Chai","price":18.5}},{{"id":2,"name":"Chang","price":19.5}},{{"id":3,"name":"Aniseed","price":10}},{{"id":4,"name":"Tofu","price":23.25}},{{"id":{created},"name":"Mishi","price":97}}]"#
    );
    Value::from_json(&rows).unwrap()
}

/// Rows with their members in one order.
fn by_member(rows: &Value) -> Value {
    let ordered = rows.as_array().unwrap().iter().map(|row| {
        let row = row.as_object().unwrap();
        ["id", "name", "price"].map(|name| (name, row.get(name).cloned().unwrap())).into_iter().collect::<Record>()
    });
    Value::array(ordered.map(Value::from))
}

#[test]
fn json_server() {
    let folder = installed("json-server");
    let program = folder.join("node_modules/json-server/lib/cli/bin.js");
    let state = if program.exists() {
        Ok(())
    } else {
        install(
            Command::new("npm").args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(JSON_SERVER),
        )
    };
    if !ready("json-server (npm)", state) {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("db.json");
    std::fs::write(&file, format!(r#"{{"products":{ROWS}}}"#)).unwrap();
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(&program).args(["--host", "127.0.0.1", "--port", &port.to_string()]).arg(&file);
    let server = Server::start(command.current_dir(data.path()), port);
    let created = round_trip(|storage| open(Rest::json_server("products"), &server, None, Schema::new(), storage));
    assert_eq!(by_member(&server.curl("/products")), expected(created));
}

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
    let folder = installed("datasette");
    let bin = folder.join("bin");
    let state = if bin.join("datasette").exists() {
        Ok(())
    } else {
        install(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            .and_then(|()| install(Command::new(bin.join("pip")).args(["install", "-q", DATASETTE])))
    };
    if !ready("Datasette (PyPI)", state) {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("shop.db");
    let script = "import sqlite3, sys, json\ndb = sqlite3.connect(sys.argv[1])\n\
        db.execute('create table products (id integer primary key, name text, price real)')\n\
        db.executemany('insert into products values (:id, :name, :price)', json.loads(sys.argv[2]))\n\
        db.execute('create view product_rows as select * from products')\ndb.commit()\n";
    install(Command::new("python3").args(["-c", script]).arg(&file).arg(ROWS)).unwrap();
    let port = free_port();
    let mut command = Command::new(bin.join("datasette"));
    command.arg("serve").arg(&file).args(["--root", "--secret", "of-the-test", "--port", &port.to_string()]);
    let server = Server::start(&mut command, port);
    let token = Command::new(bin.join("datasette")).args(["create-token", "root", "--secret", "of-the-test"]).output();
    let token = String::from_utf8(token.unwrap().stdout).unwrap();
    let created = round_trip(|storage| {
        let dialect = Datasette { table: "shop/products", view: "shop/product_rows" };
        open(dialect, &server, Some(token.trim()), Schema::new().data("rows").total("count"), storage)
    });
    let rows = server.curl("/shop/products.json?_shape=array");
    assert_eq!(by_member(&rows), expected(created));
}
