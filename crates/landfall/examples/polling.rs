//! Ask a URL again and again whether the service is there, and go offline and online accordingly.
//!
//! Run it with `cargo run --example polling`. The default is a question every 5 seconds; here it is asked more often.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

#[path = "work_offline/service/mod.rs"]
mod service;

use landfall::{DataSource, EventKind, Model, connectivity::Polling, storage::SqliteStorage, transport::HttpTransport};
use service::{Service, Store};
use std::time::Duration;

#[tokio::main]
async fn main() -> service::Result<()> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("service.db");
    let service = Service::start(&database, 0).await?;
    let (port, url) = (service.port(), service.url());

    let pause = Duration::from_millis(50);
    let connectivity = Polling::new(format!("{url}/")).interval(pause).longest_pause(pause).start()?;
    println!("{}", connectivity.settled().await);

    let products: DataSource = DataSource::builder()
        .storage(SqliteStorage::open(folder.path().join("program.db"))?, "products-offline")
        .transport(HttpTransport::rest(format!("{url}/products"))?)
        .model(Model::new().id("ProductID"))
        .connectivity(connectivity.clone())
        .build()?;
    products.fetch().await?;
    let mut happened = products.events();

    println!("the service is stopped");
    service.stop().await?;
    let mut states = connectivity.changes();
    while let Some(state) = states.next().await {
        println!("  {state}");
        if !state.online {
            break;
        }
    }
    while products.is_online() {
        tokio::task::yield_now().await;
    }
    products.set(&products.at(0).ok_or("no product")?, "ProductName", "Updated")?;
    assert_eq!(products.sync().await?.stored, 1);

    println!("the service is back");
    let service = Service::start(&database, port).await?;
    while let Some(event) = happened.next().await {
        if event.kind == EventKind::Sync {
            break;
        }
    }
    println!("  {}", connectivity.state());
    assert!(products.is_online() && !products.has_changes());
    let held = Store::open(&database)?.products()?;
    assert_eq!(held.first().and_then(|row| row.get("ProductName")).and_then(|name| name.as_str()), Some("Updated"));
    service.stop().await
}
