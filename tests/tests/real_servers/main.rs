//! Round trips with servers that nobody here wrote: read with paging, order and filter by the server, edit offline,
//! restart, come back, sync, and ask the server with curl what it holds. Where the server knows versions, also what
//! happens when somebody else was faster.
//!
//! The servers are installed by their registry's own client into the target folder. Where a client is missing, or
//! cannot reach its registry, a test says so and passes; with `LANDFALL_REAL_SERVERS=required`, as in `.ci/run`, it fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may stop at the first surprise"
)]

mod couchdb;
mod datasette;
mod install;
mod json_server;
mod odata;
mod server;
mod trip;
