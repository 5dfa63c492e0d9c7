//! The same without an async runtime: calls that wait, wait.
//!
//! Run it with `cargo run --example blocking`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use landfall::{Model, Record, blocking::DataSource, storage::SqliteStorage, transport::MockServer};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let row = Record::from_json(r#"{"ProductID":1,"ProductName":"Chai"}"#)?;
    let service = MockServer::builder().id("ProductID").row(row).build();
    let products = DataSource::build(
        landfall::DataSource::builder()
            .storage(SqliteStorage::open(folder.path().join("program.db"))?, "products-offline")
            .transport(service.clone())
            .model(Model::new().id("ProductID")),
    )?;

    products.fetch()?;
    products.online(false)?;
    products.set(&products.at(0).ok_or("no product")?, "ProductName", "Updated")?;
    println!("{} change is stored", products.sync()?.stored);

    let report = products.online(true)?;
    println!("{} change was acknowledged", report.done());
    assert!(report.is_success() && report.done() == 1);
    assert_eq!(service.row(1).unwrap_or_default().to_json(), r#"{"ProductID":1,"ProductName":"Updated"}"#);
    Ok(())
}
