//! How much space the stored state takes, and what happens when there is no more.
//!
//! Run it with `cargo run --example quota`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use landfall::{
    DataSource, ErrorKind, Model, Record, Value,
    storage::{QuotaStorage, SqliteStorage, Storage},
    transport::MockServer,
};
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    // The browser's limit is QuotaStorage::like_local_storage (5 MiB); without a wrapper there is none.
    let storage = QuotaStorage::new(SqliteStorage::open(folder.path().join("program.db"))?, 20_000);
    let rows = (1..=100).map(|id| Record::from_iter([("ProductID", Value::from(id)), ("Notes", Value::from("-"))]));
    let service = MockServer::builder().id("ProductID").rows(rows).build();
    let products: DataSource = DataSource::builder()
        .storage(storage.clone(), "products-offline")
        .transport(service)
        .model(Model::new().id("ProductID"))
        .build()?;
    products.fetch().await?;
    products.online(false).await?;

    // Used by one key, and by all of them.
    let (mine, all) = (storage.usage(Some("products-offline")).await?, storage.usage(None).await?);
    println!("in use: {mine} bytes by this data source, {all} in all, of 20000");
    assert_eq!((mine, products.storage_usage().await?), (all, all));

    // Too much: the change is not accepted, what is stored stays as it was.
    let first = products.at(0).ok_or("no product")?;
    products.set(&first, "Notes", "x".repeat(30_000))?;
    let before = products.offline_data().await?;
    let error = products.sync().await.err().ok_or("30000 bytes were taken")?;
    println!("{error}");
    match error.kind() {
        ErrorKind::QuotaExceeded { used, limit, needed } => println!("{needed} bytes, {used} + more, over {limit}"),
        other => return Err(format!("expected a full storage: {other:?}").into()),
    }
    assert_eq!(products.offline_data().await?, before);
    assert!(products.has_changes(), "the edit is still a draft");

    // Less is accepted.
    products.set(&first, "Notes", "x".repeat(300))?;
    assert_eq!(products.sync().await?.stored, 1);
    println!("a shorter text was accepted: {} bytes in use", storage.usage(None).await?);
    Ok(())
}
