//! Records as your own struct. Members that the struct does not know are kept.
//!
//! Run it with `cargo run --example typed`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use landfall::{DataSource, Field, Filter, Model, Record, Sort, storage::MemoryStorage, transport::MockServer};
use serde::{Deserialize, Serialize};
use std::error::Error;

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Product {
    #[serde(rename = "ProductID")]
    id: u32,
    #[serde(rename = "ProductName")]
    name: String,
    #[serde(rename = "UnitPrice")]
    price: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rows = [
        r#"{"ProductID":1,"ProductName":"Chai","UnitPrice":18,"UnitsInStock":39}"#,
        r#"{"ProductID":2,"ProductName":"Chang","UnitPrice":19,"UnitsInStock":17}"#,
        r#"{"ProductID":3,"ProductName":"Aniseed Syrup","UnitPrice":10,"UnitsInStock":13}"#,
    ];
    let rows = rows.into_iter().map(Record::from_json).collect::<landfall::Result<Vec<_>>>()?;
    let service = MockServer::builder().id("ProductID").rows(rows).build();
    let products = DataSource::<Product>::typed()
        .storage(MemoryStorage::new(), "products-offline")
        .transport(service.clone())
        // An id that is declared as a number is 0 in a new product; the service gives the real one.
        .model(Model::new().id("ProductID").field(Field::new("ProductID").number()))
        .build()?;
    products.fetch().await?;

    products
        .query(landfall::QueryOptions::new().filter(Filter::gte("UnitPrice", 15)).sort(Sort::desc("UnitPrice")))
        .await?;
    for entry in products.rows() {
        println!("{:?}", entry.value()?);
    }
    assert_eq!(products.rows().len(), 2);

    products.online(false).await?;
    products.edit(&products.get(1).ok_or("no product 1")?, |product| product.price = 21.5)?;
    products.add(Product { id: 0, name: "Yerba Mate".into(), price: 9.75 })?;
    products.sync().await?;
    let report = products.online(true).await?;
    assert!(report.is_success() && report.done() == 2);

    let chai = service.row(1).ok_or("product 1 is gone")?;
    println!("the service holds {}", chai.to_json());
    assert_eq!(chai.to_json(), r#"{"ProductID":1,"ProductName":"Chai","UnitPrice":21.5,"UnitsInStock":39}"#);
    let new = products.get(4).ok_or("the new product has no number")?.value()?;
    assert_eq!(new, Product { id: 4, name: "Yerba Mate".into(), price: 9.75 });
    Ok(())
}
