//! Opening: the storage, the data source over it.

use super::{Arguments, End, Mode, Place, dialect::Service, output};
use landfall::{
    DataSource, Error, EventKind, Field, Model, Result,
    storage::{FileStorage, SqliteStorage, Storage},
    transport::HttpTransport,
};
use std::sync::Arc;

fn storage(arguments: &Arguments) -> Result<Arc<dyn Storage>> {
    Ok(match arguments.place {
        Place::File => Arc::new(FileStorage::open(&arguments.dir)?),
        Place::Sqlite => Arc::new(SqliteStorage::open(arguments.dir.join("landfall.sqlite"))?),
    })
}

fn transport(arguments: &Arguments) -> Result<HttpTransport> {
    let url = if arguments.url.is_empty() { "http://127.0.0.1:9" } else { arguments.url.as_str() };
    let base = format!("{}/", url.trim_end_matches('/'));
    let mut builder = HttpTransport::builder()
        .client(landfall::transport::reqwest::Client::builder().no_proxy())
        .base_url(base)
        .timeout(arguments.timeout)
        .body_limit(arguments.max_body);
    for (name, value) in &arguments.headers {
        builder = builder.secret_header(name, value);
    }
    builder.build(Service)
}

async fn source(arguments: &Arguments) -> Result<DataSource> {
    let storage = storage(arguments)?;
    let source: DataSource = DataSource::builder()
        .transport(transport(arguments)?)
        .model(Model::new().id("id").field(Field::new("id").number()))
        .natural_key("key")
        .storage(storage, arguments.key.as_str())
        .batch(arguments.batch)
        .retries(arguments.retries)
        .backoff(arguments.backoff)
        .max_retry_after(arguments.max_retry_after)
        .max_hold(arguments.max_retry_after)
        .build()?;
    if arguments.verbose {
        for kind in [EventKind::RequestStart, EventKind::RequestEnd, EventKind::Change, EventKind::Error] {
            source.on(kind, move |event| {
                let operation = event.operation.map_or("", |operation| operation.as_str());
                let error = event.error.as_ref().map(ToString::to_string).unwrap_or_default();
                output::note(&format!("{kind:?} {operation} {error}"));
            });
        }
    }
    if arguments.mode != Mode::Read {
        source.online(false).await?;
    }
    source.restore().await?;
    Ok(source)
}

/// Opens what is stored, offline unless it is for reading; says so when that is not possible.
pub(crate) async fn open(arguments: &Arguments) -> std::result::Result<DataSource, End> {
    source(arguments).await.map_err(|error: Error| {
        output::line(&format!("err open {}", output::failure(&error)));
        output::storage_end(&error).unwrap_or(End::Failed)
    })
}

/// Lets everything under way end and closes the storage.
pub(crate) async fn close(source: DataSource) {
    // Errors were told where they happened.
    drop(source.idle().await);
    drop(source);
    tokio::task::yield_now().await;
}
