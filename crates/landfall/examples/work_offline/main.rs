//! The main job, whole: fetch from a real service, work offline because it is really stopped, end the process, find
//! everything in a new one, bring the service back and sync.
//!
//! Run it with `cargo run --example work_offline`. It says what happens at each step and ends with a code other than 0 if
//! anything is not as it should be. With a folder as argument it leaves its files there, to be looked at with `sqlite3`.
//!
//! Three processes take part: this one starts a first that works offline and ends, and then a second that finds the work.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

mod service;
mod table;

use landfall::{
    DataSource, Model, Record, Value,
    storage::SqliteStorage,
    transport::{HttpTransport, dialect::rest::Rest},
};
use service::{Received, Result, Row, Service, Store};
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use table::Look;
use tokio::net::TcpStream;

const COLUMNS: [&str; 5] = ["ProductID", "ProductName", "QuantityPerUnit", "UnitPrice", "UnitsInStock"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nNOT as it should be: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--stage", "leave", folder] => on_runtime(leave(&Place::new(folder))),
        ["--stage", "return", folder] => on_runtime(come_back(&Place::new(folder))),
        [] => {
            let folder = tempfile::tempdir()?;
            both_stages(folder.path())
        }
        [folder] if !folder.starts_with('-') => {
            std::fs::create_dir_all(folder)?;
            if Place::new(folder).service().exists() {
                return Err(format!("{folder} holds the files of an earlier run; name another folder").into());
            }
            both_stages(Path::new(folder))?;
            println!("The files are in {folder}: service.db and program.db, both for sqlite3.");
            Ok(())
        }
        _ => Err("usage: work_offline [FOLDER]".into()),
    }
}

fn on_runtime(stage: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(stage)
}

/// The first process ends before the second begins.
fn both_stages(folder: &Path) -> Result<()> {
    for stage in ["leave", "return"] {
        let program = std::env::current_exe()?;
        let status = Command::new(program).args(["--stage", stage]).arg(folder).status()?;
        ensure(status.success(), || format!("the process of stage {stage} ended with {status}"))?;
    }
    println!("\nEverything is as it should be.");
    Ok(())
}

/// Where the files are.
struct Place(PathBuf);

impl Place {
    fn new(folder: impl AsRef<Path>) -> Self {
        Self(folder.as_ref().to_path_buf())
    }

    /// The service's own database. The program never opens it, save to check what the service holds.
    fn service(&self) -> PathBuf {
        self.0.join("service.db")
    }

    /// The program's offline storage.
    fn program(&self) -> PathBuf {
        self.0.join("program.db")
    }

    fn port(&self) -> PathBuf {
        self.0.join("port")
    }

    /// The data source, the same in both processes.
    fn data_source(&self, url: &str) -> Result<DataSource> {
        let transport = HttpTransport::builder().base_url(url).build(Rest::new("/products"))?;
        Ok(DataSource::builder()
            .transport(transport)
            .model(Model::new().id("ProductID"))
            .storage(SqliteStorage::open(self.program())?, "products-offline")
            .build()?)
    }
}

/// The first process: fetch, lose the service, work on, end.
async fn leave(place: &Place) -> Result<()> {
    say(1, &format!("A first process ({}) and a service with products", std::process::id()));
    let service = Service::start(&place.service(), 0).await?;
    let (port, url) = (service.port(), service.url());
    std::fs::write(place.port(), port.to_string())?;
    println!("The service listens on {url}.");

    say(2, "Fetch");
    let products = place.data_source(&url)?;
    products.fetch().await?;
    println!("{} products came. The first three:", products.len());
    ensure(products.len() == 77, || format!("77 products expected, {} came", products.len()))?;
    let first: Vec<Record> = products.data().iter().take(3).map(|entry| entry.record().clone()).collect();
    show(&COLUMNS, &first);

    say(3, "The service is stopped");
    service.stop().await?;
    ensure(!answers(port).await, || "the port still answers".to_owned())?;
    let Err(error) = products.read().await else { return Err("a read succeeded without a service".into()) };
    println!("Its port is closed. A read says: {error}");
    ensure(products.len() == 77, || "the failed read changed the data".to_owned())?;

    say(4, "Offline: change two products, add one, remove one; add another and think better of it");
    products.online(false).await?;
    let chai = at(&products, 0)?;
    products.set(&chai, "ProductName", "Chai, loose leaf")?;
    products.set(&chai, "UnitPrice", 21.5)?;
    let chang = at(&products, 1)?;
    products.set(&chang, "UnitsInStock", 0)?;
    products.add(Record::from_json(
        r#"{"ProductName":"Yerba Mate","SupplierID":1,"CategoryID":1,"QuantityPerUnit":"1 kg bag","UnitPrice":9.75,"UnitsInStock":40}"#,
    )?)?;
    products.remove(&at(&products, 2)?)?;
    let mistake = products.add(Record::from_json(r#"{"ProductName":"A mistake"}"#)?)?;
    products.remove(mistake)?;

    say(5, "Sync while offline: the changes are accepted and stored");
    let report = products.sync().await?;
    println!("{} changes were accepted.", report.stored);
    ensure(report.stored == 4, || "4 accepted changes expected".to_owned())?;

    say(6, "The offline state");
    show_offline(&products.offline_data().await?)?;
    let received = Store::open(&place.service())?.received()?;
    ensure(received.is_empty(), || "the service got a request although it was stopped".to_owned())?;

    say(7, "The process ends, without closing anything");
    // What was accepted is durable: no destructor is needed, and none runs.
    std::process::exit(0);
}

/// The second process: find the work, bring the service back, sync.
async fn come_back(place: &Place) -> Result<()> {
    let port: u16 = std::fs::read_to_string(place.port())?.parse()?;
    say(8, &format!("A new process ({}), still without a service", std::process::id()));
    ensure(!answers(port).await, || "something answers on the service's port".to_owned())?;
    let products = place.data_source(&format!("http://127.0.0.1:{port}"))?;
    products.online(false).await?;
    products.fetch().await?;
    println!("{} products were found in the storage, with the changes:", products.len());
    let state = products.offline_data().await?;
    show_offline(&state)?;
    ensure(products.len() == 77, || format!("77 products expected, {} found", products.len()))?;
    ensure(products.has_changes(), || "the pending changes are gone".to_owned())?;
    let chai = at(&products, 0)?;
    ensure(chai.get("ProductName") == Some(&Value::from("Chai, loose leaf")), || "the edit is gone".to_owned())?;
    ensure(products.get(3).is_none(), || "the removed product is back".to_owned())?;

    say(9, "The service is back, over its database of before");
    let service = Service::start(&place.service(), port).await?;
    ensure(answers(port).await, || "the service does not answer".to_owned())?;
    println!("It listens on {} again and knows nothing yet of what happened.", service.url());

    say(10, "Online: everything pending is sent");
    let report = products.online(true).await?;
    println!("{} changes were acknowledged.", report.done());
    for failed in report.failures() {
        println!("failed: {failed:?}");
    }
    ensure(report.is_success() && report.done() == 4, || "4 acknowledged changes expected".to_owned())?;
    let store = Store::open(&place.service())?;
    let received = store.received()?;
    println!("What the service received:");
    show_received(&received)?;
    check_received(&received)?;

    say(11, "What the service holds now");
    let held = store.products()?;
    let touched: Vec<Record> = held.iter().filter(|row| is_touched(row)).map(to_record).collect::<Result<_>>()?;
    show(&COLUMNS, &touched);
    check_held(&held)?;
    println!("{} products. Product 3 is gone, the new one got the number 78.", held.len());

    say(12, "And the data source agrees");
    ensure(!products.has_changes(), || "something is still pending".to_owned())?;
    let state = records(&products.offline_data().await?)?;
    ensure(state.iter().all(|row| !row.contains("__state__")), || {
        "a change is still marked in the storage".to_owned()
    })?;
    products.read().await?;
    ensure(products.len() == 77 && products.get(78).is_some(), || "the data differ from the service's".to_owned())?;
    products.sync().await?;
    ensure(store.received()?.len() == received.len(), || "something was sent twice".to_owned())?;
    println!("Nothing is pending, nothing is marked, and another sync sends nothing.");
    service.stop().await
}

fn check_received(received: &[Received]) -> Result<()> {
    let mut methods: Vec<&str> = received.iter().map(|request| request.method.as_str()).collect();
    methods.sort_unstable();
    ensure(methods == ["DELETE", "POST", "PUT", "PUT"], || {
        format!("one POST, two PUT, one DELETE expected: {methods:?}")
    })?;
    let keys: std::collections::HashSet<_> = received.iter().filter_map(|request| request.key.as_deref()).collect();
    ensure(keys.len() == 4, || "each change needs an idempotency key of its own".to_owned())?;
    ensure(received.iter().all(|request| !request.replayed), || "a request was repeated".to_owned())?;
    let sent = received.iter().flat_map(|request| &request.sent);
    let marked = sent.flat_map(|row| row.keys()).find(|name| name.starts_with("__"));
    ensure(marked.is_none(), || format!("a marker was sent: {marked:?}"))
}

fn check_held(held: &[Row]) -> Result<()> {
    let product =
        |id: i64| held.iter().find(|row| row.get("ProductID").and_then(serde_json::Value::as_i64) == Some(id));
    let member = |id, name: &str| product(id).and_then(|row| row.get(name)).cloned().unwrap_or_default();
    ensure(held.len() == 77, || format!("77 products expected, the service holds {}", held.len()))?;
    ensure(member(1, "ProductName") == "Chai, loose leaf", || "product 1 has the old name".to_owned())?;
    ensure(member(1, "UnitPrice") == 21.5, || "product 1 has the old price".to_owned())?;
    ensure(member(1, "UnitsInStock") == 39, || "product 1 lost a member that nobody changed".to_owned())?;
    ensure(member(2, "UnitsInStock") == 0, || "product 2 has the old stock".to_owned())?;
    ensure(product(3).is_none(), || "product 3 is still there".to_owned())?;
    ensure(member(78, "ProductName") == "Yerba Mate", || "the new product is not there".to_owned())
}

fn is_touched(row: &Row) -> bool {
    matches!(row.get("ProductID").and_then(serde_json::Value::as_i64), Some(1..=3 | 78..))
}

fn at(products: &DataSource, index: usize) -> Result<landfall::Entry> {
    products.at(index).ok_or_else(|| format!("there is no product at {index}").into())
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// Whether anybody listens on the port.
async fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

fn records(state: &Value) -> Result<Vec<Record>> {
    let rows = state.as_array().ok_or("the offline state is not a list")?;
    rows.iter().map(|row| row.as_object().cloned().ok_or_else(|| "a row is not a record".into())).collect()
}

fn to_record(row: &Row) -> Result<Record> {
    Ok(Record::from_serialize(row)?)
}

/// The changed rows of an offline state as a table, the others as a number; the states are checked.
fn show_offline(state: &Value) -> Result<()> {
    let rows = records(state)?;
    let of =
        |state: &str| rows.iter().filter(|row| row.get("__state__").and_then(Value::as_str) == Some(state)).count();
    let changed: Vec<Record> = rows.iter().filter(|row| row.contains("__state__")).cloned().collect();
    show(&COLUMNS, &changed);
    println!("and {} more without a state, because they were not changed.", rows.len() - changed.len());
    let counts = (of("create"), of("update"), of("destroy"), rows.len());
    ensure(counts == (1, 2, 1, 78), || format!("1 create, 2 update, 1 destroy of 78 rows expected: {counts:?}"))
}

fn show_received(received: &[Received]) -> Result<()> {
    let mut lines = Vec::new();
    for request in received {
        let sent: Vec<String> =
            request.sent.iter().map(|row| shortened(&serde_json::Value::from(row.clone()).to_string())).collect();
        lines.push(Record::from([
            ("request", Value::from(format!("{} {}", request.method, request.path))),
            ("key", Value::from(request.key.clone().unwrap_or_default())),
            ("sent", Value::from(sent.join(" "))),
            ("status", Value::from(i64::from(request.status))),
        ]));
    }
    show(&["request", "key", "sent", "status"], &lines);
    Ok(())
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).chain("...".chars()).collect() }
}

fn show(columns: &[&str], rows: &[Record]) {
    println!("{}", table::render(columns, rows, Look::of_stdout()));
}

fn say(step: u8, what: &str) {
    println!("\n{step}. {what}");
}
