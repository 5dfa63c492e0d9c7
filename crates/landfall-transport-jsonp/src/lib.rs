//! JSONP-style queries for [landfall](https://docs.rs/landfall): a transport for services that only know GET and answer
//! with the call of a callback, such as the demo services that many Kendo programs were written against.
//!
//! ```
//! use landfall_transport::Channel;
//! use landfall_transport_jsonp::{JsonpConfig, JsonpTransport};
//!
//! fn products(channel: impl Channel) -> landfall_transport::Result<JsonpTransport> {
//!     let service = JsonpConfig::new()
//!         .read("https://demos.example/service/Products")
//!         .create("https://demos.example/service/Products/Create")
//!         .update("https://demos.example/service/Products/Update")
//!         .destroy("https://demos.example/service/Products/Destroy");
//!     JsonpTransport::over(channel, service)
//! }
//! ```
//!
//! Every request is a bare GET: the URL's own query, `callback=NAME`, the data (for a batch `models=` and the rows as JSON
//! text), `_=STAMP`, in this order (R8.26). The answer has to be `NAME(JSON)` and nothing else; it is read, never
//! executed.
//!
//! # Why there is no connection in this crate
//!
//! A JSONP request is an ordinary HTTP request with an odd answer, so everything hard about it (time limits, redirects,
//! body limits, proxies, TLS) is the channel's. This crate takes any [`Channel`](landfall_transport::Channel): the one of
//! `landfall-transport-http`, or yours. A channel of its own would be a second place to get all of that right, and
//! depending on the other crate would tie two transports together.
//!
//! # Limitations
//!
//! - A URL has a length that servers accept; a longer one is refused before it is sent ([`JsonpConfig::url_limit`]). Send
//!   smaller batches, or none.
//! - Such services tell failures badly. Where the channel shows a status (HTTP does), it counts.
//! - Writing by GET is unsafe with caches and link checkers in between. Use it only where a service leaves no choice.
#![forbid(unsafe_code)]

mod config;
mod error;
mod transport;

pub use config::JsonpConfig;
pub use transport::JsonpTransport;
