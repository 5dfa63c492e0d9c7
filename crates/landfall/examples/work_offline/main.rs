//! The main job, whole: fetch from a real service, work offline because it is really stopped, end the process, find
//! everything in a new one, bring the service back and sync.
//!
//! Run it with `cargo run --example work_offline`. It says what happens at each step, checks it, and ends with a code other
//! than 0 if anything is not as it should be. With a folder as argument it leaves its files there, to be looked at with
//! `sqlite3`.
//!
//! Three processes take part: this one starts a first that works offline and ends, and then a second that finds the work.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

mod service;
mod table;

use landfall::{DataSource, Model, Record, Value, storage::SqliteStorage, transport::HttpTransport};
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
            both_stages(folder.path())?;
            println!("To look at the two databases afterwards, name a folder: work_offline FOLDER");
            Ok(())
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
    println!("The main job of landfall, with a real service that is really stopped and a program that really ends.");
    for stage in ["leave", "return"] {
        let program = std::env::current_exe()?;
        let status = Command::new(program).args(["--stage", stage]).arg(folder).status()?;
        if !status.success() {
            return Err(format!("the process of stage {stage} ended with {status}").into());
        }
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
        Ok(DataSource::builder()
            .transport(HttpTransport::rest(format!("{url}/products"))?)
            .model(Model::new().id("ProductID"))
            .storage(SqliteStorage::open(self.program())?, "products-offline")
            .offline_on_network_failure(true)
            .build()?)
    }
}

/// The first process: fetch, lose the service, work on, end.
async fn leave(place: &Place) -> Result<()> {
    step(1, &format!("A service with products starts, and a first program (process {})", std::process::id()));
    let service = Service::start(&place.service(), 0).await?;
    let (port, url) = (service.port(), service.url());
    std::fs::write(place.port(), port.to_string())?;
    say(&format!("The service listens on {url} and keeps its products in a SQLite database of its own."));

    step(2, "Fetch");
    let products = place.data_source(&url)?;
    products.fetch().await?;
    let first: Vec<Record> = products.data().iter().take(3).map(|entry| entry.record().clone()).collect();
    show(&COLUMNS, &first);
    check(products.len() == 77, "all 77 products came; these are the first three")?;

    step(3, "The service is stopped");
    service.stop().await?;
    check(!answers(port).await, "nobody listens on its port any more")?;
    let Err(error) = products.read().await else { return Err("a read succeeded without a service".into()) };
    say(&format!("The next read fails: {error}"));
    check(!products.is_online(), "the data source went offline by itself")?;
    check(products.len() == 77, "the products are still here")?;

    step(4, "Work goes on offline");
    let chai = at(&products, 0)?;
    products.set(&chai, "ProductName", "Chai, loose leaf")?;
    products.set(&chai, "UnitPrice", 21.5)?;
    say("Product 1 gets another name and price.");
    let chang = at(&products, 1)?;
    products.set(&chang, "UnitsInStock", 0)?;
    say("Product 2 is out of stock.");
    products.remove(&at(&products, 2)?)?;
    say("Product 3 is removed.");
    products.add(Record::from_json(
        r#"{"ProductName":"Yerba Mate","SupplierID":1,"CategoryID":1,"QuantityPerUnit":"1 kg bag","UnitPrice":9.75,"UnitsInStock":40}"#,
    )?)?;
    say("A new product is added; its number will come from the service.");
    let mistake = products.add(Record::from_json(r#"{"ProductName":"A mistake"}"#)?)?;
    products.remove(mistake)?;
    say("Another one is added and removed again.");

    step(5, "Sync, while offline: the changes are accepted into the storage");
    let report = products.sync().await?;
    check(report.stored == 4, "4 changes are stored: two edited, one added, one removed; nothing of the mistake")?;

    step(6, "What is stored (offline_data)");
    show_offline(&products.offline_data().await?)?;
    let received = Store::open(&place.service())?.received()?;
    check(received.is_empty(), "the service knows nothing of it: it received no change so far")?;

    step(7, "The program ends, without closing anything");
    // What was accepted is durable: no destructor is needed, and none runs.
    std::process::exit(0);
}

/// The second process: find the work, bring the service back, sync.
async fn come_back(place: &Place) -> Result<()> {
    let port: u16 = std::fs::read_to_string(place.port())?.parse()?;
    step(8, &format!("A new program (process {}) starts, still without a service", std::process::id()));
    check(!answers(port).await, "nobody listens on the service's port")?;
    let products = place.data_source(&format!("http://127.0.0.1:{port}"))?;
    let Err(error) = products.fetch().await else { return Err("a fetch succeeded without a service".into()) };
    say(&format!("A fetch fails: {error}"));
    check(!products.is_online(), "the data source went offline by itself")?;
    products.fetch().await?;
    say("Now fetch reads what is stored:");
    show_offline(&products.offline_data().await?)?;
    check(products.len() == 77, "77 products are here: one was removed, one was added")?;
    check(products.has_changes(), "the changes of the first program are pending")?;
    let chai = at(&products, 0)?;
    check(chai.get("ProductName") == Some(&Value::from("Chai, loose leaf")), "product 1 has its new name")?;
    check(products.get(3).is_none(), "product 3 is removed")?;

    step(9, "The service is back, over its database of before");
    let service = Service::start(&place.service(), port).await?;
    check(answers(port).await, "it listens on the same port again")?;

    step(10, "Online: everything pending is sent");
    let report = products.online(true).await?;
    for failed in report.failures() {
        say(&format!("failed: {failed:?}"));
    }
    check(report.is_success() && report.done() == 4, "the service acknowledged all 4 changes")?;
    let store = Store::open(&place.service())?;
    let received = store.received()?;
    say("What the service received, in the order of arrival, each under an idempotency key of its own:");
    show_received(&received);
    check_received(&received)?;

    step(11, "What the service holds now");
    let held = store.products()?;
    let touched: Vec<Record> = held.iter().filter(|row| is_touched(row)).map(to_record).collect::<Result<_>>()?;
    show(&COLUMNS, &touched);
    check_held(&held)?;

    step(12, "And the program agrees");
    check(!products.has_changes(), "nothing is pending any more")?;
    let state = records(&products.offline_data().await?)?;
    check(state.iter().all(|row| !row.contains("__state__")), "no row in the storage is marked any more")?;
    products.read().await?;
    check(products.len() == 77 && products.get(78).is_some(), "a fresh read shows what the service holds")?;
    products.sync().await?;
    check(store.received()?.len() == received.len(), "another sync sends nothing")?;
    service.stop().await
}

fn check_received(received: &[Received]) -> Result<()> {
    let mut methods: Vec<&str> = received.iter().map(|request| request.method.as_str()).collect();
    methods.sort_unstable();
    check(methods == ["DELETE", "POST", "PUT", "PUT"], "two changes, one new, one removal; nothing twice")?;
    let keys: std::collections::HashSet<_> = received.iter().filter_map(|request| request.key.as_deref()).collect();
    check(keys.len() == 4 && received.iter().all(|request| !request.replayed), "four different keys, none repeated")?;
    let mut sent = received.iter().flat_map(|request| &request.sent).flat_map(|row| row.keys());
    check(!sent.any(|name| name.starts_with("__")), "no marker of ours was sent along")
}

fn check_held(held: &[Row]) -> Result<()> {
    let product =
        |id: i64| held.iter().find(|row| row.get("ProductID").and_then(serde_json::Value::as_i64) == Some(id));
    let member = |id, name: &str| product(id).and_then(|row| row.get(name)).cloned().unwrap_or_default();
    check(
        member(1, "ProductName") == "Chai, loose leaf" && member(1, "UnitPrice") == 21.5,
        "product 1 has its new name and price",
    )?;
    check(member(1, "UnitsInStock") == 39, "and kept what nobody changed")?;
    check(member(2, "UnitsInStock") == 0, "product 2 is out of stock")?;
    check(product(3).is_none(), "product 3 is gone")?;
    check(member(78, "ProductName") == "Yerba Mate", "the new product got the number 78")?;
    check(held.len() == 77, "77 products in all")
}

fn is_touched(row: &Row) -> bool {
    matches!(row.get("ProductID").and_then(serde_json::Value::as_i64), Some(1..=3 | 78..))
}

fn at(products: &DataSource, index: usize) -> Result<landfall::Entry> {
    products.at(index).ok_or_else(|| format!("there is no product at {index}").into())
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
    let counts = (of("create"), of("update"), of("destroy"), rows.len() - changed.len());
    check(counts == (1, 2, 1, 74), "one created, two updated, one to be destroyed; 74 more rows are unchanged")
}

fn show_received(received: &[Received]) {
    let shortened = |text: String| -> String {
        if text.chars().count() <= 56 { text } else { text.chars().take(53).chain("...".chars()).collect() }
    };
    let line = |request: &Received| {
        let sent: Vec<String> =
            request.sent.iter().map(|row| shortened(serde_json::Value::from(row.clone()).to_string())).collect();
        Record::from([
            ("request", Value::from(format!("{} {}", request.method, request.path))),
            ("status", Value::from(i64::from(request.status))),
            ("idempotency key", Value::from(request.key.clone().unwrap_or_default())),
            ("sent", Value::from(sent.join(" "))),
        ])
    };
    show(&["request", "status", "idempotency key", "sent"], &received.iter().map(line).collect::<Vec<_>>());
}

fn show(columns: &[&str], rows: &[Record]) {
    for line in table::render(columns, rows, Look::of_stdout()).lines() {
        say(line);
    }
}

fn step(number: u8, what: &str) {
    match Look::of_stdout() {
        Look::Terminal => println!("\n\x1b[1m{number:>2}. {what}\x1b[0m"),
        Look::Plain => println!("\n{number:>2}. {what}"),
    }
}

fn say(what: &str) {
    println!("    {what}");
}

/// Says what holds, or that it does not.
fn check(holds: bool, what: &str) -> Result<()> {
    if !holds {
        return Err(format!("this does not hold: {what}").into());
    }
    match Look::of_stdout() {
        Look::Terminal => say(&format!("\x1b[32m✓\x1b[0m {what}")),
        Look::Plain => say(&format!("ok: {what}")),
    }
    Ok(())
}
