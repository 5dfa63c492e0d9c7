//! Keep the state wherever you like, by two functions: one that gives it and one that takes it.
//!
//! Run it with `cargo run --example custom_storage`. Such a storage is as good as its functions: it promises neither
//! atomicity nor durability, and says so.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use landfall::{
    DataSource, Model, Record, Result as Landfall,
    storage::{ItemAdapter, ItemStorage, Storage, item_storage},
    transport::MockServer,
};
use std::{
    collections::HashMap,
    error::Error,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

/// A type of your own: texts by name, like the browser's `sessionStorage`.
#[derive(Clone, Default)]
struct SessionItem {
    items: Arc<Mutex<HashMap<String, String>>>,
    name: &'static str,
}

impl ItemStorage for SessionItem {
    fn get_item(&self) -> Landfall<Option<String>> {
        Ok(self.items.lock().unwrap_or_else(PoisonError::into_inner).get(self.name).cloned())
    }

    fn set_item(&self, item: &str) -> Landfall<()> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.to_owned(), item.to_owned());
        Ok(())
    }
}

/// Fetches, works offline, and starts again over the same storage, while the service is away.
async fn work(storage: impl Storage + Clone) -> Result<(), Box<dyn Error>> {
    let row = Record::from_json(r#"{"ProductID":1,"ProductName":"Chai"}"#)?;
    let service = MockServer::builder().id("ProductID").row(row).build();
    let data_source = || {
        DataSource::builder()
            .storage(storage.clone(), "products")
            .transport(service.clone())
            .model(Model::new().id("ProductID"))
            .build()
    };

    let products: DataSource = data_source()?;
    products.fetch().await?;
    products.online(false).await?;
    products.set(&products.at(0).ok_or("no product")?, "ProductName", "Updated")?;
    products.sync().await?;
    drop(products);

    let products: DataSource = data_source()?;
    products.online(false).await?;
    products.fetch().await?;
    assert!(products.has_changes());
    let report = products.online(true).await?;
    assert!(report.is_success() && report.done() == 1);
    assert_eq!(service.row(1).unwrap_or_default().to_json(), r#"{"ProductID":1,"ProductName":"Updated"}"#);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // From two closures, here over a file.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("products.json");
    let (read, write) = (file.clone(), file.clone());
    let storage =
        Arc::new(item_storage(move || fs::read_to_string(&read).map(Some), move |text: &str| fs::write(&write, text)));
    println!("it is {}durable", if storage.capability().durable { "" } else { "not " });
    work(storage).await?;
    println!("the file holds: {}", fs::read_to_string(&file)?);

    // From a type.
    let session = SessionItem { name: "products-key", ..SessionItem::default() };
    work(Arc::new(ItemAdapter::new(session.clone()))).await?;
    println!("the session holds: {}", session.get_item()?.ok_or("nothing was kept")?);
    Ok(())
}
