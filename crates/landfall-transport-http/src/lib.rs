//! HTTP for [landfall](https://docs.rs/landfall): a transport over reqwest that speaks any dialect.
//!
//! ```
//! use landfall_transport::dialect::rest::Rest;
//! use landfall_transport_http::HttpTransport;
//! use std::time::Duration;
//!
//! # fn main() -> landfall_transport::Result<()> {
//! let transport = HttpTransport::builder()
//!     .base_url("http://localhost:8080/api/")
//!     .timeout(Duration::from_secs(10))
//!     .bearer("a token")
//!     .build(Rest::json_server("products"))?;
//! # Ok(())
//! # }
//! ```
//!
//! [`HttpChannel`] is the part that only carries requests; [`HttpTransport`] is a dialect over it. Other query transports
//! (JSONP) can be built over the same channel.
//!
//! # What it guards
//!
//! - Redirects are followed for GET and within one origin only; every other redirect is an error.
//! - The bearer token and the builder's headers go to the base URL's origin and nowhere else.
//! - The time limit covers the whole exchange, from connecting to the last byte of the body, over all redirects.
//! - Bodies are counted after decoding and refused beyond a limit (64 MiB).
//! - Header values and URLs with control characters are refused before anything is sent.
//! - Errors and debug output show no query, no user information, no header value and no body.
//! - A write is never repeated, except once after a 401 that a fresh token may resolve.
//!
//! Not guarded: what the host's resolver and proxies do. The usual proxy variables are honoured unless
//! [`HttpBuilder::client`] gets a builder with `no_proxy()`.
//!
//! # Features
//!
//! - `gzip` (default): asks for and decodes gzip.
//! - `tls`: https by rustls. `native-tls`: https by the platform's own library. Neither is on by default.
#![forbid(unsafe_code)]

mod config;
mod error;
mod secrets;
mod token;
mod transport;

pub use config::HttpBuilder;
pub use reqwest;
pub use token::TokenProvider;
pub use transport::{HttpChannel, HttpTransport};
