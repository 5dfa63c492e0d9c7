//! Data sources for the tasks: the facade's public API, default settings.

use crate::{
    Outcome,
    args::{Args, Place},
    data,
};
use landfall::{
    Aggregate, DataSource, Field, Filter, Group, Model, QueryOptions, Sort, Value,
    storage::{FileStorage, SqliteStorage, Storage},
    transport::{Body, FnTransport, Reply},
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;

/// The key under which the rows are stored.
pub const KEY: &str = "products";

/// Rows a page.
pub const PAGE: usize = 20;

/// The model of the table, as a program with this table would declare it.
pub fn model() -> Model {
    Model::new()
        .id("ProductID")
        .field(Field::new("ProductID").number())
        .field(Field::new("ProductName").string())
        .field(Field::new("SupplierID").number())
        .field(Field::new("CategoryID").number())
        .field(Field::new("QuantityPerUnit").string())
        .field(Field::new("UnitPrice").number().nullable())
        .field(Field::new("UnitsInStock").number())
        .field(Field::new("UnitsOnOrder").number())
        .field(Field::new("ReorderLevel").number())
        .field(Field::new("Discontinued").boolean())
        .field(Field::new("CreatedAt").date())
}

/// A runtime with one thread: what runs beside it are the threads of the storages.
///
/// # Errors
/// The operating system's.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().build()
}

/// A service that answers reads with this body and nothing else.
pub fn reading(body: Arc<[u8]>) -> FnTransport {
    FnTransport::new().read_sync(move |_| Ok(Reply::with_body(Body::Json(Arc::clone(&body)))))
}

/// A service that answers one read with this body and forgets it.
pub fn reading_once(body: Vec<u8>) -> FnTransport {
    let body = Mutex::new(Some(body));
    FnTransport::new().read_sync(move |_| {
        let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Reply::with_body(Body::json(body.unwrap_or_default())))
    })
}

/// A service that answers reads with this body, and updates with what it was sent, taken through JSON text.
pub fn echoing(body: Arc<[u8]>) -> FnTransport {
    reading(body).update_sync(|request| {
        let text = if request.batch {
            Value::array(request.rows.into_iter().map(|row| row.record.into())).to_json()
        } else {
            request.rows.first().map(|row| row.record.to_json()).unwrap_or_default()
        };
        Value::from_json(&text)
    })
}

/// A data source without storage that has loaded N rows.
///
/// # Errors
/// Those of building and reading.
pub async fn loaded(rows: usize) -> Outcome<DataSource> {
    let body: Arc<[u8]> = data::body_of(rows).into();
    let source = DataSource::builder().transport(reading(body)).model(model()).page_size(PAGE).build()?;
    source.fetch().await?;
    Ok(source)
}

/// Opens a storage below a folder.
///
/// # Errors
/// The storage's.
pub fn open(place: Place, dir: &Path) -> Outcome<Arc<dyn Storage>> {
    Ok(match place {
        Place::Sqlite => Arc::new(SqliteStorage::open(dir.join("tasks.sqlite"))?),
        Place::File => Arc::new(FileStorage::open(dir.join("tasks"))?),
    })
}

/// The folder of the storages: the one asked for, else one that goes away with the guard.
///
/// # Errors
/// The file system's.
pub fn folder(args: &Args) -> Outcome<(std::path::PathBuf, Option<TempDir>)> {
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)?;
        return Ok((dir.clone(), None));
    }
    let dir = TempDir::new()?;
    Ok((dir.path().to_owned(), Some(dir)))
}

/// T2's query, page 1.
pub fn page_query() -> QueryOptions {
    QueryOptions::new()
        .filter(Filter::gt("UnitPrice", 50).and(Filter::contains("ProductName", "an")))
        .sort(Sort::asc("CategoryID"))
        .sort(Sort::desc("UnitPrice"))
        .page(1)
        .page_size(PAGE)
}

/// T2s: in the order of the names, page 1.
pub fn name_query() -> QueryOptions {
    QueryOptions::new().sort(Sort::asc("ProductName")).sort(Sort::asc("ProductID")).page(1).page_size(PAGE)
}

/// T3's query.
pub fn group_query() -> QueryOptions {
    let group = Group::asc("CategoryID")
        .aggregate(Aggregate::sum("UnitPrice"))
        .aggregate(Aggregate::average("UnitPrice"))
        .aggregate(Aggregate::min("UnitPrice"))
        .aggregate(Aggregate::max("UnitPrice"))
        .aggregate(Aggregate::count("UnitPrice"));
    QueryOptions::new().group(group)
}

/// The ids of what is shown.
pub fn shown_ids(source: &DataSource) -> Vec<i64> {
    source.rows().iter().filter_map(|row| row.get("ProductID").and_then(Value::as_i64)).collect()
}
