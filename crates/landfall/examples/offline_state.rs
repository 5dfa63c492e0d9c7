//! Look at the stored state: the records, and what is to happen to those that were changed.
//!
//! Run it with `cargo run --example offline_state`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use landfall::{DataSource, Group, Model, Record, Value, storage::MemoryStorage, transport::MockServer};
use std::error::Error;

fn service() -> landfall::Result<MockServer> {
    let rows = [
        r#"{"ProductID":1,"ProductName":"Chai","Category":"Beverages"}"#,
        r#"{"ProductID":2,"ProductName":"Chang","Category":"Beverages"}"#,
        r#"{"ProductID":3,"ProductName":"Aniseed Syrup","Category":"Condiments"}"#,
    ];
    let rows = rows.into_iter().map(Record::from_json).collect::<landfall::Result<Vec<_>>>()?;
    Ok(MockServer::builder().id("ProductID").rows(rows).grouping(true).build())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let products: DataSource = DataSource::builder()
        .storage(MemoryStorage::new(), "products-offline")
        .transport(service()?)
        .model(Model::new().id("ProductID"))
        .build()?;
    products.fetch().await?;
    products.online(false).await?;

    let first = products.at(0).ok_or("no product")?;
    products.set(&first, "ProductName", "Updated")?;
    products.remove(&products.get(2).ok_or("no product 2")?)?;
    products.add(Record::from([("ProductName", "New"), ("Category", "Beverages")]))?;
    products.sync().await?;

    let state = products.offline_data().await?;
    let rows = state.as_array().ok_or("no list")?;
    for row in rows {
        println!("{}", row.to_json());
    }
    let states: Vec<Option<&str>> =
        rows.iter().map(|row| row.as_object().and_then(|row| row.get("__state__")).and_then(Value::as_str)).collect();
    assert_eq!(states, [Some("update"), None, Some("create"), Some("destroy")]);

    // What is stored can be set, too; the next read shows it.
    products.set_offline_data(&Value::from_json(r#"[{"ProductID":9,"ProductName":"Imported"}]"#)?).await?;
    products.read().await?;
    assert_eq!((products.len(), products.has_changes()), (1, false));

    // Where the service groups, the state is a list of groups.
    let grouped: DataSource = DataSource::builder()
        .storage(MemoryStorage::new(), "products-by-category")
        .transport(service()?)
        .model(Model::new().id("ProductID"))
        .server_grouping(true)
        .group([Group::new("Category")])
        .build()?;
    grouped.fetch().await?;
    let state = grouped.offline_data().await?;
    println!("\nGrouped by the service:");
    for group in state.as_array().ok_or("no list")? {
        println!("{}", group.to_json());
    }
    let values: Vec<Option<&str>> = state
        .as_array()
        .ok_or("no list")?
        .iter()
        .map(|group| group.as_object().and_then(|group| group.get("value")).and_then(Value::as_str))
        .collect();
    assert_eq!(values, [Some("Beverages"), Some("Condiments")]);
    Ok(())
}
