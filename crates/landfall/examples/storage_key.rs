//! Set a storage key, and nothing else: the data is kept in the default storage, one SQLite file in the platform's data
//! directory, under the application's name. Each data source has a key of its own.
//!
//! Run it with `cargo run --example storage_key`. It leaves your own data directory alone: it starts itself again with
//! another one.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use landfall::{
    DataSource, Model, Record,
    storage::{SqliteStorage, Storage},
    transport::MockServer,
};
use std::{env, error::Error, process::Command};

const APP: &str = "landfall-example";

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).as_deref() == Some("--in-a-directory-of-its-own") {
        return tokio::runtime::Runtime::new()?.block_on(program());
    }
    let folder = tempfile::tempdir()?;
    let mut again = Command::new(env::current_exe()?);
    again.arg("--in-a-directory-of-its-own");
    for variable in ["HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA", "USERPROFILE"] {
        again.env(variable, folder.path());
    }
    let status = again.status()?;
    if status.success() { Ok(()) } else { Err(format!("the program ended with {status}").into()) }
}

/// A data source as a program sets it up. The service is one in memory, so that the example needs no other.
fn data_source(key: &str, id: &str, service: &MockServer) -> landfall::Result<DataSource> {
    DataSource::builder()
        .offline_storage(key)
        .app_name(APP)
        .transport(service.clone())
        .model(Model::new().id(id))
        .build()
}

async fn program() -> Result<(), Box<dyn Error>> {
    let service = |id: &str, name: &str, first: &str| {
        let row = Record::from_iter([(id, landfall::Value::from(1)), (name, landfall::Value::from(first))]);
        MockServer::builder().id(id).row(row).build()
    };
    let (goods, people) = (service("ProductID", "ProductName", "Chai"), service("EmployeeID", "Name", "Nancy"));

    let products = data_source("products-offline", "ProductID", &goods)?;
    let employees = data_source("employees-offline", "EmployeeID", &people)?;
    products.fetch().await?;
    employees.fetch().await?;
    println!("Both are kept in {}", SqliteStorage::default_path(APP)?.display());

    // The file holds one state per key.
    let file = SqliteStorage::open_default(APP)?;
    println!("Its keys: {}", file.keys().await?.join(", "));
    assert_eq!(file.keys().await?, ["employees-offline", "products-offline"]);

    // Another run of the program, without the service, finds the data of its key and no other.
    drop(products);
    goods.set_down(true);
    let products = data_source("products-offline", "ProductID", &goods)?;
    products.online(false).await?;
    products.fetch().await?;
    let first = products.at(0).ok_or("no product was kept")?;
    println!("Found again without the service: {}", first.record().to_json());
    assert_eq!((products.len(), first.to_json().as_str()), (1, r#"{"ProductID":1,"ProductName":"Chai"}"#));
    Ok(())
}
