//! Follow events that say whether there is a network, and tell the program what the data source does.
//!
//! Run it with `cargo run --example online_events`. The events come from a channel here; with the feature
//! `connectivity-os` they can be the operating system's (`landfall::connectivity::OsEvents`).
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use futures_util::stream;
use landfall::{
    DataSource, EventKind, Model, Record, connectivity::Connectivity, storage::MemoryStorage, transport::MockServer,
};
use std::error::Error;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let row = Record::from_json(r#"{"ProductID":1,"ProductName":"Chai"}"#)?;
    let service = MockServer::builder().id("ProductID").row(row).build();

    // Whatever knows about the network says `true` and `false`; until then we are online.
    let (network, events) = mpsc::unbounded_channel();
    let events = stream::unfold(events, |mut events| async move { events.recv().await.map(|up| (up, events)) });
    let connectivity = Connectivity::from_events_starting(true, events)?;

    let products: DataSource = DataSource::builder()
        .storage(MemoryStorage::new(), "products-offline")
        .transport(service.clone())
        .model(Model::new().id("ProductID"))
        .connectivity(connectivity.clone())
        .build()?;
    // A handler gets each event where it happens; a stream gets them one after the other.
    products.on(EventKind::RequestStart, |event| {
        println!("  requestStart: {}", event.operation.map_or("?", |operation| operation.as_str()));
    });
    let mut happened = products.events();
    products.fetch().await?;

    println!("the network goes");
    network.send(false)?;
    while products.is_online() {
        tokio::task::yield_now().await;
    }
    println!("{}", connectivity.state());
    products.set(&products.at(0).ok_or("no product")?, "ProductName", "Updated")?;
    products.sync().await?;
    assert_eq!(service.row(1).unwrap_or_default().to_json(), r#"{"ProductID":1,"ProductName":"Chai"}"#);

    println!("the network is back");
    network.send(true)?;
    while let Some(event) = happened.next().await {
        // All changes that were waiting have been acknowledged.
        if event.kind == EventKind::Sync {
            break;
        }
    }
    println!("{}, and the service holds {}", connectivity.state(), service.row(1).unwrap_or_default().to_json());
    assert!(products.is_online() && !products.has_changes());
    assert_eq!(service.row(1).unwrap_or_default().to_json(), r#"{"ProductID":1,"ProductName":"Updated"}"#);
    Ok(())
}
