//! What the service refuses waits in the inbox until somebody decides: `cargo run --example inbox`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use landfall::{
    DataSource, Model, Record,
    storage::MemoryStorage,
    transport::{Fault, MockServer, Operation},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> landfall::Result<()> {
    // A service that has its own idea of prices, and where somebody else has edited tea meanwhile.
    let theirs = Record::from_json(r#"{"id":2,"name":"Tea","price":9}"#)?;
    let problem = Record::from([("detail", "a price is not negative")]);
    let service = MockServer::builder()
        .row(Record::from_json(r#"{"id":1,"name":"Chai","price":5}"#)?)
        .row(Record::from_json(r#"{"id":2,"name":"Tea","price":4}"#)?)
        .fault(Fault::on(Operation::Update).fail(422).saying(problem))
        .fault(Fault::on(Operation::Update).fail(409).saying(theirs))
        .build();
    let products: DataSource = DataSource::builder()
        .transport(service.clone())
        .model(Model::new().id("id"))
        .storage(MemoryStorage::new(), "products")
        .build()?;

    products.fetch().await?;
    for (row, name, value) in [(0, "price", "-1"), (1, "name", "Green tea")] {
        if let Some(item) = products.at(row) {
            products.set(&item, name, value)?;
        }
    }
    println!("acknowledged: {}", products.sync().await?.done());

    for change in products.inbox() {
        println!("{}", change.explain());
        let conflict = change.failure.as_ref().and_then(|failure| failure.theirs.record());
        match conflict {
            // Our name, their price.
            Some(_) => drop(products.keep_mine(change.uid).await?),
            None => drop(products.edit_and_retry(change.uid, |record| drop(record.set("price", 6))).await?),
        }
    }
    for row in service.rows() {
        println!("the service has {}", row.to_json());
    }
    println!("left in the inbox: {}", products.export_inbox().to_json());
    Ok(())
}
