//! Dialects written outside of landfall, for services that no preset knows. They use what any program can use: one type,
//! three functions, nothing private.

mod couchdb;
mod datasette;

pub use couchdb::CouchDb;
pub use datasette::Datasette;
