//! An offline-first data source: point it at a service, give it a place to store things, keep working when the network goes.
#![forbid(unsafe_code)]

pub mod connectivity;
