//! Go offline and come back, against a service that only speaks JSONP, as the demo services of Kendo do.
//!
//! Run it with `cargo run --example go_offline --features transport-jsonp`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

#[path = "work_offline/service/mod.rs"]
mod service;

use landfall::{
    DataSource, Model, Value,
    storage::SqliteStorage,
    transport::{HttpTransport, JsonpConfig, JsonpTransport},
};
use service::{Service, Store};

#[tokio::main]
async fn main() -> service::Result<()> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("service.db");
    let service = Service::start(&database, 0).await?;

    let urls = JsonpConfig::new()
        .read(format!("{}/service/Products", service.url()))
        .update(format!("{}/service/Products/Update", service.url()))
        .lists_only(true); // also a single product travels as models=[...]
    let products: DataSource = DataSource::builder()
        .storage(SqliteStorage::open(folder.path().join("program.db"))?, "products-offline")
        .transport(JsonpTransport::over(HttpTransport::builder().build_channel()?, urls)?)
        .model(Model::new().id("ProductID"))
        .build()?;

    // Fetch the data from the service.
    products.fetch().await?;
    println!("fetched {} products", products.len());
    assert!(products.is_online() && products.len() == 77);

    // Go offline and make a change. sync() accepts it: it is in the storage now.
    products.online(false).await?;
    let first = products.at(0).ok_or("no product")?;
    products.set(&first, "ProductName", "Updated")?;
    let report = products.sync().await?;
    println!("offline: {} change is stored, the service has received {}", report.stored, writes(&database)?.len());
    assert_eq!((report.stored, writes(&database)?.len()), (1, 0));

    // Go back online: the change is sent.
    let report = products.online(true).await?;
    println!("online: {} change was acknowledged", report.done());
    assert!(report.is_success() && report.done() == 1);
    assert!(!products.has_changes());

    let written = writes(&database)?;
    let [one] = &written[..] else { return Err(format!("one write expected: {written:?}").into()) };
    println!("the service received: {} {}", one.method, one.path);
    assert_eq!(one.path, "/service/Products/Update");
    let held = Store::open(&database)?.products()?;
    assert_eq!(held.first().and_then(|row| row.get("ProductName")).and_then(|name| name.as_str()), Some("Updated"));

    // A read from the service agrees.
    products.read().await?;
    let first = products.at(0).ok_or("no product")?;
    assert_eq!(first.get("ProductName").and_then(Value::as_str), Some("Updated"));
    service.stop().await
}

/// The write requests that the service has received.
fn writes(database: &std::path::Path) -> service::Result<Vec<service::Received>> {
    Store::open(database)?.received()
}
